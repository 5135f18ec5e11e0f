//! The channels for sending messages. A channel returns the outcome of an attempt; the worker decides about retries. A
//! channel knows neither worker nor database, and never logs a message's text or recipient.

mod email;
mod log;
mod sms;
mod span;

use std::{error::Error, fmt, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::settings::{EmailSettings, EmailTransport, NotificationSettings, SmsSettings, SmsTransport};
use clientele_domain::{
    enums::{Channel, Provider, Reason},
    notify::Content,
};
use email::Email;
pub use email::is_mailbox;
use sms::Sms;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use sms::fuzzing;
pub use sms::is_region;

/// The provider's id of messages that are only logged.
pub(super) const LOGGED: &str = "log";
/// The maximum number of characters kept of a provider's text.
const LONGEST_TEXT: usize = 255;

/// All channels as configured, with the connections they keep. A process has one of these.
pub struct Channels {
    /// None: messages are only logged.
    email: Option<Providers<Email>>,
    sms: Option<Providers<Sms>>,
}

/// The providers of a channel.
struct Providers<P> {
    primary: P,
    fallback: Option<P>,
}

impl<P> Providers<P> {
    /// The first provider where there is no fallback.
    fn of(&self, provider: Provider) -> &P {
        match (provider, &self.fallback) {
            (Provider::Fallback, Some(fallback)) => fallback,
            (Provider::Fallback, None) | (Provider::Primary, _) => &self.primary,
        }
    }

    fn each(&mut self) -> impl Iterator<Item = &mut P> {
        [&mut self.primary].into_iter().chain(&mut self.fallback)
    }
}

/// Invalid channel settings, as one sentence for the operator. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Channels {
    /// Creates the channels without connecting. Must be called within a runtime.
    pub fn new(settings: &NotificationSettings) -> Result<Self, SettingsError> {
        // Must happen before the first client is created; later calls have no effect.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let email = match settings.email.transport {
            EmailTransport::Log => None,
            EmailTransport::Smtp => Some(email(&settings.email, settings.concurrency)?),
        };
        let sms = match settings.sms.transport {
            SmsTransport::Log => None,
            SmsTransport::Http => Some(sms(&settings.sms)?),
        };
        Ok(Self { email, sms })
    }

    /// Replaces the time limit of an attempt: settings have whole seconds only.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let (email, sms) = (&mut self.email, &mut self.sms);
        email
            .iter_mut()
            .flat_map(Providers::each)
            .for_each(|email| email.set_timeout(timeout));
        sms.iter_mut()
            .flat_map(Providers::each)
            .for_each(|sms| sms.set_timeout(timeout));
        self
    }

    /// Makes one attempt at a provider, within its timeout. If it is dropped earlier, it is unknown whether the message
    /// was sent. `now` is the date of an e-mail, and the base for the date of a provider's Retry-After.
    pub async fn send(&self, channel: Channel, provider: Provider, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        span::traced(channel, self.attempt(channel, provider, message, now)).await
    }

    async fn attempt(&self, channel: Channel, provider: Provider, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        match (channel, &self.email, &self.sms) {
            (Channel::Email, Some(email), _) => email.of(provider).send(message, now).await,
            (Channel::Sms, _, Some(sms)) => sms.of(provider).send(message, now).await,
            (Channel::Email, None, _) | (Channel::Sms, _, None) => log::send(channel, message),
        }
    }

    /// Reaches a provider of a channel as for a message, and sends none: signs in at the mail server, or gets any
    /// answer of the SMS gateway's host to a request without credentials. Nothing to reach is no failure.
    pub async fn probe(&self, channel: Channel, provider: Provider) -> Result<(), Failure> {
        match (channel, &self.email, &self.sms) {
            (Channel::Email, Some(email), _) => email.of(provider).probe().await,
            (Channel::Sms, _, Some(sms)) => sms.of(provider).probe().await,
            (Channel::Email, None, _) | (Channel::Sms, _, None) => Ok(()),
        }
    }

    /// Returns true when this channel sends messages to a provider; otherwise it only logs a line.
    pub fn sends(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email.is_some(),
            Channel::Sms => self.sms.is_some(),
        }
    }

    /// Returns true when this channel has a second provider.
    pub fn has_fallback(&self, channel: Channel) -> bool {
        let (email, sms) = (self.email.as_ref(), self.sms.as_ref());
        match channel {
            Channel::Email => email.is_some_and(|email| email.fallback.is_some()),
            Channel::Sms => sms.is_some_and(|sms| sms.fallback.is_some()),
        }
    }
}

