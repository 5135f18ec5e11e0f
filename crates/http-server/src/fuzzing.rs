//! The properties that the fuzz targets check. For proxies: the address is the connection's own or one in the header;
//! without trusted proxies the header is ignored; entries left of an untrusted address change nothing, and neither does
//! one more trusted proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, header::FORWARDED};

use super::{ForwardedHeader, HttpSettings, proxy};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// Far below the hops that are looked at.
const FEW: usize = 16;

/// hyper sees the very requests that the check of HTTP/1 framing accepts.
///
/// # Panics
/// When it sees others.
pub fn framing(bytes: &[u8]) {
    crate::differential::check(bytes);
}

/// # Panics
/// When a rule doesn't hold.
pub fn forwarded(bytes: &[u8]) {
    for (header, before, after) in [
        (ForwardedHeader::XForwardedFor, "203.0.113.77,", ",10.0.0.2"),
        (ForwardedHeader::Forwarded, "for=203.0.113.77,", ",for=10.0.0.2"),
    ] {
        let mut settings = HttpSettings {
            forwarded_header: header,
            ..HttpSettings::default()
        };
        let Some(found) = address(bytes, &settings) else { return };
        assert_eq!(found, PEER, "nobody is trusted");
        let proxies = "10.0.0.0/8".parse().expect("a network");
        settings.trusted_proxies = vec![proxies];
        let Some(found) = address(bytes, &settings) else { return };
        assert!(found == PEER || stands_in(bytes, found), "{found} is nowhere");
        let more = [before.as_bytes(), bytes].concat();
        if !proxies.contains(found) {
            assert_eq!(address(&more, &settings), Some(found), "left of a stranger");
        }
        let more = [bytes, after.as_bytes()].concat();
        if found != PEER && bytes.split(|&byte| byte == b',').count() < FEW {
            assert_eq!(address(&more, &settings), Some(found), "one more proxy");
        }
    }
}

fn address(bytes: &[u8], settings: &HttpSettings) -> Option<IpAddr> {
    let name = match settings.forwarded_header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => FORWARDED.as_str(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(bytes).ok()?);
    Some(proxy::address(PEER, &headers, settings).0)
}

fn stands_in(bytes: &[u8], address: IpAddr) -> bool {
    String::from_utf8_lossy(bytes)
        .split([',', ';', '=', '"'])
        .map(str::trim)
        .any(|text| {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let port = || text.parse::<SocketAddr>().map(|address| address.ip());
            bare.parse()
                .or_else(|_| port())
                .is_ok_and(|found: IpAddr| found.to_canonical() == address)
        })
}
