//! Recognises requests of pages of other sites, which could use the rights of the person who looks at the page.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderValue, Uri, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::Response,
};

/// In the extensions of a request from an origin that [`allow`] trusts.
#[derive(Clone, Copy, Debug)]
pub struct Allowed;

/// Trusts pages of these origins as much as those of this server.
pub fn allow(router: Router, origins: Vec<HeaderValue>) -> Router {
    let origins: Arc<[HeaderValue]> = origins.into();
    match origins.is_empty() {
        true => router,
        false => router.layer(from_fn_with_state(origins, recognise)),
    }
}

async fn recognise(State(origins): State<Arc<[HeaderValue]>>, mut request: Request, next: Next) -> Response {
    let allowed = request
        .headers()
        .get(header::ORIGIN)
        .is_some_and(|origin| origins.contains(origin));
    if allowed {
        request.extensions_mut().insert(Allowed);
    }
    next.run(request).await
}

/// Returns true when a browser sent the request for a page of another site that isn't [`Allowed`]. Other programs send
/// no header that says so.
pub fn is_foreign(headers: &HeaderMap, extensions: &Extensions) -> bool {
    if extensions.get::<Allowed>().is_some() {
        return false;
    }
    // Browsers say it themselves; older ones send an origin, which is compared with the host of the request.
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

/// Returns true when the request names this machine by a name of the loopback address, or names no host. Under any
/// other name a page could reach this server by DNS rebinding.
pub fn is_local(headers: &HeaderMap) -> bool {
    let host = text(headers, header::HOST.as_str());
    host.is_none_or(|host| host.parse::<Authority>().is_ok_and(|host| is_loopback(host.host())))
}

fn is_loopback(host: &str) -> bool {
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
    use super::is_loopback;

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
            assert_eq!(is_loopback(host), local, "{host}");
        }
    }
}
