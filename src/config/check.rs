//! Validates settings beyond their types. Files and servers of channels are checked by
//! [`Channels::new`](clientele_delivery::channel::Channels::new), once a channel is needed.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use axum::http::HeaderValue;
use reqwest::Url;

use super::{Config, ConfigError};
use crate::api::authentication::{AuthenticationSettings, Guard};
use crate::api::cors::{self, CorsSettings};
use clientele_core::network::is_this_machine;
use clientele_core::secret::Secret;
use clientele_delivery::channel::{is_mailbox, is_region};
use clientele_delivery::quiet_hours::QuietHours;
use clientele_delivery::settings::{
    EmailProviderSettings, EmailSettings, EmailTransport, Encryption, NotificationSettings, SmsProviderSettings,
    SmsSettings, SmsTransport,
};
use clientele_domain::audit::AuditSettings;
use clientele_domain::enums::Channel;
use clientele_storage::db::{Dialect, check_address};
use graphql_server::settings::{GraphqlSettings, TrustedDocuments};
use http_server::HttpSettings;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const UNLIMITED: u64 = u64::MAX;
/// The largest client that may be stored, read and written.
const SMALLEST_ANSWER_BYTES: usize = 8 << 20;
/// The longest address that a gateway calls, in bytes.
const LONGEST_CALLBACK: usize = 2_048;
/// A key invented by a person can be guessed in less than a day, because its hash is stored in the database as its id.
const SHORTEST_KEY: usize = 32;

/// The ranges of numbers. Settings that are neither here nor checked below accept every value of their type.
const RANGES: &[(&str, RangeInclusive<u64>)] = &[
    ("shutdown_delay_seconds", 0..=HOUR),
    ("shutdown_timeout_seconds", 0..=HOUR),
    // PostgreSQL's own limit is 262,143; a far smaller number already indicates a mistake.
    ("database.max_connections", 1..=1_000),
    ("database.acquire_timeout_seconds", 1..=HOUR),
    ("database.request_timeout_seconds", 1..=HOUR),
    ("graphql.batch", 1..=UNLIMITED),
    ("cors.max_age_seconds", 0..=DAY),
    // The playground's introspection query must fit.
    ("graphql.body_bytes", 4_096..=UNLIMITED),
    // A client with a few documents must fit.
    ("graphql.body_values", 100..=UNLIMITED),
    ("legacy.body_values", 100..=UNLIMITED),
    // A change on one server takes effect on all others within this time.
    ("authentication.freshness_seconds", 0..=10),
    ("authentication.failures_per_user", 1..=1_000),
    ("authentication.failures_per_address", 1..=100_000),
    ("authentication.failure_window_seconds", 1..=DAY),
    ("authentication.sessions.access_token_seconds", MINUTE..=HOUR),
    ("authentication.sessions.idle_seconds", MINUTE..=30 * DAY),
    ("authentication.sessions.lifetime_seconds", MINUTE..=365 * DAY),
    ("authentication.jwt.leeway_seconds", 0..=5 * MINUTE),
    ("authentication.jwt.jwks_refresh_seconds", 1..=DAY),
    ("authentication.jwt.jwks_pause_seconds", 1..=HOUR),
    ("authentication.jwt.jwks_max_age_seconds", MINUTE..=30 * DAY),
    ("http.certificate_poll_seconds", 1..=HOUR),
    ("http.handshake_timeout_seconds", 1..=HOUR),
    ("http.header_timeout_seconds", 1..=HOUR),
    ("http.body_timeout_seconds", 1..=HOUR),
    ("http.send_timeout_seconds", 1..=HOUR),
    ("http.idle_timeout_seconds", 1..=HOUR),
    ("http.burst_timeout_seconds", 1..=HOUR),
    // hyper's own buffer is the minimum. With more than the maximum, ten thousand callers could fill the memory with
    // heads.
    ("http.header_bytes", 8_192..=1_048_576),
    ("http.headers", 10..=1_000),
    ("http.connections", 1..=1_000_000),
    ("http.connections_per_address", 1..=1_000_000),
    ("http.streams_per_connection", 1..=10_000),
    ("http.unsent_bytes_per_connection", 0..=1_073_741_824),
    ("http.requests", 1..=100_000),
    ("http.queue", 0..=100_000),
    ("http.queue_timeout_milliseconds", 0..=60_000),
    ("notifications.concurrency", 1..=256),
    ("notifications.attempts", 1..=1_000),
    ("notifications.max_age_hours", 1..=24 * 365),
    ("notifications.backoff_base_seconds", 1..=HOUR),
    ("notifications.poll_seconds", 1..=HOUR),
    ("notifications.breaker_failures", 1..=1_000),
    ("notifications.breaker_pause_seconds", 1..=HOUR),
    ("notifications.keep_sent_bodies_days", 0..=36_500),
    ("notifications.keep_messages_days", 0..=36_500),
    ("notifications.limits.recipient_daily", 0..=10_000),
    ("notifications.limits.caller_hourly", 0..=100_000),
    ("notifications.email.port", 1..=65_535),
    ("notifications.email.timeout_seconds", 1..=10 * MINUTE),
    ("notifications.email.rate_per_minute", 1..=1_000_000),
    ("notifications.email.fallback.port", 1..=65_535),
    ("notifications.email.fallback.timeout_seconds", 1..=10 * MINUTE),
    ("notifications.sms.timeout_seconds", 1..=10 * MINUTE),
    ("notifications.sms.rate_per_minute", 1..=1_000_000),
    ("notifications.sms.fallback.timeout_seconds", 1..=10 * MINUTE),
    // It holds up the end of the process.
    ("telemetry.timeout_seconds", 1..=MINUTE),
    // 30 days.
    ("idempotency.hours", 1..=720),
    ("changes.retention_days", 1..=36_500),
];

