//! Settings of notifications: the channels and the retry policy. `config/check` refuses invalid values.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use clientele_core::network::ListenAddress;
use clientele_core::secret::Secret;
use clientele_domain::enums::Channel;

/// Settings for sending messages. Each duration has its unit in its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationSettings {
    /// True if the serving process also sends. If not, messages wait for a `clientele worker`.
    pub worker: bool,
    /// The address on which `clientele worker` answers /health and /metrics. None: not served.
    pub worker_listen: Option<ListenAddress>,
    /// Concurrent attempts on one channel, for each sending process.
    pub concurrency: u32,
    /// The maximum number of attempts before a message is FAILED.
    pub attempts: u32,
    /// An older message is FAILED instead of retried.
    pub max_age_hours: u32,
    /// The bound of the wait before the second attempt. It doubles with every further one, up to the longest.
    pub backoff_base_seconds: u64,
    pub backoff_longest_seconds: u64,
    /// The lease of a claimed message: a worker that doesn't report back keeps it from others for this long.
    pub lease_seconds: u64,
    /// The pause of an idle worker before it looks for due messages again.
    pub poll_seconds: u64,
    /// The failures in a row after which a channel is paused.
    pub breaker_failures: u32,
    /// The first pause of a channel. It doubles with every failed try, up to the longest.
    pub breaker_pause_seconds: u64,
    pub breaker_longest_pause_seconds: u64,
    /// The retention of the text of a sent message.
    pub keep_sent_bodies_days: u32,
    /// The retention of a message from its creation on, unless it is still to be sent. 0 keeps it as long as its client.
    pub keep_messages_days: u32,
    pub email: EmailSettings,
    pub sms: SmsSettings,
}

/// Settings for sending e-mails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmailSettings {
    pub transport: EmailTransport,
    /// The sender: an address with an optional name, as in `Bank <service@bank.test>`.
    pub from: String,
    /// The mail server's host name.
    pub host: String,
    /// None: the default of the encryption, see [`EmailSettings::port`].
    pub port: Option<u16>,
    pub encryption: Encryption,
    /// Empty: no authentication.
    pub username: String,
    pub password: Secret,
    /// A file with PEM certificates that are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The name that the server sends in EHLO. Empty: the machine's name.
    pub hello_name: String,
    /// The time limit of an attempt, including connecting.
    pub timeout_seconds: u64,
}

/// Settings for sending SMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    pub transport: SmsTransport,
    /// The gateway's URL, which accepts a form with To, From and Body.
    pub url: String,
    /// Empty: no authentication.
    pub username: String,
    pub password: Secret,
    /// The sender: a number or a name that the gateway accepts.
    pub from: String,
    /// The country (two letters, ISO 3166) of numbers without a country code. Empty: messages to such numbers fail.
    pub default_region: String,
    /// A file with PEM certificates that are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The time limit of an attempt, including connecting.
    pub timeout_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailTransport {
    /// Messages are only logged.
    Log,
    Smtp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    /// Messages are only logged.
    Log,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Only the greeting is unencrypted. A server without STARTTLS gets no message.
    Starttls,
    /// Encrypted from the first byte (implicit TLS).
    Tls,
    None,
}

impl NotificationSettings {
    /// The time limit of an attempt on this channel.
    pub fn timeout_seconds(&self, channel: Channel) -> u64 {
        match channel {
            Channel::Email => self.email.timeout_seconds,
            Channel::Sms => self.sms.timeout_seconds,
        }
    }
}

impl EmailSettings {
    /// The configured port, or the default of the encryption: 587, 465, 25.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.encryption {
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        })
    }
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            worker: true,
            worker_listen: None,
            concurrency: 8,
            attempts: 20,
            max_age_hours: 48,
            backoff_base_seconds: 30,
            backoff_longest_seconds: 21_600,
            lease_seconds: 120,
            poll_seconds: 1,
            breaker_failures: 5,
            breaker_pause_seconds: 30,
            breaker_longest_pause_seconds: 300,
            keep_sent_bodies_days: 30,
            keep_messages_days: 0,
            email: EmailSettings::default(),
            sms: SmsSettings::default(),
        }
    }
}

impl Default for EmailSettings {
    fn default() -> Self {
        Self {
            transport: EmailTransport::Log,
            from: String::new(),
            host: String::new(),
            port: None,
            encryption: Encryption::Starttls,
            username: String::new(),
            password: Secret::default(),
            ca_file: None,
            hello_name: String::new(),
            timeout_seconds: 15,
        }
    }
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            transport: SmsTransport::Log,
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            from: String::new(),
            default_region: String::new(),
            ca_file: None,
            timeout_seconds: 15,
        }
    }
}
