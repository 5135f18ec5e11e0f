//! Settings of notifications: the channels and the retry policy. `config/check` refuses invalid values.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use clientele_core::network::ListenAddress;
use clientele_core::secret::Secret;
use clientele_domain::{
    enums::Channel,
    message_guard::{MessageLimits, MessageSettings},
};

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
    /// The retention of a message from its creation on, unless it is still to be sent. 0 keeps it as long as its
    /// client.
    pub keep_messages_days: u32,
    /// Limits of the messages that changes of clients raise.
    pub limits: MessageLimits,
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
    /// None: the default of the encryption, see [`EmailProviderSettings::port`].
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
    /// The maximum number of attempts in a minute, of all processes together. None: no limit.
    pub rate_per_minute: Option<u32>,
    /// Takes messages while the first provider fails. Without a host, there is none.
    pub fallback: EmailProviderSettings,
}

/// A mail server that messages can be sent to. The members have the meaning of those of [`EmailSettings`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmailProviderSettings {
    /// Of a fallback, empty: the sender of the first provider.
    pub from: String,
    pub host: String,
    pub port: Option<u16>,
    pub encryption: Encryption,
    pub username: String,
    pub password: Secret,
    pub ca_file: Option<PathBuf>,
    pub hello_name: String,
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
    /// The URL that the gateway sends its delivery receipts to. May hold credentials. Empty: not sent with messages.
    pub status_callback_url: Secret,
    /// The country (two letters, ISO 3166) of numbers without a country code. Empty: messages to such numbers fail.
    pub default_region: String,
    /// A file with PEM certificates that are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The time limit of an attempt, including connecting.
    pub timeout_seconds: u64,
    /// The maximum number of attempts in a minute, of all processes together. None: no limit.
    pub rate_per_minute: Option<u32>,
    pub quiet_hours: QuietHoursSettings,
    /// Takes messages while the first provider fails. Without a URL, there is none.
    pub fallback: SmsProviderSettings,
}

/// An SMS gateway that messages can be sent to. The members have the meaning of those of [`SmsSettings`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsProviderSettings {
    pub url: String,
    pub username: String,
    pub password: Secret,
    /// Of a fallback, empty: the sender of the first provider.
    pub from: String,
    /// A fallback has its own: without one, its receipts aren't asked for.
    pub status_callback_url: Secret,
    pub ca_file: Option<PathBuf>,
    pub timeout_seconds: u64,
}

/// The hours of each day in which no attempt begins. All three are set, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuietHoursSettings {
    /// The time at which they begin, as in `21:00`.
    pub from: String,
    /// The time at which they end. An earlier time than `from` is one of the next day.
    pub to: String,
    /// The time zone of both, as in `Europe/Berlin`.
    pub zone: String,
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
    /// The settings by which messages are raised.
    pub fn message_settings(&self) -> MessageSettings {
        MessageSettings {
            limits: self.limits,
            region: self.sms.default_region.clone(),
        }
    }

    /// The longest time limit of an attempt on this channel.
    pub fn timeout_seconds(&self, channel: Channel) -> u64 {
        let (primary, fallback) = match channel {
            Channel::Email => (
                self.email.timeout_seconds,
                self.email.fallback().map(|provider| provider.timeout_seconds),
            ),
            Channel::Sms => (
                self.sms.timeout_seconds,
                self.sms.fallback().map(|provider| provider.timeout_seconds),
            ),
        };
        primary.max(fallback.unwrap_or_default())
    }

    pub fn rate_per_minute(&self, channel: Channel) -> Option<u32> {
        match channel {
            Channel::Email => self.email.rate_per_minute,
            Channel::Sms => self.sms.rate_per_minute,
        }
    }
}

impl EmailSettings {
    /// The first provider.
    pub fn primary(&self) -> EmailProviderSettings {
        EmailProviderSettings {
            from: self.from.clone(),
            host: self.host.clone(),
            port: self.port,
            encryption: self.encryption,
            username: self.username.clone(),
            password: self.password.clone(),
            ca_file: self.ca_file.clone(),
            hello_name: self.hello_name.clone(),
            timeout_seconds: self.timeout_seconds,
        }
    }

    /// The fallback with its sender, if it is configured.
    pub fn fallback(&self) -> Option<EmailProviderSettings> {
        let mut fallback = self.fallback.clone();
        if fallback.from.is_empty() {
            fallback.from.clone_from(&self.from);
        }
        (!fallback.host.is_empty()).then_some(fallback)
    }
}

impl EmailProviderSettings {
    /// The configured port, or the default of the encryption: 587, 465, 25.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.encryption {
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        })
    }
}

impl SmsSettings {
    /// The first provider.
    pub fn primary(&self) -> SmsProviderSettings {
        SmsProviderSettings {
            url: self.url.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            from: self.from.clone(),
            status_callback_url: self.status_callback_url.clone(),
            ca_file: self.ca_file.clone(),
            timeout_seconds: self.timeout_seconds,
        }
    }

    /// The fallback with its sender, if it is configured.
    pub fn fallback(&self) -> Option<SmsProviderSettings> {
        let mut fallback = self.fallback.clone();
        if fallback.from.is_empty() {
            fallback.from.clone_from(&self.from);
        }
        (!fallback.url.is_empty()).then_some(fallback)
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
            limits: MessageLimits::default(),
            email: EmailSettings::default(),
            sms: SmsSettings::default(),
        }
    }
}

impl Default for EmailSettings {
    fn default() -> Self {
        let EmailProviderSettings {
            from,
            host,
            port,
            encryption,
            username,
            password,
            ca_file,
            hello_name,
            timeout_seconds,
        } = EmailProviderSettings::default();
        Self {
            transport: EmailTransport::Log,
            from,
            host,
            port,
            encryption,
            username,
            password,
            ca_file,
            hello_name,
            timeout_seconds,
            rate_per_minute: None,
            fallback: EmailProviderSettings::default(),
        }
    }
}

impl Default for EmailProviderSettings {
    fn default() -> Self {
        Self {
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
        let SmsProviderSettings {
            url,
            username,
            password,
            from,
            status_callback_url,
            ca_file,
            timeout_seconds,
        } = SmsProviderSettings::default();
        Self {
            transport: SmsTransport::Log,
            url,
            username,
            password,
            from,
            status_callback_url,
            default_region: String::new(),
            ca_file,
            timeout_seconds,
            rate_per_minute: None,
            quiet_hours: QuietHoursSettings::default(),
            fallback: SmsProviderSettings::default(),
        }
    }
}

impl Default for SmsProviderSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            from: String::new(),
            status_callback_url: Secret::default(),
            ca_file: None,
            timeout_seconds: 15,
        }
    }
}