/// The values of a number that [`RANGES`] lists, as text.
pub(super) fn allowed(key: &str) -> Option<String> {
    let (_, range) = RANGES.iter().find(|(ranged, _)| *ranged == key)?;
    Some(described(key, range))
}

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_address(config.database_url.reveal()).map_err(|reason| ConfigError(format!("database_url {reason}")))?;
    let values = serde_json::to_value(config).map_err(|error| ConfigError(error.to_string()))?;
    for (key, range) in RANGES {
        // A setting without a value isn't listed.
        if let Some(number) = values.pointer(&pointer(key)).and_then(serde_json::Value::as_u64) {
            between(key, number, range.clone())?;
        }
    }
    require(
        !(config.database.distributed && config.database_url.is_sqlite()),
        "database.distributed needs PostgreSQL with the extension Citus, and database_url names a SQLite file",
    )?;
    require(
        config.answers.bytes >= SMALLEST_ANSWER_BYTES,
        format!(
            "answers.bytes must be at least {SMALLEST_ANSWER_BYTES}: the largest client that may be stored must fit"
        ),
    )?;
    require(
        config.answers.bytes_together / 2 >= config.answers.bytes,
        "answers.bytes_together must be at least twice answers.bytes",
    )?;
    check_replicas(config)?;
    check_graphql(&config.graphql)?;
    check_cors(&config.cors)?;
    check_authentication(&config.authentication)?;
    check_certificate(&config.http)?;
    check_notifications(&config.notifications)?;
    check_audit(&config.audit)?;
    let telemetry = config.telemetry.check();
    telemetry.map_err(|reason| ConfigError(reason.to_owned()))?;
    require(
        tracing_subscriber::EnvFilter::try_new(&config.log.filter).is_ok(),
        "log.filter must be a level, or levels by module, as in `info` or `warn,clientele=debug,http_server=info`",
    )
}

