//! Cross-site request forgery: requests that another site's page sends with the rights of the page's reader.

use axum::http::{HeaderMap, Uri, header};

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

/// Returns true if a browser sent the request for a page of another site. Other programs send none of these headers.
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
