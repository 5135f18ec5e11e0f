//! Whether a request comes from another site's page, which may borrow the rights of whoever looks at that page.

use axum::http::{HeaderMap, Uri, header};

/// Headers a page can't add to a request to another site unless that site has agreed beforehand.
const PREFLIGHT: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    if PREFLIGHT
        .iter()
        .any(|name| headers.get(*name).is_some_and(|value| !value.is_empty()))
    {
        return false;
    }
    // Browsers say it themselves; older ones send an origin, which is compared with where they sent the request.
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