fn check_replicas(config: &Config) -> Result<(), ConfigError> {
    let urls = &config.database.replica_urls;
    require(
        urls.is_empty() || !config.database_url.is_sqlite(),
        "database.replica_urls needs PostgreSQL: remove it, or set database_url to a PostgreSQL server",
    )?;
    for (at, url) in urls.iter().enumerate() {
        // Numbered from 1, as in the log and the metrics.
        let address = format!("address {} of database.replica_urls", at + 1);
        let checked = match Dialect::of(url.reveal()) {
            Dialect::Postgres => check_address(url.reveal()),
            Dialect::Sqlite => Err("must be an address of PostgreSQL, as in postgres://USER:PASSWORD@HOST/NAME".into()),
        };
        checked.map_err(|reason| ConfigError(format!("{address} {reason}")))?;
        require(
            !urls[..at].contains(url),
            format!("{address} is listed twice: remove one of them"),
        )?;
    }
    Ok(())
}

/// The JSON pointer of a setting.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn check_graphql(settings: &GraphqlSettings) -> Result<(), ConfigError> {
    let trusted = settings.trusted_documents;
    require(
        (trusted != TrustedDocuments::Off) == settings.trusted_documents_file.is_some(),
        "graphql.trusted_documents and graphql.trusted_documents_file need each other",
    )?;
    require(
        trusted != TrustedDocuments::Only || settings.persisted_query_bytes == 0,
        "graphql.persisted_query_bytes must be 0 where graphql.trusted_documents is only",
    )
}

fn check_cors(settings: &CorsSettings) -> Result<(), ConfigError> {
    let is_origin = |origin: &String| HeaderValue::from_str(origin).is_ok() && cors::is_origin(origin);
    require(
        settings.allowed_origins.iter().all(is_origin),
        "cors.allowed_origins must be origins, as in https://app.bank.test or http://localhost:5173",
    )?;
    require(
        settings
            .allowed_headers
            .iter()
            .all(|name| cors::header_name(name).is_some()),
        "cors.allowed_headers must be names of headers, as in x-request-id: list each one, as * is not supported",
    )
}

fn check_authentication(settings: &AuthenticationSettings) -> Result<(), ConfigError> {
    let (sessions, jwt) = (&settings.sessions, &settings.jwt);
    require(
        sessions.idle_seconds >= sessions.access_token_seconds,
        "authentication.sessions.idle_seconds must be at least access_token_seconds: otherwise a session ends before \
         its access token",
    )?;
    require(
        sessions.lifetime_seconds >= sessions.idle_seconds,
        "authentication.sessions.lifetime_seconds must be at least idle_seconds",
    )?;
    // The keys must outlive a failed fetch and its retry.
    require(
        jwt.jwks_max_age_seconds >= jwt.jwks_refresh_seconds.saturating_mul(2),
        "authentication.jwt.jwks_max_age_seconds must be at least twice jwks_refresh_seconds",
    )?;
    // The address is printed with the configuration. The error doesn't repeat it: it may contain a password.
    require(
        !Url::parse(&jwt.jwks_url).is_ok_and(|url| has_credentials(&url)),
        "authentication.jwt.jwks_url must not hold credentials: published keys are fetched without",
    )?;
    // The guard validates the issuer's keys and algorithms itself.
    Guard::new(settings.clone()).map(|_| ()).map_err(ConfigError)
}

fn check_certificate(settings: &HttpSettings) -> Result<(), ConfigError> {
    let (certificate, key) = (settings.certificate_file.is_some(), settings.key_file.is_some());
    require(key || !certificate, "http.key_file is missing: there is a certificate")?;
    require(certificate || !key, "http.certificate_file is missing: there is a key")
}

fn check_notifications(settings: &NotificationSettings) -> Result<(), ConfigError> {
    check_email(&settings.email)?;
    check_sms(&settings.sms)?;
    let (base, longest) = (settings.backoff_base_seconds, settings.backoff_longest_seconds);
    between("notifications.backoff_longest_seconds", longest, base..=DAY)?;
    let (pause, longest) = (settings.breaker_pause_seconds, settings.breaker_longest_pause_seconds);
    between("notifications.breaker_longest_pause_seconds", longest, pause..=DAY)?;
    // If a lease ended during its attempt, a second worker could send the same message.
    let timeouts = Channel::ALL.map(|channel| settings.timeout_seconds(channel));
    let timeout = timeouts.into_iter().max().unwrap_or_default();
    let shortest = 2 * timeout + 11;
    between("notifications.lease_seconds", settings.lease_seconds, shortest..=DAY)
}

