//! The channels for sending messages. A channel returns the outcome of an attempt; the worker decides about retries. A
//! channel knows neither worker nor database, and never logs a message's text or recipient.

mod email;
mod log;
mod sms;
mod trust;
mod words;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::settings::{EmailTransport, NotificationSettings, SmsTransport};
use clientele_domain::{
    enums::{Channel, Reason},
    notify::content::Content,
};
use email::Email;
pub use email::is_mailbox;
use sms::Sms;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use sms::fuzzing;
pub use sms::is_region;

/// All channels as configured, with the connections they keep. A process has one of these.
#[derive(Debug)]
pub struct Channels {
    /// None: messages are only logged.
    email: Option<Email>,
    sms: Option<Sms>,
}

/// Invalid channel settings, as one sentence for the operator. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Channels {
    /// Creates the channels without connecting. Must be called within a runtime.
    pub fn new(settings: &NotificationSettings) -> Result<Self, SettingsError> {
        trust::install_cryptography();
        let email = match settings.email.transport {
            EmailTransport::Log => None,
            EmailTransport::Smtp => Some(Email::new(&settings.email, settings.concurrency)?),
        };
        let sms = match settings.sms.transport {
            SmsTransport::Log => None,
            SmsTransport::Http => Some(Sms::new(&settings.sms)?),
        };
        Ok(Self { email, sms })
    }

    /// Replaces the time limit of an attempt: settings have whole seconds only.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Some(email) = &mut self.email {
            email.set_timeout(timeout);
        }
        if let Some(sms) = &mut self.sms {
            sms.set_timeout(timeout);
        }
        self
    }

    /// Makes one attempt, within the channel's timeout. If it is dropped earlier, it is unknown whether the message was
    /// sent. `now` is the date of an e-mail, and the base for the date of a provider's Retry-After.
    pub async fn send(&self, channel: Channel, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        match (channel, &self.email, &self.sms) {
            (Channel::Email, Some(email), _) => email.send(message, now).await,
            (Channel::Sms, _, Some(sms)) => sms.send(message, now).await,
            (Channel::Email, None, _) | (Channel::Sms, _, None) => log::send(channel, message),
        }
    }

    /// Returns true when this channel sends messages to a provider; otherwise it only logs a line.
    pub fn sends(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email.is_some(),
            Channel::Sms => self.sms.is_some(),
        }
    }
}

/// A message ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message's key, the same at every attempt, so that recipients can drop repeats.
    pub key: String,
    /// As stored for the client: an e-mail address, or a phone number in any notation.
    pub recipient: String,
    pub content: Content,
}

/// The outcome of an attempt at sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider accepted it; with the provider's id.
    Sent { provider_id: Option<String> },
    /// Another attempt may succeed.
    Deferred {
        failure: Failure,
        /// The wait that the provider asked for.
        after: Option<Duration>,
        /// True when the next message would most likely fail as well.
        provider_down: bool,
    },
    /// No attempt will succeed.
    Refused(Failure),
    /// The message is fine, but the provider refuses the channel's settings.
    Unusable(Failure),
}

/// The reason why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The provider's own words, for callers who may see messages. May contain the recipient, so it is never logged.
    pub detail: Option<String>,
}
