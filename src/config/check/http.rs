//! Checks the values of the HTTP server's settings.

use std::{ops::RangeInclusive, time::Duration};

use super::super::ConfigError;
use super::require;
use http_server::HttpSettings;

const LONGEST: Duration = Duration::from_secs(3_600);

pub(super) fn check(settings: &HttpSettings) -> Result<(), ConfigError> {
    let HttpSettings {
        certificate_file,
        key_file,
        certificate_poll,
        handshake_timeout,
        header_timeout,
        body_timeout,
        send_timeout,
        idle_timeout,
        header_bytes,
        headers,
        connections,
        connections_per_address,
        streams_per_connection,
        unsent_bytes_per_connection,
        requests,
        queue,
        burst_timeout,
        queue_timeout,
        trusted_proxies: _,
        forwarded_header: _,
    } = settings;
    require(key_file.is_some() || certificate_file.is_none(), || {
        "http.key_file is missing: there is a certificate".to_owned()
    })?;
    require(certificate_file.is_some() || key_file.is_none(), || {
        "http.certificate_file is missing: there is a key".to_owned()
    })?;
    for (key, time) in [
        ("certificate_poll_seconds", certificate_poll),
        ("handshake_timeout_seconds", handshake_timeout),
        ("header_timeout_seconds", header_timeout),
        ("body_timeout_seconds", body_timeout),
        ("send_timeout_seconds", send_timeout),
        ("idle_timeout_seconds", idle_timeout),
        ("burst_timeout_seconds", burst_timeout),
    ] {
        between(key, time.as_secs(), 1..=LONGEST.as_secs())?;
    }
    // hyper's own buffer is the minimum. With more than the maximum, ten thousand callers could fill the memory with
    // heads.
    between("header_bytes", (*header_bytes).into(), 8_192..=1_048_576)?;
    between("headers", *headers as u64, 10..=1_000)?;
    between("connections", *connections as u64, 1..=1_000_000)?;
    between(
        "connections_per_address",
        *connections_per_address as u64,
        1..=1_000_000,
    )?;
    between("streams_per_connection", (*streams_per_connection).into(), 1..=10_000)?;
    between(
        "unsent_bytes_per_connection",
        *unsent_bytes_per_connection as u64,
        0..=1_073_741_824,
    )?;
    between("requests", *requests as u64, 1..=100_000)?;
    between("queue", *queue as u64, 0..=100_000)?;
    let wait = u64::try_from(queue_timeout.as_millis()).unwrap_or(u64::MAX);
    between("queue_timeout_milliseconds", wait, 0..=60_000)
}

fn between(key: &str, number: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    require(range.contains(&number), || {
        format!("http.{key} must be between {} and {}", range.start(), range.end())
    })
}
