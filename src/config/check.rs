//! Validates settings beyond their types.

mod authentication;
mod graphql;
mod http;
mod notifications;

use super::{Config, ConfigError};
use clientele_core::secret::Secret;
use clientele_domain::audit::AuditSettings;
use clientele_storage::db::check_address;

/// PostgreSQL's own limit is 262,143; a far smaller number already indicates a mistake.
const MOST_CONNECTIONS: u32 = 1_000;
const LONGEST_WAIT_SECONDS: u64 = 3_600;
/// 30 days.
const LONGEST_KEPT_HOURS: u32 = 720;
/// The playground's introspection query must fit.
const SMALLEST_BODY_BYTES: usize = 4_096;
/// A client with a few documents must fit.
const FEWEST_BODY_VALUES: usize = 100;

/// A client of the largest body, read and written.
const SMALLEST_ANSWER_BYTES: usize = 8 << 20;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Config {
        listen: _,
        database_url,
        shutdown_delay_seconds,
        shutdown_timeout_seconds,
        http,
        answers,
        // Any number is valid.
        rate_limit: _,
        database,
        clients: _,
        legacy,
        graphql,
        idempotency,
        cors,
        authentication,
        notifications,
        audit,
        log,
    } = config;
    check_address(database_url.reveal()).map_err(|reason| ConfigError(format!("database_url {reason}")))?;
    for (key, seconds) in [
        ("shutdown_delay_seconds", shutdown_delay_seconds),
        ("shutdown_timeout_seconds", shutdown_timeout_seconds),
    ] {
        require(*seconds <= LONGEST_WAIT_SECONDS, || {
            format!("{key} must be at most {LONGEST_WAIT_SECONDS}")
        })?;
    }
    require((1..=MOST_CONNECTIONS).contains(&database.max_connections), || {
        format!("database.max_connections must be between 1 and {MOST_CONNECTIONS}")
    })?;
    require(
        (1..=LONGEST_WAIT_SECONDS).contains(&database.acquire_timeout_seconds),
        || format!("database.acquire_timeout_seconds must be between 1 and {LONGEST_WAIT_SECONDS}"),
    )?;
    require(
        (1..=LONGEST_WAIT_SECONDS).contains(&database.request_timeout_seconds),
        || format!("database.request_timeout_seconds must be between 1 and {LONGEST_WAIT_SECONDS}"),
    )?;
    require(answers.bytes >= SMALLEST_ANSWER_BYTES, || {
        format!(
            "answers.bytes must be at least {SMALLEST_ANSWER_BYTES}: the largest client that may be stored must fit"
        )
    })?;
    require(answers.bytes_together / 2 >= answers.bytes, || {
        "answers.bytes_together must be at least twice answers.bytes".to_owned()
    })?;
    graphql::check(graphql, cors)?;
    require(graphql.body_bytes >= SMALLEST_BODY_BYTES, || {
        format!("graphql.body_bytes must be at least {SMALLEST_BODY_BYTES}")
    })?;
    for (key, values) in [
        ("graphql.body_values", graphql.body_values),
        ("legacy.body_values", legacy.body_values),
    ] {
        require(values >= FEWEST_BODY_VALUES, || {
            format!("{key} must be at least {FEWEST_BODY_VALUES}")
        })?;
    }
    require((1..=LONGEST_KEPT_HOURS).contains(&idempotency.hours), || {
        format!("idempotency.hours must be between 1 and {LONGEST_KEPT_HOURS}: outcomes hold personal data")
    })?;
    authentication::check(authentication)?;
    http::check(http)?;
    notifications::check(notifications)?;
    audit_keys(audit)?;
    require(tracing_subscriber::EnvFilter::try_new(&log.filter).is_ok(), || {
        "log.filter must be a level, or levels by module, as in `info` or `warn,clientele=debug,http_server=info`"
            .to_owned()
    })
}

/// A key invented by a person can be guessed in less than a day, because its hash is stored in the database as its id.
const SHORTEST_KEY: usize = 32;

fn audit_keys(audit: &AuditSettings) -> Result<(), ConfigError> {
    let AuditSettings { key, previous_keys } = audit;
    let long_enough = |key: &Secret| key.reveal().len() >= SHORTEST_KEY;
    require(key.is_empty() || long_enough(key), || {
        format!("audit.key must have at least {SHORTEST_KEY} characters: make one with `openssl rand -base64 32`")
    })?;
    require(previous_keys.iter().all(long_enough), || {
        format!("each of audit.previous_keys must have at least {SHORTEST_KEY} characters")
    })
}

fn require(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError(sentence())) }
}
