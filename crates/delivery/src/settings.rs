//! Settings of notifications: the channels and the retry policy. `config/check` refuses invalid values.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use clientele_core::network::ListenAddress;
use clientele_core::secret::Secret;
use clientele_domain::enums::Channel;

/// How messages are sent. Every length of time says its unit in its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationSettings {
    /// Whether the serving process sends as well. Without it, messages wait for a `clientele worker`.
    pub worker: bool,
    /// Where `clientele worker` answers /health and /metrics. None: nowhere.
    pub worker_listen: Option<ListenAddress>,
    /// Attempts under way at once on a channel, for each sending process.
    pub concurrency: u32,
    /// How often a message is tried before it is FAILED.
    pub attempts: u32,
    /// A message older than this is FAILED instead of tried again.
    pub max_age_hours: u32,
    /// The wait before the second attempt. It doubles with every further one, up to the longest.
    pub backoff_base_seconds: u64,
    pub backoff_longest_seconds: u64,
    /// How long a worker that doesn't report back keeps a message from the others.
    pub lease_seconds: u64,
    /// How long a worker with nothing to do waits before it looks again.
    pub poll_seconds: u64,
    /// Failures of the provider in a row after which a channel is left alone for a while.
    pub breaker_failures: u32,
    /// How long it is left alone the first time. It doubles with every failed try, up to the longest.
    pub breaker_pause_seconds: u64,
    pub breaker_longest_pause_seconds: u64,
    /// How long the text of a message that was sent is kept.
    pub keep_sent_bodies_days: u32,
    pub email: EmailSettings,
    pub sms: SmsSettings,
}

/// How e-mails are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmailSettings {
    pub transport: EmailTransport,
    /// The sender: an address, with a name if wanted, as in `Bank <service@bank.test>`.
    pub from: String,
    /// The mail server's name.
    pub host: String,
    /// None: the usual one of the encryption, see [`EmailSettings::port`].
    pub port: Option<u16>,
    pub encryption: Encryption,
    /// Empty: no authentication.
    pub username: String,
    pub password: Secret,
    /// A file with certificates in PEM that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What the server calls itself to the mail server. Empty: the machine's name.
    pub hello_name: String,
    /// How long an attempt may take from the first packet to the last.
    pub timeout_seconds: u64,
}

/// How SMS are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    pub transport: SmsTransport,
    /// Where the gateway takes messages: a form with To, From and Body.
    pub url: String,
    /// Empty: no authentication.
    pub username: String,
    pub password: Secret,
    /// The sender: a number or a name that the gateway knows.
    pub from: String,
    /// The country, in two letters of ISO 3166, of numbers without a country code. Empty: such numbers can't be
    /// reached.
    pub default_region: String,
    /// A file with certificates in PEM that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long an attempt may take from the first packet to the last.
    pub timeout_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailTransport {
    /// A line in the log says what would be sent, and that is all.
    Log,
    Smtp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    /// A line in the log says what would be sent, and that is all.
    Log,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Nothing but the greeting goes unencrypted. A server that doesn't offer it gets no message.
    Starttls,
    /// From the first byte.
    Tls,
    None,
}

impl NotificationSettings {
    /// How long an attempt on this channel may take.
    pub fn timeout_seconds(&self, channel: Channel) -> u64 {
        match channel {
            Channel::Email => self.email.timeout_seconds,
            Channel::Sms => self.sms.timeout_seconds,
        }
    }
}

impl EmailSettings {
    /// The port set, or the usual one of the encryption: 587, 465, 25.
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
