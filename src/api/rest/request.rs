//! Reads the body and the headers of a request that submits a client: media type, size, the checks before JSON parsing,
//! and the header `Idempotency-Key`.

use axum::{
    body::Body,
    http::{HeaderMap, header::CONTENT_TYPE, request},
};
use futures_util::StreamExt;

use super::errors::{RestError, codes};
use crate::api::content_encoding;
use clientele_core::json_check::{self, DEEPEST, JsonFault, Limits, ShownPath};
use clientele_domain::idempotency::Fingerprint;

/// The media type that a Content-Type declares for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    Form,
    Other,
}

/// A parsed Content-Type header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    pub media: Media,
    pub utf8: bool,
}

impl Declared {
    pub const JSON: Self = Self {
        media: Media::Json,
        utf8: true,
    };

    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(CONTENT_TYPE)?;
        // A non-ASCII header names no media type.
        Some(Self::parse(header.to_str().unwrap_or_default()))
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = match parts.next().unwrap_or_default().as_str() {
            "application/json" => Media::Json,
            "application/x-www-form-urlencoded" => Media::Form,
            // Includes the versioned media type of the legacy API.
            other if other.starts_with("application/") && other.ends_with("+json") => Media::Json,
            _ => Media::Other,
        };
        let charset = parts.find_map(|part| Some(part.strip_prefix("charset=")?.trim_matches('"').to_owned()));
        let utf8 = charset.is_none_or(|name| name == "utf-8" || name == "utf8");
        Self { media, utf8 }
    }
}

/// The body is read, though not kept, up to this multiple of the limit before the connection is closed: a caller who is
/// still sending at that moment may never see the response.
const DISCARD_FACTOR: usize = 4;

/// Reads the body, at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Vec<u8>, RestError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        // A disconnected caller never sees this response.
        let chunk = chunk.map_err(|_| RestError::new(codes::INVALID_JSON_SYNTAX, "The body could not be read."))?;
        length += chunk.len();
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else if length / DISCARD_FACTOR > limit {
            break;
        }
    }
    if length > limit {
        let source = format!("The body must have at most {limit} bytes.");
        return Err(RestError::new(codes::BODY_TOO_LARGE, source));
    }
    Ok(bytes)
}

pub fn utf8(bytes: &[u8]) -> Result<&str, RestError> {
    std::str::from_utf8(bytes).map_err(|_| not_utf8())
}

/// The text of a JSON body with at most `max_values` values, in which no object has duplicate members.
pub fn json(bytes: &[u8], max_values: usize) -> Result<&str, RestError> {
    let text = utf8(json_check::without_byte_order_mark(bytes))?;
    let refused = |fault| match fault {
        JsonFault::DuplicateMember(path) => {
            let source = format!("{}: the member is given twice. Send it once.", ShownPath(&path));
            RestError::new(codes::INVALID_JSON_SYNTAX, source)
        }
        JsonFault::TooManyValues { most } => {
            let source = format!("The body has more than {most} values (legacy.body_values). Send fewer at once.");
            RestError::new(codes::INVALID_PARAMETERS, source)
        }
        JsonFault::TooLong { path, most } => {
            let path = ShownPath(&path);
            let source = format!("{path}: the list has more than {most} elements. Send fewer at once.");
            RestError::new(codes::INVALID_PARAMETERS, source)
        }
        JsonFault::TooDeep => {
            let source = format!("The body is nested more than {DEEPEST} levels deep.");
            RestError::new(codes::INVALID_JSON_SYNTAX, source)
        }
    };
    json_check::check(text, Limits::of_values(max_values)).map_err(refused)?;
    Ok(text)
}

/// Refuses a compressed or otherwise encoded body: this API decodes none.
pub fn require_identity(headers: &HeaderMap) -> Result<(), RestError> {
    if content_encoding::is_identity(headers) {
        return Ok(());
    }
    let source = "Send the body without compression: drop the Content-Encoding header.";
    Err(RestError::new(codes::UNSUPPORTED_CONTENT_ENCODING, source))
}

pub fn not_utf8() -> RestError {
    RestError::new(codes::UNSUPPORTED_CHARACTER_ENCODING, "Send UTF-8.")
}

/// The idempotency key of a request: bare, or the quoted string of the IETF draft. The domain checks it.
///
/// # Errors
/// More than one header, non-ASCII bytes, or an unterminated quoted string.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, RestError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let source = match (value.to_str().ok().and_then(unquoted), values.next()) {
        (Some(key), None) => return Ok(Some(key)),
        (_, Some(_)) => "Send one Idempotency-Key header, not several.",
        (None, None) => {
            "The Idempotency-Key header takes printable ASCII characters, as they are or as a string in double quotes."
        }
    };
    Err(RestError::new(codes::INVALID_PARAMETERS, source))
}

/// Hashes the complete request, to distinguish requests with the same idempotency key.
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

#[cfg(test)]
mod tests {
    use super::{Declared, Media, unquoted};

    #[test]
    fn a_content_type_names_a_medium_and_a_charset() {
        for (text, media, utf8) in [
            ("application/json", Media::Json, true),
            ("Application/JSON; charset=UTF-8", Media::Json, true),
            ("application/json;charset=\"utf-8\"", Media::Json, true),
            ("application/json; charset=iso-8859-1", Media::Json, false),
            ("application/vnd.mambu.v1+json", Media::Json, true),
            ("application/x-www-form-urlencoded", Media::Form, true),
            ("text/plain", Media::Other, true),
            ("application/jsonp", Media::Other, true),
            ("", Media::Other, true),
        ] {
            assert_eq!(Declared::parse(text), Declared { media, utf8 }, "{text}");
        }
    }

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
