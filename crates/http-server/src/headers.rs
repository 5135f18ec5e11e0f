//! Security headers of every response, unless the application has set them itself. One function instead of six layers
//! of tower-http, because it also adds them to prepared refusals.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    },
};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// A response is no page: browsers load, run and frame nothing of it.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Responses hold personal data and stay in no browser or proxy.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// `page` is true for [pages](crate::Application::is_page), `secure` when this server speaks TLS itself.
pub fn add(headers: &mut HeaderMap, page: bool, secure: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    put(headers, CACHE_CONTROL, NO_STORE);
    put(headers, REFERRER_POLICY, NO_REFERRER);
    put(headers, CROSS_ORIGIN_RESOURCE_POLICY, SAME_ORIGIN);
    // A page has its own policy, and its scripts would be bound by a second one as well.
    if !page {
        put(headers, CONTENT_SECURITY_POLICY, NO_PAGE);
    }
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, TWO_YEARS);
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}
