//! Converts an SMS gateway's response, or its absence, into an outcome for the message and for the channel.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::super::{Failure, Outcome, words};
use clientele_domain::enums::Reason;

/// The maximum number of bytes read of a response.
const LARGEST: usize = 64 * 1024;
/// A longer Retry-After is taken for a mistake of the gateway.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The members of a response as raw JSON. Only the needed ones are parsed: the others may be nested to any depth.
type Said<'a> = HashMap<String, &'a RawValue>;

pub(super) async fn outcome(response: Response, now: DateTime<Utc>) -> Outcome {
    let (status, headers) = (response.status(), response.headers().clone());
    // The status is known: an error in the body doesn't change it.
    read(status, &headers, &body(response).await, now)
}

pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Outcome {
    let after = retry_after(headers, now);
    let body: Said<'_> = serde_json::from_slice(body).unwrap_or_default();
    if status.is_success() {
        let provider_id = member::<String>(&body, "sid").as_deref().and_then(words::cleaned);
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
pub(super) fn none(error: reqwest::Error) -> Outcome {
    // Without the URL: callers who may see messages need not know how the gateway is reached.
    let error = error.without_url();
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if words::is_tls(&error) {
        Reason::Tls
    } else {
        Reason::Connection
    };
    Outcome::Deferred {
        failure: Failure {
            reason,
            detail: words::cause(&error),
        },
        after: None,
        provider_down: true,
    }
}

async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= LARGEST {
            break;
        }
    }
    body.truncate(LARGEST);
    body
}

/// The status, and the error in Twilio's format if there is one.
fn detail(status: StatusCode, body: &Said<'_>) -> Option<String> {
    let code = member::<i64>(body, "code").map_or(String::new(), |code| format!(", code {code}"));
    let message = member::<String>(body, "message").map_or(String::new(), |message| format!(": {message}"));
    words::cleaned(&format!("HTTP {}{code}{message}", status.as_u16()))
}

fn member<T: DeserializeOwned>(body: &Said<'_>, name: &str) -> Option<T> {
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
