//! The id of a request in responses and logs. A caller can choose it in a form that only machines generate: other texts
//! could be personal data. tower-http's layers for request ids would accept every text.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, Request, Response};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request, in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// A new id: a UUIDv7, so that log lines sort by time.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The id that an outer layer has set, else the caller's, else a new one.
    pub fn of<B>(request: &Request<B>) -> Self {
        if let Some(given) = request.extensions().get::<Self>() {
            return given.clone();
        }
        let own = request.headers().get(HEADER).and_then(from_caller);
        own.unwrap_or_else(Self::generate)
    }

    /// Adds the header `X-Request-Id`.
    pub fn write<B>(&self, response: &mut Response<B>) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(HEADER, value);
        }
    }
}

/// The caller's id, if it is a UUID, a ULID, or 16 to 64 hexadecimal digits as in a trace id. Digits alone are refused:
/// they can be the number of an account or a document.
fn from_caller(header: &HeaderValue) -> Option<RequestId> {
    let text = header.to_str().ok()?;
    // At this length, only the form with hyphens is a UUID.
    let is_uuid = || text.len() == 36 && Uuid::try_parse(text).is_ok();
    let is_generated = is_hex(text) || is_uuid() || is_ulid(text);
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_generated && has_letter).then(|| RequestId(text.into()))
}

fn is_hex(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// 26 digits and letters but I, L, O and U; the first is at most 7, for a time of 48 bits.
fn is_ulid(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() && !b"ILOUilou".contains(&byte);
    text.len() == 26 && text.as_bytes()[0] <= b'7' && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::{RequestId, from_caller};

    #[test]
    fn only_generated_ids_are_accepted_from_callers() {
        let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
        for (given, taken) in [
            ("0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0", true),
            ("0190A5C5-9EC6-7C4E-A3A4-0DC4D5A7A1F0", true),
            ("0190a5c59ec67c4ea3a40dc4d5a7a1f0", true),
            ("01J2JWDXY6QH7A9M3SZP4K5V8T", true),
            ("01j2jwdxy6qh7a9m3szp4k5v8t", true),
            ("4bf92f3577b34da6", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("4bf92f3577b34da", false),
            ("0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f", false),
            ("0190a5c5-9ec6-7c4e-a3a40-dc4d5a7a1f0", false),
            ("0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1fg", false),
            ("{0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0}", false),
            ("81J2JWDXY6QH7A9M3SZP4K5V8T", false),
            ("01J2JWDXY6QH7A9M3SZP4K5V8U", false),
            // An account's number, a document's, a telephone's.
            ("4929123456789012", false),
            ("00000000000000000000000000000000", false),
            ("X1234567", false),
            ("+14155550101", false),
            ("trevor.linden@example.test", false),
            ("Trevor", false),
            ("order-17_B", false),
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
    fn own_ids_would_be_accepted_from_callers() {
        let id = RequestId::generate();
        assert_eq!(id.0.len(), 36);
        assert!(from_caller(&HeaderValue::from_str(&id.0).expect("a header value")).is_some());
    }
}
