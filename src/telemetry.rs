//! Writes the log to standard error. A log holds no personal data: statements and the events of dependencies are left
//! out at any level.

use std::io::IsTerminal;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// The crates of this workspace, by the first part of their targets.
const OWN_CRATES: [&str; 9] = [
    "clientele",
    "clientele_core",
    "clientele_storage",
    "clientele_domain",
    "clientele_delivery",
    "graphql_server",
    "http_server",
    "entity",
    "migration",
];

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: &Log) {
    // Only the tests start twice.
    let _ = subscriber(log, std::io::stderr).try_init();
    http_server::log_without_messages();
}

/// Filters events and writes each as one line to `writer`.
pub fn subscriber<W>(log: &Log, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => {
            // Colours are for people: in a file or a pipe they are noise.
            Box::new(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(writer),
            )
        }
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(writer)),
    };
    let discreet = filter_fn(|metadata| is_discreet(metadata.target(), *metadata.level()));
    tracing_subscriber::registry()
        .with(lines)
        .with(EnvFilter::new(&log.filter))
        .with(discreet)
}

/// Returns true for events that can hold no personal data. Below WARN, dependencies log headers, bodies, statements and
/// their values, so that only our own crates are logged there. sqlx logs slow statements at any level and each broken
/// connection of a pool: the metrics have the waits, and `db::availability` logs the outages.
fn is_discreet(target: &str, level: Level) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    let ours = OWN_CRATES.contains(&root);
    (ours || level <= Level::WARN)
        && !["sqlx::query", "sqlx::pool", "sqlx_core::pool"]
            .iter()
            .any(|quiet| target.starts_with(quiet))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::is_discreet;

    #[test]
    fn only_crates_of_the_workspace_log_below_warn() {
        for (target, level, heard) in [
            ("clientele", Level::TRACE, true),
            ("clientele::cli::serve", Level::TRACE, true),
            ("clientele_core::budget", Level::TRACE, true),
            ("clientele_storage::db", Level::TRACE, true),
            ("clientele_domain::access", Level::TRACE, true),
            ("clientele_delivery::channel_worker", Level::TRACE, true),
            ("graphql_server::prepare", Level::TRACE, true),
            ("http_server::request_log", Level::TRACE, true),
            ("migration", Level::DEBUG, true),
            ("entity::client", Level::TRACE, true),
            ("clientele_of_another", Level::INFO, false),
            ("http", Level::INFO, false),
            ("sqlx::query", Level::ERROR, false),
            ("sqlx::query", Level::WARN, false),
            ("sqlx::query", Level::TRACE, false),
            ("sqlx::pool::acquire", Level::WARN, false),
            ("sqlx_core::pool", Level::DEBUG, false),
            ("sea_orm::driver::sqlx_sqlite", Level::TRACE, false),
            ("sea_orm::driver::sqlx_sqlite", Level::WARN, true),
            ("sea_orm_migration::migrator", Level::INFO, false),
            ("hyper::proto::h1", Level::TRACE, false),
            ("h2::codec::framed_read", Level::DEBUG, false),
            ("rustls::server::hs", Level::INFO, false),
            ("lettre::transport::smtp", Level::DEBUG, false),
            ("reqwest::connect", Level::ERROR, true),
            ("log", Level::INFO, false),
            ("", Level::INFO, false),
        ] {
            assert_eq!(is_discreet(target, level), heard, "{target} {level}");
        }
    }
}
