//! Writes the log to standard error, and exports it with traces to an OpenTelemetry collector, if one is configured. A
//! log holds no personal data of clients: statements and the events of dependencies are left out at any level.

mod collector;
mod exporter;
mod log_layer;
mod protobuf;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use self::protobuf::fuzzing;
mod queue;
mod records;
mod settings;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use self::collector::{Collector, Signal};
use self::exporter::Exporter;
use self::log_layer::LogLayer;
use self::queue::Sender;
use self::records::Resource;
pub use self::settings::{Log, LogFormat, TelemetrySettings};
use clientele_core::trace::{self, Tracer};

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

/// The least time for the last exports of a process.
const LAST_EXPORTS: Duration = Duration::from_secs(1);

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// The exporters of a process. Without a configured collector, there are none.
#[derive(Debug)]
pub struct Telemetry {
    exporters: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// The time at which the last requests had to end.
    closing: OnceLock<Instant>,
}

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: &Log) {
    init(log, None);
}

/// Starts logging, and exports as configured until [`Telemetry::end`]. `clock` has the time of spans and lines. Must be
/// called within a runtime.
///
/// # Errors
/// A sentence about settings that can't be used on this machine.
pub fn start_exporting(
    log: &Log,
    settings: &TelemetrySettings,
    clock: fn() -> DateTime<Utc>,
) -> Result<Telemetry, &'static str> {
    let (stop, stopped) = watch::channel(false);
    let mut exporters = Vec::new();
    let resource = Resource::new(&settings.service_name, &uuid::Uuid::now_v7().to_string());
    let mut export = |signal| -> Result<Sender, &'static str> {
        let (sender, receiver) = queue::queue();
        let exporter = Exporter {
            signal,
            collector: Collector::new(settings, signal)?,
            resource: resource.clone(),
            queue: receiver,
            log: exporter::Log::default(),
        };
        exporters.push(tokio::spawn(exporter.run(stopped.clone())));
        Ok(sender)
    };
    let mut lines = None;
    if settings.is_on() {
        if settings.logs {
            let queue = export(Signal::Logs)?;
            lines = Some(LogLayer { queue, clock });
        }
        let tracer = if settings.traces {
            let queue = export(Signal::Traces)?;
            let ratio = Some(settings.sampling_ratio);
            Tracer::new(ratio, clock, move |span| queue.add(records::span(&span)))
        } else {
            // Lines still have the traces of their requests.
            Tracer::new(None, clock, |_| {})
        };
        trace::install(tracer);
    }
    init(log, lines);
    Ok(Telemetry {
        exporters,
        stop,
        closing: OnceLock::new(),
    })
}

/// Sends an empty export of each signal. None without a collector.
///
/// # Errors
/// The reason why the collector doesn't take one, as a sentence's end.
pub async fn probe(settings: &TelemetrySettings, timeout: Duration) -> Option<Result<(), String>> {
    if !settings.is_on() {
        return None;
    }
    let signals = [(settings.traces, Signal::Traces), (settings.logs, Signal::Logs)];
    for (_, signal) in signals.into_iter().filter(|(is_exported, _)| *is_exported) {
        let collector = match Collector::new(settings, signal) {
            Ok(collector) => collector.with_timeout(timeout),
            Err(reason) => return Some(Err(reason.to_owned())),
        };
        if let Err(error) = collector.export(Vec::new()).await {
            return Some(Err(format!("for {}, {error}", signal.as_str())));
        }
    }
    Some(Ok(()))
}

impl Telemetry {
    /// The server begins to close: the time for its last requests, and for the last exports, runs from now on.
    pub fn closing(&self) {
        let _ = self.closing.set(Instant::now());
    }

    /// Exports the queued records. Ends at the latest when `patience` has passed since [`Self::closing`], or after a
    /// second if that is later.
    pub async fn end(self, patience: Duration) {
        let now = Instant::now();
        let end = self.closing.get().map_or(now, |closing| *closing + patience);
        let end = end.max(now + LAST_EXPORTS);
        self.stop.send_replace(true);
        let mut is_late = false;
        for mut exporter in self.exporters {
            if timeout_at(end, &mut exporter).await.is_err() {
                exporter.abort();
                is_late = true;
            }
        }
        if is_late {
            tracing::warn!("telemetry lost: the collector didn't take the last lines and spans in time");
        }
    }
}

fn init(log: &Log, exported: Option<LogLayer>) {
    let lines = lines(log, std::io::stderr);
    let lines = match exported {
        Some(exported) => lines.and_then(exported).boxed(),
        None => lines,
    };
    // Only the tests start twice.
    let _ = filtered(log, lines).try_init();
    http_server::log_without_messages();
}

/// Filters events and writes each as one line to `writer`.
pub fn subscriber<W>(log: &Log, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    filtered(log, lines(log, writer))
}

fn lines<W>(log: &Log, writer: W) -> Lines
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match log.format {
        LogFormat::Text => {
            // Colours are for people: in a file or a pipe they are noise. The layer's own fields take three times as
            // long to write, even without colours.
            let layer = fmt::layer().with_writer(writer);
            match std::io::stderr().is_terminal() {
                true => Box::new(layer),
                false => Box::new(layer.with_ansi(false).fmt_fields(fields())),
            }
        }
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(writer)),
    }
}

/// Writes the fields of an event as the layer does without colours.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let fields = debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    });
    fields.delimited(" ")
}

fn filtered(log: &Log, lines: Lines) -> impl Subscriber + Send + Sync + 'static {
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
