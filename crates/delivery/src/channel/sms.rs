//! SMS over an HTTP gateway: a form sent by POST, in the format of Twilio's API, which other gateways share.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::super::settings::SmsProviderSettings;
use super::{Failure, Outcome, Outgoing, SettingsError, cleaned, is_tls, read_certificates, refused, root_cause};
use clientele_core::{
    phone_number::{self as number, Region},
    secret::Secret,
    trace::{self, TRACEPARENT},
};
use clientele_domain::enums::Reason;

/// Twilio's limit for one message, in characters; it is sent in up to ten parts.
const LONGEST_MESSAGE: usize = 1_600;
/// The maximum number of bytes read of a response.
const LARGEST_RESPONSE: usize = 64 * 1024;
/// A longer Retry-After is taken for a mistake of the gateway.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The members of a response as raw JSON. Only the needed ones are parsed: the others may be nested to any depth.
type RawMembers<'a> = HashMap<String, &'a RawValue>;

pub(super) struct Sms {
    client: Client,
    url: Url,
    credentials: Option<(String, Secret)>,
    from: String,
    /// Empty: not sent.
    status_callback_url: Secret,
    region: Option<Region>,
    timeout: Duration,
}

/// Returns true when `text` is a country code with known phone numbers.
pub fn is_region(text: &str) -> bool {
    number::region(text).is_some()
}

impl Sms {
    /// `section` is the settings' name, `region` the country of numbers without a country code.
    pub(super) fn new(settings: &SmsProviderSettings, section: &str, region: &str) -> Result<Self, SettingsError> {
        let wrong =
            |setting: &str, reason: &dyn std::fmt::Display| SettingsError(format!("{section}.{setting}: {reason}"));
        // A redirect would send message and password to a host that the settings don't name.
        let mut client = Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("clientele/", env!("CARGO_PKG_VERSION")));
        if settings.url.starts_with("http:") {
            // Only loopback addresses are allowed without encryption, and no proxy may read the messages.
            client = client.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let pem = read_certificates(path, &format!("{section}.ca_file"))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong("ca_file", &error))?;
            client = client.tls_certs_merge(certificates);
        }
        let region = match region {
            "" => None,
            text => {
                let unknown = || SettingsError("notifications.sms.default_region: no such country".to_owned());
                Some(number::region(text).ok_or_else(unknown)?)
            }
        };
        Ok(Self {
            client: client.build().map_err(|_| {
                SettingsError(format!(
                    "{section}: no encryption is possible, as the system has no certificates"
                ))
            })?,
            // The error would quote the address, which may contain a password.
            url: settings.url.parse().map_err(|_| wrong("url", &"not an address"))?,
            credentials: (!settings.username.is_empty())
                .then(|| (settings.username.clone(), settings.password.clone())),
            from: settings.from.clone(),
            status_callback_url: settings.status_callback_url.clone(),
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
        if length > LONGEST_MESSAGE {
            let detail = format!("{length} characters, of at most {LONGEST_MESSAGE}");
            return refused(Reason::TooLong, detail);
        }
        let Some(to) = number::e164(&message.recipient, self.region) else {
            return refused(Reason::InvalidRecipient, self.why_unreachable());
        };
        let mut form = vec![("To", to.as_str()), ("From", &self.from), ("Body", text)];
        if !self.status_callback_url.is_empty() {
            form.push(("StatusCallback", self.status_callback_url.reveal()));
        }
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(self.timeout)
            .header("Idempotency-Key", idempotency_key(message))
            .form(&form);
        if let Some((username, password)) = &self.credentials {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        if let Some(context) = trace::current() {
            request = request.header(TRACEPARENT, context.to_string());
        }
        match request.send().await {
            Ok(response) => outcome(response, now).await,
            Err(error) => without_response(error),
        }
    }

    /// Asks the gateway's host for the head of its first page, without credentials: any answer shows that messages
    /// would arrive there.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let mut root = self.url.clone();
        root.set_path("");
        root.set_query(None);
        let _ = (root.set_username(""), root.set_password(None));
        match self.client.head(root).timeout(self.timeout).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failure_without_response(error)),
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

/// The message's key, with the time of its resend if there is one: a gateway doesn't send a message that it has
/// accepted a second time under the same key.
fn idempotency_key(message: &Outgoing) -> String {
    match message.resent_at {
        Some(at) => format!("{}-{}", message.key, at.timestamp_micros()),
        None => message.key.clone(),
    }
}

/// Converts a response into an outcome for the message and for the channel.
async fn outcome(response: Response, now: DateTime<Utc>) -> Outcome {
    let (status, headers) = (response.status(), response.headers().clone());
    // The status is known: an error in the body doesn't change it.
    read(status, &headers, &body(response).await, now)
}

fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Outcome {
    let after = retry_after(headers, now);
    let body: RawMembers<'_> = serde_json::from_slice(body).unwrap_or_default();
    if status.is_success() {
        let provider_id = member::<String>(&body, "sid").as_deref().and_then(cleaned);
        return Outcome::Sent { provider_id };
    }
    let failure = |reason| Failure {
        reason,
        detail: detail(status, &body),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Unusable(failure(Reason::Credentials)),
        // The gateway has moved, or a proxy answered: nothing is wrong with the message.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Outcome::Unusable(failure(Reason::Credentials)),
        status if status.is_redirection() => Outcome::Unusable(failure(Reason::Refused)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Deferred {
            failure: failure(Reason::Deferred),
            after,
            provider_down: status == StatusCode::TOO_MANY_REQUESTS,
        },
        status if status.is_server_error() => Outcome::Deferred {
            failure: failure(Reason::ProviderError),
            after,
            provider_down: true,
        },
        _ => Outcome::Refused(failure(Reason::Refused)),
    }
}

/// The request got no response.
fn without_response(error: reqwest::Error) -> Outcome {
    failure_without_response(error).deferred(true)
}

fn failure_without_response(error: reqwest::Error) -> Failure {
    // Without the URL: callers who may see messages need not know how the gateway is reached.
    let error = error.without_url();
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if is_tls(&error) {
        Reason::Tls
    } else {
        Reason::Connection
    };
    let detail = root_cause(&error);
    Failure { reason, detail }
}

async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= LARGEST_RESPONSE {
            break;
        }
    }
    body.truncate(LARGEST_RESPONSE);
    body
}

