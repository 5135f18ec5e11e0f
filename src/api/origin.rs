//! Whether a request comes from another site's page, which may borrow the rights of whoever looks at that page.

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Headers a page can't add to a request to another site unless that site has agreed beforehand.
const PREFLIGHT: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

/// Whether a header shows that the browser has asked this server before it sent the request.
pub fn is_preflighted(headers: &HeaderMap) -> bool {
    let given = |name: &&str| headers.get(*name).is_some_and(|value| !value.is_empty());
    PREFLIGHT.iter().any(given)
}

/// In the extensions of a request whose origin the operator allows: its pages are as good as this server's own.
#[derive(Clone, Copy, Debug)]
pub struct Allowed;

/// Whether a browser sent the request for another site that isn't [`Allowed`]. What isn't a browser says nothing of the
/// kind.
pub fn is_foreign(headers: &HeaderMap, extensions: &Extensions) -> bool {
    if extensions.get::<Allowed>().is_some() {
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

/// Lets only requests through that call this machine by a name of its own. While nobody has to sign in, a page whose
/// name has been pointed at this machine must not pass for one of its own.
pub async fn only_local(request: Request, next: Next) -> Response {
    let host = text(request.headers(), header::HOST.as_str());
    let local = host.is_none_or(|host| host.parse::<Authority>().is_ok_and(|host| is_local(host.host())));
    if local {
        return next.run(request).await;
    }
    let source = "With --no-auth this server answers to localhost, 127.0.0.1 and [::1] only.";
    let refusal = json!({ "returnCode": 15, "returnStatus": "INVALID_PERMISSIONS", "errorSource": source });
    let content_type = (header::CONTENT_TYPE, "application/json; charset=utf-8");
    (StatusCode::FORBIDDEN, [content_type], refusal.to_string()).into_response()
}

fn is_local(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_names_of_the_loopback_address_are_local() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
