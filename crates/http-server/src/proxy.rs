//! The address of a request that came through proxies: the nearest one that is no trusted proxy's.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};

use super::{ForwardedHeader, HttpSettings};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More proxies in a row are not followed.
const MOST_HOPS: usize = 32;

/// The address that a request came from, in the extensions of every request that came over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// The address of the connection, or, if that is a trusted proxy, the first untrusted address of the header, read from
/// the right. Entries further left were written by that untrusted party.
pub fn address(peer: IpAddr, headers: &HeaderMap, settings: &HttpSettings) -> PeerAddress {
    let mut nearest = peer.to_canonical();
    let trusted = |address| settings.trusts(address);
    if settings.trusted_proxies.is_empty() || !trusted(nearest) {
        return PeerAddress(nearest);
    }
    let header = match settings.forwarded_header {
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => FORWARDED,
    };
    let lines: Vec<_> = headers.get_all(header).iter().collect();
    let entries = lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    for entry in entries.take(MOST_HOPS) {
        let named = std::str::from_utf8(entry)
            .ok()
            .and_then(|entry| match settings.forwarded_header {
                ForwardedHeader::XForwardedFor => named(entry),
                ForwardedHeader::Forwarded => forwarded_for(entry),
            });
        // A proxy that hides its caller, or writes a malformed entry, counts as the caller.
        let Some(address) = named else { break };
        nearest = address;
        if !trusted(address) {
            break;
        }
    }
    PeerAddress(nearest)
}

/// The address in one element of a `Forwarded` header, as in `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .and_then(|(_, value)| named(value.trim().trim_matches('"')))
}

/// An address with or without a port, and with or without brackets.
fn named(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::address;
    use crate::{ForwardedHeader, HttpSettings};

    #[track_caller]
    fn check(header: ForwardedHeader, peer: &str, lines: &[&str], from: &str) {
        let settings = HttpSettings {
            trusted_proxies: ["10.0.0.0/8", "2001:db8:aaaa::/48"]
                .map(|text| text.parse().expect(text))
                .into(),
            forwarded_header: header,
            ..HttpSettings::default()
        };
        let mut headers = HeaderMap::new();
        for (name, lines) in [
            (
                "x-forwarded-for",
                (header == ForwardedHeader::XForwardedFor).then_some(lines),
            ),
            ("forwarded", (header == ForwardedHeader::Forwarded).then_some(lines)),
        ] {
            // The header that isn't believed says something else.
            for line in lines.unwrap_or(&["for=198.51.100.99"]) {
                headers.append(
                    HeaderName::from_static(name),
                    HeaderValue::from_str(line).expect("a value"),
                );
            }
        }
        let peer: IpAddr = peer.parse().expect(peer);
        let found = address(peer, &headers, &settings);
        assert_eq!(found.0.to_string(), from, "{peer} {lines:?}");
    }

    #[test]
    fn rightmost_untrusted_address_is_the_callers() {
        for (peer, lines, from) in [
            ("203.0.113.9", &["192.0.2.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, 10.0.0.2 ,10.0.0.3"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.1, 192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1, 2001:db8:aaaa::7"], "2001:db8::1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            check(ForwardedHeader::XForwardedFor, peer, lines, from);
        }
    }

    #[test]
    fn forwarded_header_has_its_own_syntax() {
        for (lines, from) in [
            (&["for=192.0.2.1;proto=https;by=10.0.0.1"][..], "192.0.2.1"),
            (&["proto=https; For=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=198.51.100.1, for=192.0.2.1, for=10.0.0.2"], "192.0.2.1"),
            (&["for=192.0.2.1, for=unknown"], "10.0.0.1"),
            (&["for=_hidden"], "10.0.0.1"),
            (&["192.0.2.1"], "10.0.0.1"),
        ] {
            check(ForwardedHeader::Forwarded, "10.0.0.1", lines, from);
        }
    }
}
