//! Reads the body of a request: its media type, its bytes up to a limit, and the checks before JSON parsing.

use axum::{
    body::Body,
    http::{HeaderMap, header::CONTENT_TYPE},
};
use futures_util::StreamExt;

use super::errors::{Refusal, codes};
use crate::api::content_encoding;
use clientele_core::json_check::{self, DEEPEST, JsonFault, Limits, ShownPath};

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
        Some(header.to_str().map_or(
            Self {
                media: Media::Other,
                utf8: true,
            },
            Self::parse,
        ))
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
        let charset = parts.find_map(|part| {
            part.strip_prefix("charset=")
                .map(|name| name.trim_matches('"').to_owned())
        });
        Self {
            media,
            utf8: charset.is_none_or(|name| name == "utf-8" || name == "utf8"),
        }
    }
}

/// The body is read, though not kept, up to this multiple of the limit before the connection is closed: a caller who is
/// still sending at that moment may never see the response.
const PATIENCE: usize = 4;

/// Reads the body, at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        // A disconnected caller never sees this response.
        let chunk = chunk.map_err(|_| Refusal::new(codes::INVALID_JSON_SYNTAX, "The body could not be read."))?;
        length += chunk.len();
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else if length / PATIENCE > limit {
            break;
        }
    }
    if length > limit {
        let source = format!("The body must have at most {limit} bytes.");
        return Err(Refusal::new(codes::BODY_TOO_LARGE, source));
    }
    Ok(bytes)
}

pub fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| not_utf8())
}

/// The text of a JSON body with at most `most` values, in which no object has duplicate members.
pub fn json(bytes: &[u8], most: usize) -> Result<&str, Refusal> {
    let text = utf8(json_check::without_byte_order_mark(bytes))?;
    let (code, source) = match json_check::check(text, Limits::of_values(most)) {
        Ok(()) => return Ok(text),
        Err(JsonFault::DuplicateMember(path)) => (
            codes::INVALID_JSON_SYNTAX,
            format!("{}: the member is given twice. Send it once.", ShownPath(&path)),
        ),
        Err(JsonFault::TooManyValues { most }) => (
            codes::INVALID_PARAMETERS,
            format!("The body has more than {most} values (legacy.body_values). Send fewer at once."),
        ),
        Err(JsonFault::TooLong { path, most }) => (
            codes::INVALID_PARAMETERS,
            format!(
                "{}: the list has more than {most} elements. Send fewer at once.",
                ShownPath(&path)
            ),
        ),
        Err(JsonFault::TooDeep) => (
            codes::INVALID_JSON_SYNTAX,
            format!("The body is nested more than {DEEPEST} levels deep."),
        ),
    };
    Err(Refusal::new(code, source))
}

/// Refuses a compressed or otherwise encoded body: this API decodes none.
pub fn require_identity(headers: &HeaderMap) -> Result<(), Refusal> {
    match content_encoding::is_identity(headers) {
        true => Ok(()),
        false => {
            let source = "Send the body without compression: drop the Content-Encoding header.";
            Err(Refusal::new(codes::UNSUPPORTED_CONTENT_ENCODING, source))
        }
    }
}

pub fn not_utf8() -> Refusal {
    Refusal::new(codes::UNSUPPORTED_CHARACTER_ENCODING, "Send UTF-8.")
}

#[cfg(test)]
mod tests {
    use super::{Declared, Media};

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
}
