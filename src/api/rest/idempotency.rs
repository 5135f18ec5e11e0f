//! The header `Idempotency-Key`: a bare key, or the quoted string of the IETF draft; and the fingerprint that
//! distinguishes requests with the same key.

use axum::http::{HeaderMap, request};

use super::errors::{Refusal, codes};
use clientele_domain::idempotency::Fingerprint;

const HEADER: &str = "idempotency-key";

/// The key of a request. The domain decides whether it is valid.
///
/// # Errors
/// More than one header, non-ASCII bytes, or an unterminated quoted string.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refusal("Send one Idempotency-Key header, not several."));
    }
    let key = value.to_str().ok().and_then(unquoted);
    let unreadable = || {
        refusal(
            "The Idempotency-Key header takes printable ASCII characters, as they are or as a string in double quotes.",
        )
    };
    key.ok_or_else(unreadable).map(Some)
}

/// Hashes the complete request.
pub fn fingerprint(head: &request::Parts, body: &[u8]) -> Fingerprint {
    let query = head.uri.query().unwrap_or_default();
    let texts = ["REST", head.method.as_str(), head.uri.path(), query];
    Fingerprint::of(texts.map(str::as_bytes).into_iter().chain([body]))
}

/// `"a\"b"` becomes `a"b`; an unquoted value is unchanged.
pub(super) fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return Some(value.to_owned());
    };
    let (mut key, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(key),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            character => key.push(character),
        }
    }
}

fn refusal(source: &str) -> Refusal {
    Refusal::new(codes::INVALID_PARAMETERS, source)
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn a_quoted_key_is_the_key_within() {
        for (value, key) in [
            ("k-1", Some("k-1")),
            ("a\"b", Some("a\"b")),
            ("\"k-1\"", Some("k-1")),
            (r#""a \"b\" \\c""#, Some(r#"a "b" \c"#)),
            ("\"\"", Some("")),
            ("", Some("")),
            ("\"", None),
            ("\"k", None),
            (r#""k\""#, None),
            (r#""\k""#, None),
            ("\"k\"x", None),
            ("\"k\";a=1", None),
        ] {
            assert_eq!(unquoted(value).as_deref(), key, "{value}");
        }
    }
}
