//! The ways a message can take. Each says what came of an attempt; whether and when to try again is the worker's
//! business. Knows neither worker nor database. A message's text and recipient are never logged here.

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

/// Every channel as the settings have it, with the connections it keeps. One of these serves a process.
#[derive(Debug)]
pub struct Channels {
    /// None: what would be sent is logged.
    email: Option<Email>,
    sms: Option<Sms>,
}

/// Settings that no channel can be made from, as one sentence for the person who wrote them. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Channels {
    /// Connects to nothing yet. Must be called within a runtime.
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

    /// The same with another limit on how long an attempt may take; settings know whole seconds only.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Some(email) = &mut self.email {
            email.set_timeout(timeout);
        }
        if let Some(sms) = &mut self.sms {
            sms.set_timeout(timeout);
        }
        self
    }

    /// Makes one attempt. It ends within the channel's timeout; when it is dropped before, nobody knows whether the
    /// message has gone out. `now` is the date of an e-mail, and what a provider's date for the next attempt is counted
    /// from.
    pub async fn send(&self, channel: Channel, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        match (channel, &self.email, &self.sms) {
            (Channel::Email, Some(email), _) => email.send(message, now).await,
            (Channel::Sms, _, Some(sms)) => sms.send(message, now).await,
            (Channel::Email, None, _) | (Channel::Sms, _, None) => log::send(channel, message),
        }
    }

    /// Whether messages over this channel leave the house. Without, a line in the log is all.
    pub fn sends(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email.is_some(),
            Channel::Sms => self.sms.is_some(),
        }
    }
}

/// A message as it goes out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message's key, the same at every attempt, so that whoever receives it can drop repeats.
    pub key: String,
    /// As the client's row has it: an e-mail address, or a phone number in anybody's spelling.
    pub recipient: String,
    pub content: Content,
}

/// What came of an attempt at sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it; with the name it gave it.
    Sent { provider_id: Option<String> },
    /// Another attempt may succeed.
    Deferred {
        failure: Failure,
        /// When the provider asked to be tried again.
        after: Option<Duration>,
        /// Whether the next message would most likely meet the same.
        provider_down: bool,
    },
    /// No attempt will succeed.
    Refused(Failure),
    /// Nothing is wrong with the message: the channel's settings are not what the provider accepts.
    Unusable(Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The provider's own words, for whoever may see messages. May hold the recipient: not for logs.
    pub detail: Option<String>,
}