/// Both providers write the same Message-ID.
fn email(settings: &EmailSettings, concurrency: u32) -> Result<Providers<Email>, SettingsError> {
    let primary = Email::new(&settings.primary(), "notifications.email", concurrency)?;
    let fallback = match settings.fallback() {
        None => None,
        Some(provider) => {
            let fallback = Email::new(&provider, "notifications.email.fallback", concurrency)?;
            Some(fallback.with_message_ids_of(&primary))
        }
    };
    Ok(Providers { primary, fallback })
}

fn sms(settings: &SmsSettings) -> Result<Providers<Sms>, SettingsError> {
    let region = &settings.default_region;
    let fallback = settings.fallback();
    let fallback = fallback.map(|provider| Sms::new(&provider, "notifications.sms.fallback", region));
    Ok(Providers {
        primary: Sms::new(&settings.primary(), "notifications.sms", region)?,
        fallback: fallback.transpose()?,
    })
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

/// A message ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message's key, the same at every attempt, so that recipients can drop repeats.
    pub key: String,
    /// The time of its last resend, if a provider had accepted it before that.
    pub resent_at: Option<DateTime<Utc>>,
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

impl Outcome {
    /// None for a message that was sent.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Sent { .. } => None,
            Self::Deferred { failure, .. } | Self::Refused(failure) | Self::Unusable(failure) => Some(failure),
        }
    }
}

/// The reason why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The provider's own words, for callers who may see messages. May contain the recipient, so it is never logged.
    pub detail: Option<String>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}

impl Failure {
    /// Another attempt may succeed, and the provider asked for no wait.
    pub(super) fn deferred(self, provider_down: bool) -> Outcome {
        Outcome::Deferred {
            failure: self,
            after: None,
            provider_down,
        }
    }
}

/// No attempt will succeed; `detail` is this server's own reason.
fn refused(reason: Reason, detail: impl Into<String>) -> Outcome {
    Outcome::Refused(Failure {
        reason,
        detail: Some(detail.into()),
    })
}

/// Reads a `ca_file`, which must contain only valid certificates. `key` is the setting that names it.
fn read_certificates(path: &Path, key: &str) -> Result<Vec<u8>, SettingsError> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| SettingsError(format!("{key}: can't read {shown}: {error}")))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| SettingsError(format!("{key}: {shown} is not PEM")))?;
    if certificates.is_empty() {
        return Err(SettingsError(format!("{key}: {shown} holds no certificate in PEM")));
    }
    for certificate in certificates {
        RootCertStore::empty()
            .add(certificate)
            .map_err(|_| SettingsError(format!("{key}: {shown} holds a certificate that can't be used")))?;
    }
    Ok(pem)
}

/// Cleans a provider's text for storage and display: one line of limited length. None when nothing is left.
fn cleaned(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_TEXT)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The root cause of an error: libraries wrap it in texts of their own.
fn root_cause(error: &(dyn Error + 'static)) -> Option<String> {
    cleaned(&chain(error).last().unwrap_or(error).to_string())
}

/// Returns true when an error was caused by TLS, at any depth.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<rustls::Error>())
}

/// An error and its causes. An I/O error hides its inner error from `source`, but not from `get_ref`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn words_are_one_line_of_at_most_255_characters() {
        for (text, kept) in [
            ("2.0.0 Ok\r\n", Some("2.0.0 Ok".to_owned())),
            ("a\r\nb\tc\0d\u{85}e", Some("a  b c d e".to_owned())),
            ("\r\n", None),
            ("", None),
            (&"é".repeat(300), Some("é".repeat(255))),
        ] {
            assert_eq!(cleaned(text), kept);
        }
    }
}
