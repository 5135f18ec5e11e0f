//! Reads headers: media types, encodings, and signs of a request from another site.

use axum::http::{HeaderMap, Uri, header};

/// The media type of an answer. The two types differ in status codes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`.
    Response,
    /// `application/json`, for older clients: a refused request is a 200.
    Json,
}

impl Media {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// The media type that the caller accepts; None if neither.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let ranges: Vec<_> = accepted(headers).collect();
    if ranges.is_empty() {
        return Some(Media::Json);
    }
    // The rank and the quality of the most exact range that matches.
    let best = |name: &str| {
        let matching = ranges.iter().filter_map(|(range, quality)| match range.as_str() {
            range if range == name => Some((3, *quality)),
            "application/*" => Some((2, *quality)),
            "*/*" => Some((1, *quality)),
            _ => None,
        });
        matching
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .unwrap_or((0, 0))
    };
    let (rank, response) = best("application/graphql-response+json");
    let (_, json) = best("application/json");
    // A client that accepts any type can be an old one; one that names the newer type knows it.
    if response > 0 && (response > json || rank == 3 && response == json) {
        Some(Media::Response)
    } else {
        (json > 0).then_some(Media::Json)
    }
}

/// The media ranges that the caller accepts, with their qualities in thousandths.
pub(super) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (String, u16)> {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.filter(|range| !range.trim().is_empty()).map(parse)
}

/// The name in lower case and the quality in thousandths.
fn parse(range: &str) -> (String, u16) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, value)| value.trim().parse::<f32>().ok())
        .map_or(1.0, |quality| quality.clamp(0.0, 1.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0…1 just above"
    )]
    let thousandths = (quality * 1000.0) as u16;
    (name, thousandths)
}

/// Returns true if the headers name no encoding other than `identity`. Encoded bodies aren't decoded.
pub(super) fn is_identity(headers: &HeaderMap) -> bool {
    let is_identity = |value: &str| {
        value
            .split(',')
            .all(|coding| coding.trim().eq_ignore_ascii_case("identity"))
    };
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    values.all(|value| value.to_str().is_ok_and(is_identity))
}

/// Returns true if the body is JSON in UTF-8, the only type that is read. Refusing forms and plain text also keeps
/// pages of other sites from sending requests without a preflight request.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/json"))
        && parts
            .filter_map(|parameter| parameter.split_once('='))
            .all(|(key, value)| {
                !key.trim().eq_ignore_ascii_case("charset")
                    || matches!(
                        value.trim().trim_matches('"').to_ascii_lowercase().as_str(),
                        "utf-8" | "utf8"
                    )
            })
}

/// Headers that a page can't add to a request to another site without a preflight request.
const PREFLIGHT: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

/// Returns true if a browser must have sent a preflight request first.
pub(super) fn is_preflighted(headers: &HeaderMap) -> bool {
    let given = |name: &&str| headers.get(*name).is_some_and(|value| !value.is_empty());
    PREFLIGHT.iter().any(given)
}

/// Returns true if a browser sent the request for a page of another site, with the rights of the page's reader
/// (cross-site request forgery). Other programs send none of these headers.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    // Older browsers send an Origin header only, which is compared with the host that they sent the request to.
    match text(headers, "sec-fetch-site") {
        Some(site) => matches!(site, "cross-site" | "same-site"),
        None => text(headers, header::ORIGIN.as_str()).is_some_and(|origin| {
            let authority = origin
                .parse::<Uri>()
                .ok()
                .and_then(|uri| uri.authority().map(ToString::to_string));
            authority.as_deref() != text(headers, header::HOST.as_str())
        }),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