fn check_email(settings: &EmailSettings) -> Result<(), ConfigError> {
    let section = "notifications.email";
    let sends = settings.transport != EmailTransport::Log;
    check_mail_server(section, &settings.primary())?;
    require(
        !sends || !settings.host.is_empty(),
        "notifications.email.host is missing: with transport = \"smtp\" there must be a mail server",
    )?;
    require(
        !sends || !settings.from.is_empty(),
        "notifications.email.from is missing: with transport = \"smtp\" there must be a sender",
    )?;
    let fallback = &settings.fallback;
    check_mail_server("notifications.email.fallback", fallback)?;
    if *fallback == EmailProviderSettings::default() {
        return Ok(());
    }
    require(
        !fallback.host.is_empty(),
        "notifications.email.fallback.host is missing: other settings of the fallback are set",
    )?;
    require(
        sends,
        "notifications.email.fallback needs notifications.email.transport = \"smtp\" and notifications.email.host: \
         without them, nothing is sent",
    )?;
    let account = |provider: &EmailProviderSettings| {
        let host = provider.host.to_ascii_lowercase();
        (host, provider.port(), provider.username.clone())
    };
    require(
        account(fallback) != account(&settings.primary()),
        "notifications.email.fallback must be another mail server than the first one, or another account there",
    )
}

/// Checks the settings of a mail server. `section` is their name.
fn check_mail_server(section: &str, settings: &EmailProviderSettings) -> Result<(), ConfigError> {
    let (from, host) = (&settings.from, &settings.host);
    require(
        from.is_empty() || is_mailbox(from),
        format!("{section}.from must be an e-mail address, or a name and one as in Bank <service@bank.test>"),
    )?;
    require(
        !host.contains([':', '/', '@', ' ']) || host.parse::<IpAddr>().is_ok(),
        format!("{section}.host must be a name or an address alone, without a port or a scheme"),
    )?;
    require(
        settings.hello_name.chars().all(|letter| letter.is_ascii_graphic()),
        format!("{section}.hello_name must be a host name"),
    )?;
    check_credentials(section, &settings.username, &settings.password)?;
    require(
        settings.username.is_empty() || settings.encryption != Encryption::None || is_this_machine(host),
        format!(
            "{section}.password would go over the network unencrypted: with encryption = \"none\", credentials are for \
             a mail server on this machine only"
        ),
    )
}

fn check_sms(settings: &SmsSettings) -> Result<(), ConfigError> {
    let region = &settings.default_region;
    let sends = settings.transport == SmsTransport::Http;
    require(
        !sends || !settings.url.is_empty(),
        "notifications.sms.url is missing: with transport = \"http\" there must be a gateway",
    )?;
    require(
        !sends || !settings.from.is_empty(),
        "notifications.sms.from is missing: with transport = \"http\" there must be a sender",
    )?;
    check_gateway("notifications.sms", &settings.primary())?;
    require(
        region.is_empty() || is_region(region),
        "notifications.sms.default_region must be a country's two letters, as in US",
    )?;
    QuietHours::new(&settings.quiet_hours)
        .map_err(|reason| ConfigError(format!("notifications.sms.quiet_hours.{reason}")))?;
    let fallback = &settings.fallback;
    check_gateway("notifications.sms.fallback", fallback)?;
    if *fallback == SmsProviderSettings::default() {
        return Ok(());
    }
    require(
        !fallback.url.is_empty(),
        "notifications.sms.fallback.url is missing: other settings of the fallback are set",
    )?;
    require(
        sends,
        "notifications.sms.fallback needs notifications.sms.transport = \"http\" and notifications.sms.url: without \
         them, nothing is sent",
    )?;
    require(
        (&fallback.url, &fallback.username) != (&settings.url, &settings.username),
        "notifications.sms.fallback must be another gateway than the first one, or another account there",
    )
}

