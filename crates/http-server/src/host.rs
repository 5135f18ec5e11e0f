//! Determines the host of a request (RFC 9112 §3.2, RFC 9113 §8.3.1), so that proxies and later readers of `Host`
//! can't find another one.

use axum::http::{HeaderValue, Request, Version, header::HOST, uri::Authority};

/// Sets `Host` to the host of the request's target if it has one. Returns false when there are several hosts, a
/// required one is missing, or one is malformed.
pub fn settle<B>(request: &mut Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() || !host.is_none_or(is_host) {
        return false;
    }
    let Some(authority) = request.uri().authority() else {
        return host.is_some() || request.version() < Version::HTTP_11;
    };
    let named = authority.as_str();
    let agree = host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(named.as_bytes()));
    // Over HTTP/1.1 the target takes precedence; over HTTP/2 both must be equal.
    if !agree && request.version() == Version::HTTP_2 || !is_plain(authority) {
        return false;
    }
    let Ok(host) = HeaderValue::from_str(named) else {
        return false;
    };
    request.headers_mut().insert(HOST, host);
    true
}

/// An empty value is valid: the target has no host.
fn is_host(value: &HeaderValue) -> bool {
    let authority = value
        .to_str()
        .ok()
        .map(|text| (text.is_empty(), text.parse::<Authority>()));
    authority.is_some_and(|(is_empty, authority)| is_empty || authority.as_ref().is_ok_and(is_plain))
}

/// A name with or without a port, and no user name.
fn is_plain(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host());
    let port = rest.and_then(|rest| rest.strip_prefix(':').or(rest.is_empty().then_some("0")));
    !authority.host().is_empty() && port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, Version, header::HOST};

    use super::settle;

    #[test]
    fn requests_without_exactly_one_host_are_refused() {
        for (version, target, hosts, settled) in [
            (Version::HTTP_11, "/", &["a.test"][..], Some("a.test")),
            (Version::HTTP_11, "/", &["a.test:8080"], Some("a.test:8080")),
            (Version::HTTP_11, "/", &["[::1]:8080"], Some("[::1]:8080")),
            (Version::HTTP_11, "/", &["a.test:"], Some("a.test:")),
            (Version::HTTP_11, "/", &[""], Some("")),
            (Version::HTTP_11, "/", &[], None),
            (Version::HTTP_10, "/", &[], Some("")),
            (Version::HTTP_10, "/", &["a.test", "a.test"], None),
            (Version::HTTP_11, "/", &["a.test", "a.test"], None),
            (Version::HTTP_11, "/", &["a.test", "b.test"], None),
            (Version::HTTP_11, "/", &["a.test, b.test"], None),
            (Version::HTTP_11, "/", &["a.test b.test"], None),
            (Version::HTTP_11, "/", &["a.test/x"], None),
            (Version::HTTP_11, "/", &["http://a.test"], None),
            (Version::HTTP_11, "/", &["user@a.test"], None),
            (Version::HTTP_11, "/", &["a.test:x"], None),
            (Version::HTTP_11, "/", &["a.test:99999"], None),
            (Version::HTTP_11, "/", &[":80"], None),
            (Version::HTTP_11, "/", &["ä.test"], None),
            (Version::HTTP_11, "http://a.test/", &["b.test"], Some("a.test")),
            (Version::HTTP_11, "http://user@a.test/", &["a.test"], None),
            (Version::HTTP_2, "https://a.test/", &[], Some("a.test")),
            (Version::HTTP_2, "https://a.test/", &["A.test"], Some("a.test")),
            (Version::HTTP_2, "https://a.test/", &["b.test"], None),
            (Version::HTTP_2, "/", &[], None),
            (Version::HTTP_2, "/", &["a.test"], Some("a.test")),
        ] {
            let mut request = Request::builder().version(version).uri(target);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let mut request = request.body(()).expect("a request");
            let is = settle(&mut request);
            let host = request.headers().get(HOST);
            let host = host.map_or("", |host| host.to_str().unwrap_or("unreadable"));
            assert_eq!(is.then_some(host), settled, "{version:?} {target} {hosts:?}");
        }
    }
}