/// The status, and the error in Twilio's format if there is one.
fn detail(status: StatusCode, body: &RawMembers<'_>) -> Option<String> {
    let code = member::<i64>(body, "code").map_or(String::new(), |code| format!(", code {code}"));
    let message = member::<String>(body, "message").map_or(String::new(), |message| format!(": {message}"));
    cleaned(&format!("HTTP {}{code}{message}", status.as_u16()))
}

fn member<T: DeserializeOwned>(body: &RawMembers<'_>, name: &str) -> Option<T> {
    serde_json::from_str(body.get(name)?.get()).ok()
}

/// Parses seconds or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?;
            // A date in the past means an immediate retry.
            date.signed_duration_since(now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use reqwest::{
        StatusCode,
        header::{HeaderMap, HeaderValue, RETRY_AFTER},
    };

    use super::{read, retry_after};
    use crate::channel::Outcome;

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date_and_is_a_day_at_most() {
        let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().expect("a time");
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 22 Nov 2026 12:01:30 GMT", Some(90)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
            ("86401", Some(86_400)),
            ("Mon, 22 Nov 2027 12:00:00 GMT", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("18446744073709551616", None),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn an_answer_is_read_no_deeper_than_what_is_asked_of_it() {
        // JSON in strings in JSON, which would overflow the stack if serde_json parsed it into its own values.
        let deep = (0..30).fold("0".to_owned(), |inner, _| {
            let text = inner.replace('\\', "\\u005c").replace('"', "\\u0022");
            let (open, close) = ("[".repeat(100), "]".repeat(100));
            format!("{open}{{\"$serde_json::private::RawValue\":\"{text}\"}}{close}")
        });
        let body = format!("{{\"other\":{deep},\"sid\":\"SM1\",\"code\":{deep}}}");
        let outcome = read(
            StatusCode::OK,
            &HeaderMap::new(),
            body.as_bytes(),
            DateTime::<Utc>::default(),
        );
        assert!(matches!(outcome, Outcome::Sent { provider_id: Some(id) } if id == "SM1"));
    }
}
