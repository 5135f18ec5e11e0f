//! Properties of gateway answers and phone numbers that hold for any input. The fuzz targets call these.

use std::time::Duration;

use chrono::DateTime;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};

use super::{number, read};
use crate::channel::Outcome;

/// Checks that any response has an outcome within its limits. `input` is the last two digits of the status and their
/// class, the value of Retry-After up to a line feed, and the body.
///
/// # Panics
/// When the property doesn't hold.
pub fn gateway_answer(input: &[u8]) {
    let [class, rest, input @ ..] = input else { return };
    let status = StatusCode::from_u16(u16::from(class % 4 + 2) * 100 + u16::from(rest % 100)).expect("200 to 599");
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(parts.next().unwrap_or_default()) {
        headers.insert(RETRY_AFTER, value);
    }
    let outcome = read(status, &headers, parts.next().unwrap_or_default(), DateTime::UNIX_EPOCH);
    let words = match outcome {
        Outcome::Sent { provider_id } => {
            assert!(status.is_success());
            provider_id
        }
        Outcome::Deferred { failure, after, .. } => {
            assert!(after.is_none_or(|after| after <= Duration::from_secs(86_400)));
            failure.detail
        }
        Outcome::Refused(failure) | Outcome::Unusable(failure) => failure.detail,
    };
    let fits = |words: String| words.chars().count() <= 255 && !words.contains(char::is_control) && !words.is_empty();
    assert!(words.is_none_or(fits));
}

/// Checks that a text is either no number, or one in E.164 that parses to itself.
///
/// # Panics
/// When the property doesn't hold.
pub fn phone_number(text: &str) {
    for region in ["", "US", "DE", "IT", "AR"] {
        let region = number::region(region);
        if let Some(found) = number::e164(text, region) {
            let digits = found.strip_prefix('+').expect("E.164 begins with a plus");
            assert!(
                (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()),
                "{found}"
            );
        }
    }
}
