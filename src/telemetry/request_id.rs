//! What a caller may call its request.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};

use crate::api::RequestId;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// The caller's own id, if it can stand in a log line without quoting: 1 to 64 of `A-Z a-z 0-9 _ -`.
pub(super) fn from_caller(header: &HeaderValue) -> Option<RequestId> {
    let text = header.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    ((1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)).then(|| RequestId(Arc::from(text)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::from_caller;
    use crate::api::RequestId;

    #[test]
    fn a_callers_id_is_taken_when_it_is_short_and_plain() {
        let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
        for (given, taken) in [
            ("order-17_B", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("two words", false),
            ("line\tbreak", false),
            ("ünïcode", false),
        ] {
            let header = HeaderValue::from_bytes(given.as_bytes()).expect("a header value");
            assert_eq!(
                from_caller(&header).map(|id| id.0.to_string()),
                taken.then(|| given.to_owned()),
                "{given}"
            );
        }
    }

    #[test]
    fn a_fresh_id_would_be_taken_from_a_caller_too() {
        let id = RequestId::generate();
        assert_eq!(id.0.len(), 36);
        assert!(from_caller(&HeaderValue::from_str(&id.0).expect("a header value")).is_some());
    }
}
