//! What the fuzz target of this module holds to: whatever proxies write, the address is the connection's own or one that was
//! written, and the connection's own when nobody is trusted.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderValue, header::FORWARDED};

use super::{ForwardedHeader, HttpSettings, proxy};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// # Panics
/// When a rule doesn't hold.
pub fn check(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    for (forwarded_header, name) in [
        (ForwardedHeader::XForwardedFor, "x-forwarded-for"),
        (ForwardedHeader::Forwarded, FORWARDED.as_str()),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.clone());
        let nobody = HttpSettings {
            forwarded_header,
            ..HttpSettings::default()
        };
        assert_eq!(proxy::address(PEER, &headers, &nobody).0, PEER);
        let trusting = HttpSettings {
            trusted_proxies: ["10.0.0.0/8".parse().expect("a network")].into(),
            ..nobody
        };
        let found = proxy::address(PEER, &headers, &trusting).0;
        assert!(found == PEER || !bytes.is_empty());
    }
}
