//! Media types: which one an answer gets, and whether a body has the one we read.

use axum::http::{HeaderMap, header};

/// The two ways of writing a GraphQL answer; they differ in status codes only.
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

/// What the caller wants to read; None when that is neither of ours.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|range| !range.trim().is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return Some(Media::Json);
    }
    let (mut response, mut json) = (Weight::default(), Weight::default());
    for range in ranges {
        let (name, quality) = parse(range);
        match name.as_str() {
            "application/graphql-response+json" => response.consider(3, quality),
            "application/json" => json.consider(3, quality),
            "application/*" => [&mut response, &mut json]
                .into_iter()
                .for_each(|weight| weight.consider(2, quality)),
            "*/*" => [&mut response, &mut json]
                .into_iter()
                .for_each(|weight| weight.consider(1, quality)),
            _ => {}
        }
    }
    // A client that only takes anything may be an old one; one that names the newer type knows it.
    let named = response.rank == 3;
    if response.quality > 0 && (response.quality > json.quality || named && response.quality == json.quality) {
        Some(Media::Response)
    } else if json.quality > 0 {
        Some(Media::Json)
    } else {
        None
    }
}

/// The quality of the most exact range that matches.
#[derive(Default)]
struct Weight {
    rank: u8,
    quality: u16,
}

impl Weight {
    fn consider(&mut self, rank: u8, quality: u16) {
        if rank > self.rank {
            *self = Self { rank, quality };
        }
    }
}

/// Name in lower case and quality in thousandths.
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

/// Whether a body announced so is JSON in UTF-8, the only thing that is read. Forms and plain text aren't, which is also
/// what keeps other sites' pages from posting here without asking the browser first.
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
