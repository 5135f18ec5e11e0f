//! Settings for pages of other origins that use the APIs.
//!
//! Preflight requests are answered before authentication. The APIs read no cookies, so credentials in the sense of CORS
//! are never allowed: a page sends its token in a header.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use serde::{Deserialize, Serialize};
use tower_http::cors::CorsLayer;

/// The headers that the APIs read; pages may always send them.
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("apikey"),
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("graphql-cost"),
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-apollo-operation-name"),
];
/// Headers of tracing and of Apollo's clients, which they add to every request.
const DEFAULT_HEADERS: [&str; 5] = [
    "apollographql-client-name",
    "apollographql-client-version",
    "traceparent",
    "tracestate",
    "x-request-id",
];
/// The response headers that a page may read in addition to those that browsers always show.
const RESPONSE_HEADERS: [HeaderName; 6] = [
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
];

/// Pages of other sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSettings {
    /// Scheme, host and port as a browser sends them, `https://app.bank.test`; compared to the letter.
    pub allowed_origins: Vec<String>,
    /// The headers that their pages may send in addition to those that the APIs read.
    pub allowed_headers: Vec<String>,
    /// Seconds for which a browser may remember the answer to a preflight request.
    pub max_age_seconds: u64,
}

impl Default for CorsSettings {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            allowed_headers: DEFAULT_HEADERS.map(str::to_owned).to_vec(),
            max_age_seconds: 600,
        }
    }
}

/// Returns the header of this name; none when it is no name, or the wildcard, which isn't one.
pub fn header_name(text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.as_bytes()).ok().filter(|name| name != "*")
}

/// Returns true for an origin as browsers write it.
pub fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            text == format!("{scheme}://{authority}")
                && text == text.to_ascii_lowercase()
                && !authority.as_str().contains('@')
        }
        _ => false,
    }
}

impl CorsSettings {
    /// The layer that answers preflight requests and lets pages of these origins read responses. None without origins.
    pub fn layer(&self) -> Option<CorsLayer> {
        let origins = self.origins();
        let layer = || {
            CorsLayer::new()
                .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
                .allow_headers(self.headers())
                .expose_headers(RESPONSE_HEADERS)
                .max_age(Duration::from_secs(self.max_age_seconds))
        };
        (!origins.is_empty()).then(|| layer().allow_origin(origins))
    }

    pub fn origins(&self) -> Vec<HeaderValue> {
        let texts = self.allowed_origins.iter();
        texts.filter_map(|origin| HeaderValue::from_str(origin).ok()).collect()
    }

    fn headers(&self) -> Vec<HeaderName> {
        let added = self.allowed_headers.iter().filter_map(|text| header_name(text));
        let mut headers: Vec<HeaderName> = REQUEST_HEADERS.into_iter().chain(added).collect();
        headers.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        headers.dedup();
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (text, is) in [
            ("https://app.bank.test", true),
            ("http://localhost:5173", true),
            ("http://[::1]:5173", true),
            ("https://app.bank.test/", false),
            ("https://App.bank.test", false),
            ("https://user@app.bank.test", false),
            ("https://app.bank.test?x", false),
            ("app.bank.test", false),
            ("null", false),
            ("*", false),
            ("file:///x", false),
        ] {
            assert_eq!(is_origin(text), is, "{text}");
        }
    }
}
