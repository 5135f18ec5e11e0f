//! SMS over an HTTP gateway: a form sent by POST, in the format of Twilio's API, which other gateways share.

mod answer;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod number;

use std::time::Duration;

use chrono::{DateTime, Utc};
use phonenumber::country;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use super::super::settings::SmsSettings;
use super::{Failure, Outcome, Outgoing, SettingsError, trust};
use clientele_core::secret::Secret;
use clientele_domain::enums::Reason;

/// Twilio's limit for one message, in characters; it is sent in up to ten parts.
const LONGEST: usize = 1_600;

#[derive(Debug)]
pub(super) struct Sms {
    client: Client,
    url: Url,
    credentials: Option<(String, Secret)>,
    from: String,
    region: Option<country::Id>,
    timeout: Duration,
}

/// Returns true when `text` is a country code with known phone numbers.
pub fn is_region(text: &str) -> bool {
    number::region(text).is_some()
}

impl Sms {
    pub(super) fn new(settings: &SmsSettings) -> Result<Self, SettingsError> {
        let key = "notifications.sms";
        let wrong = |setting: &str, reason: &dyn std::fmt::Display| SettingsError(format!("{key}.{setting}: {reason}"));
        // A redirect would send message and password to a host that the settings don't name.
        let mut client = Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("clientele/", env!("CARGO_PKG_VERSION")));
        if settings.url.starts_with("http:") {
            // Only loopback addresses are allowed without encryption, and no proxy may read the messages.
            client = client.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let pem = trust::pem(path, &format!("{key}.ca_file"))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong("ca_file", &error))?;
            client = client.tls_certs_merge(certificates);
        }
        let region = match settings.default_region.as_str() {
            "" => None,
            text => Some(number::region(text).ok_or_else(|| wrong("default_region", &"no such country"))?),
        };
        Ok(Self {
            client: client.build().map_err(|_| {
                SettingsError(format!(
                    "{key}: no encryption is possible, as the system has no certificates"
                ))
            })?,
            // The error would quote the address, which may contain a password.
            url: settings.url.parse().map_err(|_| wrong("url", &"not an address"))?,
            credentials: (!settings.username.is_empty())
                .then(|| (settings.username.clone(), settings.password.clone())),
            from: settings.from.clone(),
            region,
            timeout: Duration::from_secs(settings.timeout_seconds),
        })
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(super) async fn send(&self, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        let text = &message.content.text;
        let length = text.chars().count();
        if length > LONGEST {
            let detail = format!("{length} characters, of at most {LONGEST}");
            return refused(Reason::TooLong, detail);
        }
        let Some(to) = number::e164(&message.recipient, self.region) else {
            return refused(Reason::InvalidRecipient, self.why_unreachable().to_owned());
        };
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(self.timeout)
            .header("Idempotency-Key", &message.key)
            .form(&[("To", to.as_str()), ("From", &self.from), ("Body", text)]);
        if let Some((username, password)) = &self.credentials {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        match request.send().await {
            Ok(response) => answer::outcome(response, now).await,
            Err(error) => answer::none(error),
        }
    }

    fn why_unreachable(&self) -> &'static str {
        match self.region {
            Some(_) => "this is not a phone number",
            None => {
                "this is not a phone number with + and a country code, and notifications.sms.default_region is empty"
            }
        }
    }
}

fn refused(reason: Reason, detail: String) -> Outcome {
    Outcome::Refused(Failure {
        reason,
        detail: Some(detail),
    })
}
