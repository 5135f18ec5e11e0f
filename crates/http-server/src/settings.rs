//! Settings of connections and requests.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use clientele_core::network::Network;

/// Limits of the server. Times are whole seconds or milliseconds in a configuration, as their names there say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// A certificate chain in PEM; with it every connection is TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The interval at which the two files are checked for a change.
    #[serde(rename = "certificate_poll_seconds", with = "Seconds")]
    pub certificate_poll: Duration,
    /// The time limit of a TLS handshake.
    #[serde(rename = "handshake_timeout_seconds", with = "Seconds")]
    pub handshake_timeout: Duration,
    /// The time limit of a request's head from its first byte.
    #[serde(rename = "header_timeout_seconds", with = "Seconds")]
    pub header_timeout: Duration,
    /// The time limit of a request's body from the end of its head.
    #[serde(rename = "body_timeout_seconds", with = "Seconds")]
    pub body_timeout: Duration,
    /// The time limit for a caller to read a part of its response: 32 KiB, or a 32nd of a response beyond 1 MiB.
    #[serde(rename = "send_timeout_seconds", with = "Seconds")]
    pub send_timeout: Duration,
    /// The time limit of a connection without a request.
    #[serde(rename = "idle_timeout_seconds", with = "Seconds")]
    pub idle_timeout: Duration,
    /// The maximum bytes of a request's head.
    pub header_bytes: u32,
    /// The maximum number of headers of a request.
    pub headers: usize,
    /// The maximum number of connections; one more is closed as soon as it is accepted.
    pub connections: usize,
    /// The maximum number of connections from one address (IPv6: one /56); a trusted proxy may have more.
    pub connections_per_address: usize,
    /// The maximum number of concurrent HTTP/2 requests of one connection.
    pub streams_per_connection: u32,
    /// The bytes of unsent responses of one connection at which its next request has to wait; callers of a trusted
    /// proxy don't wait for one another.
    pub unsent_bytes_per_connection: usize,
    /// The maximum number of requests in progress, on all connections. One caller has at most three quarters of them.
    pub requests: usize,
    /// The maximum number of requests that wait for one of those to end. At that number, the caller with the most loses
    /// one.
    pub queue: usize,
    /// The time that a request waits before it is answered 503 while the queue of its caller drains, as after a burst.
    #[serde(rename = "burst_timeout_seconds", with = "Seconds")]
    pub burst_timeout: Duration,
    /// The same for a caller that sends more than is served and has sent more than 2,000 requests.
    #[serde(rename = "queue_timeout_milliseconds", with = "Milliseconds")]
    pub queue_timeout: Duration,
    /// The proxies that are trusted to name the address of a caller.
    pub trusted_proxies: Vec<Network>,
    /// The header that holds the address.
    pub forwarded_header: ForwardedHeader,
}

impl HttpSettings {
    /// Returns true when this server speaks TLS itself.
    pub const fn is_secure(&self) -> bool {
        self.certificate_file.is_some()
    }

    /// Returns true for the address of a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Only one header is trusted: a proxy that writes one of them passes the other on as its caller wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            certificate_file: None,
            key_file: None,
            certificate_poll: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            header_bytes: 16 * 1024,
            headers: 100,
            connections: 16_384,
            connections_per_address: 4_096,
            streams_per_connection: 100,
            unsent_bytes_per_connection: 8 * 1024 * 1024,
            requests: 32,
            queue: 2_048,
            burst_timeout: Duration::from_secs(60),
            queue_timeout: Duration::from_millis(50),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
        }
    }
}

/// Writes a time as a whole number of units of this many milliseconds.
struct Units<const MILLISECONDS: u64>;

type Seconds = Units<1_000>;
type Milliseconds = Units<1>;

impl<const MILLISECONDS: u64> Units<MILLISECONDS> {
    fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        serializer.serialize_u64(milliseconds / MILLISECONDS)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(|units| Duration::from_millis(units.saturating_mul(MILLISECONDS)))
    }
}
