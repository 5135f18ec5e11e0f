//! Validates the settings of notifications. Files and servers are checked by
//! [`Channels::new`](clientele_delivery::channel::Channels::new), once a channel is needed.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use reqwest::Url;

use super::super::ConfigError;
use super::require;
use clientele_core::secret::Secret;
use clientele_delivery::channel::{is_mailbox, is_region};
use clientele_delivery::settings::{
    EmailSettings, EmailTransport, Encryption, NotificationSettings, SmsSettings, SmsTransport,
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
const LONGEST_TIMEOUT_SECONDS: u64 = 600;

pub(super) fn check(settings: &NotificationSettings) -> Result<(), ConfigError> {
    let NotificationSettings {
        worker: _,
        worker_listen: _,
        concurrency,
        attempts,
        max_age_hours,
        backoff_base_seconds,
        backoff_longest_seconds,
        lease_seconds,
        poll_seconds,
        breaker_failures,
        breaker_pause_seconds,
        breaker_longest_pause_seconds,
        keep_sent_bodies_days,
        email,
        sms,
    } = settings;
    between("concurrency", (*concurrency).into(), 1..=256)?;
    between("attempts", (*attempts).into(), 1..=1_000)?;
    between("max_age_hours", (*max_age_hours).into(), 1..=24 * 365)?;
    between("backoff_base_seconds", *backoff_base_seconds, 1..=HOUR)?;
    between(
        "backoff_longest_seconds",
        *backoff_longest_seconds,
        *backoff_base_seconds..=DAY,
    )?;
    between("poll_seconds", *poll_seconds, 1..=HOUR)?;
    between("breaker_failures", (*breaker_failures).into(), 1..=1_000)?;
    between("breaker_pause_seconds", *breaker_pause_seconds, 1..=HOUR)?;
    let longest = *breaker_longest_pause_seconds;
    between("breaker_longest_pause_seconds", longest, *breaker_pause_seconds..=DAY)?;
    between("keep_sent_bodies_days", (*keep_sent_bodies_days).into(), 0..=36_500)?;
    check_email(email)?;
    check_sms(sms)?;
    // If a lease ended during its attempt, a second worker could send the same message.
    let timeout = email.timeout_seconds.max(sms.timeout_seconds);
    between("lease_seconds", *lease_seconds, 2 * timeout + 11..=DAY)
}

fn check_email(settings: &EmailSettings) -> Result<(), ConfigError> {
    let EmailSettings {
        transport,
        from,
        host,
        port,
        encryption,
        username,
        password,
        ca_file: _,
        hello_name,
        timeout_seconds,
    } = settings;
    require(from.is_empty() || is_mailbox(from), || {
        "notifications.email.from must be an e-mail address, or a name and one as in Bank <service@bank.test>"
            .to_owned()
    })?;
    require(*transport == EmailTransport::Log || !host.is_empty(), || {
        "notifications.email.host is missing: with transport = \"smtp\" there must be a mail server".to_owned()
    })?;
    require(
        !host.contains([':', '/', '@', ' ']) || host.parse::<IpAddr>().is_ok(),
        || "notifications.email.host must be a name or an address alone, without a port or a scheme".to_owned(),
    )?;
    require(*port != Some(0), || {
        "notifications.email.port must be between 1 and 65535".to_owned()
    })?;
    require(!hello_name.contains(|letter: char| !letter.is_ascii_graphic()), || {
        "notifications.email.hello_name must be a host name".to_owned()
    })?;
    credentials("email", username, password)?;
    require(
        username.is_empty() || *encryption != Encryption::None || is_this_machine(host),
        || {
            "notifications.email.password would go over the network unencrypted: with encryption = \"none\", credentials are \
         for a mail server on this machine only"
            .to_owned()
        },
    )?;
    require(*transport == EmailTransport::Log || !from.is_empty(), || {
        "notifications.email.from is missing: with transport = \"smtp\" there must be a sender".to_owned()
    })?;
    between("email.timeout_seconds", *timeout_seconds, 1..=LONGEST_TIMEOUT_SECONDS)
}

fn check_sms(settings: &SmsSettings) -> Result<(), ConfigError> {
    let SmsSettings {
        transport,
        url,
        username,
        password,
        from,
        default_region,
        ca_file: _,
        timeout_seconds,
    } = settings;
    let http = *transport == SmsTransport::Http;
    require(!http || !url.is_empty(), || {
        "notifications.sms.url is missing: with transport = \"http\" there must be a gateway".to_owned()
    })?;
    require(!http || !from.is_empty(), || {
        "notifications.sms.from is missing: with transport = \"http\" there must be a sender".to_owned()
    })?;
    credentials("sms", username, password)?;
    if !url.is_empty() {
        check_url(url, !username.is_empty())?;
    }
    require(default_region.is_empty() || is_region(default_region), || {
        "notifications.sms.default_region must be a country's two letters, as in US".to_owned()
    })?;
    between("sms.timeout_seconds", *timeout_seconds, 1..=LONGEST_TIMEOUT_SECONDS)
}

/// Errors never repeat the address: it may contain a password.
fn check_url(text: &str, with_credentials: bool) -> Result<(), ConfigError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some((url, host)) = url.as_ref().and_then(|url| Some((url, url.host_str()?))) else {
        return Err(ConfigError(
            "notifications.sms.url must begin with https:// or http://".to_owned(),
        ));
    };
    require(url.username().is_empty() && url.password().is_none(), || {
        "notifications.sms.url must not hold credentials: username and password are settings of their own".to_owned()
    })?;
    let host = host.trim_matches(['[', ']']);
    require(
        url.scheme() == "https" || !with_credentials || is_this_machine(host),
        || {
            "notifications.sms.password would go over the network unencrypted: with http://, credentials are for a gateway on \
         this machine only"
            .to_owned()
        },
    )
}

fn credentials(channel: &str, username: &str, password: &Secret) -> Result<(), ConfigError> {
    let section = format!("notifications.{channel}");
    require(username.is_empty() || !password.is_empty(), || {
        format!("{section}.password is missing: there is a username")
    })?;
    require(password.is_empty() || !username.is_empty(), || {
        format!("{section}.username is missing: there is a password")
    })
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn between(key: &str, number: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    require(range.contains(&number), || {
        format!(
            "notifications.{key} must be between {} and {}",
            range.start(),
            range.end()
        )
    })
}