/// Checks the settings of a gateway. `section` is their name.
fn check_gateway(section: &str, settings: &SmsProviderSettings) -> Result<(), ConfigError> {
    check_credentials(section, &settings.username, &settings.password)?;
    check_callback(section, settings.status_callback_url.reveal())?;
    match settings.url.is_empty() {
        true => Ok(()),
        false => check_url(section, &settings.url, !settings.username.is_empty()),
    }
}

/// Errors never repeat the address: it may contain a password.
fn check_url(section: &str, text: &str, with_credentials: bool) -> Result<(), ConfigError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some((url, host)) = url.as_ref().and_then(|url| Some((url, url.host_str()?))) else {
        return require(false, format!("{section}.url must begin with https:// or http://"));
    };
    require(
        !has_credentials(url),
        format!("{section}.url must not hold credentials: username and password are settings of their own"),
    )?;
    require(
        url.scheme() == "https" || !with_credentials || is_this_machine(host),
        format!(
            "{section}.password would go over the network unencrypted: with http://, credentials are for a gateway on \
             this machine only"
        ),
    )
}

/// Errors never repeat the address: it may contain a password.
fn check_callback(section: &str, text: &str) -> Result<(), ConfigError> {
    if text.is_empty() {
        return Ok(());
    }
    require(
        text.len() <= LONGEST_CALLBACK,
        format!("{section}.status_callback_url must have at most {LONGEST_CALLBACK} bytes"),
    )?;
    let url = Url::parse(text).ok();
    let is_safe = url.is_some_and(|url| match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => is_this_machine(host),
        _ => false,
    });
    require(
        is_safe,
        format!(
            "{section}.status_callback_url must begin with https://, as in \
             https://bank.test/api/notifications/receipts; http:// is for this machine only"
        ),
    )
}

fn check_credentials(section: &str, username: &str, password: &Secret) -> Result<(), ConfigError> {
    require(
        username.is_empty() || !password.is_empty(),
        format!("{section}.password is missing: there is a username"),
    )?;
    require(
        password.is_empty() || !username.is_empty(),
        format!("{section}.username is missing: there is a password"),
    )
}

fn check_audit(AuditSettings { key, previous_keys }: &AuditSettings) -> Result<(), ConfigError> {
    let long_enough = |key: &Secret| key.reveal().len() >= SHORTEST_KEY;
    require(
        key.is_empty() || long_enough(key),
        format!("audit.key must have at least {SHORTEST_KEY} characters: make one with `openssl rand -base64 32`"),
    )?;
    require(
        previous_keys.iter().all(long_enough),
        format!("each of audit.previous_keys must have at least {SHORTEST_KEY} characters"),
    )
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn between(key: &str, number: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    let allowed = described(key, &range);
    require(range.contains(&number), format!("{key} must be {allowed}"))
}

fn described(key: &str, range: &RangeInclusive<u64>) -> String {
    let allowed = match (range.start(), range.end()) {
        (0, longest) => format!("at most {longest}"),
        (least, &UNLIMITED) => format!("at least {least}"),
        (least, most) => format!("between {least} and {most}"),
    };
    if key.ends_with(".rate_per_minute") {
        return format!("{allowed}; leave it out for no limit");
    }
    match key {
        "idempotency.hours" => format!("{allowed}: outcomes hold personal data"),
        _ => allowed,
    }
}

fn require(holds: bool, sentence: impl Into<String>) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError(sentence.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, RANGES, pointer};

    #[test]
    fn every_range_is_that_of_a_number_in_the_settings() {
        let mut config = Config::default();
        config.notifications.email.port = Some(25);
        config.notifications.email.fallback.port = Some(25);
        config.notifications.email.rate_per_minute = Some(1);
        config.notifications.sms.rate_per_minute = Some(1);
        let values = serde_json::to_value(&config).expect("JSON");
        for (key, range) in RANGES {
            let number = values.pointer(&pointer(key)).and_then(serde_json::Value::as_u64);
            assert!(
                number.is_some_and(|number| range.contains(&number)),
                "{key}: {number:?}"
            );
        }
    }
}
