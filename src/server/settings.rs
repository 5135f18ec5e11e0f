//! What an operator decides about connections and requests, whatever they ask for.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use clientele_core::network::Network;

/// Limits of the HTTP shell. Times are whole seconds or milliseconds in a configuration, as their names there say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// A certificate chain in PEM; with it every connection is TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How often the two files are looked at for a change.
    #[serde(rename = "certificate_poll_seconds", with = "seconds")]
    pub certificate_poll: Duration,
    /// How long a TLS handshake may take.
    #[serde(rename = "handshake_timeout_seconds", with = "seconds")]
    pub handshake_timeout: Duration,
    /// How long a request's head may take from its first byte.
    #[serde(rename = "header_timeout_seconds", with = "seconds")]
    pub header_timeout: Duration,
    /// How long a request's body may take from the end of its head.
    #[serde(rename = "body_timeout_seconds", with = "seconds")]
    pub body_timeout: Duration,
    /// How long a caller may leave a part of its answer untaken: 32 KiB, or a 32nd of an answer beyond 1 MiB.
    #[serde(rename = "send_timeout_seconds", with = "seconds")]
    pub send_timeout: Duration,
    /// How long a connection may rest without a request.
    #[serde(rename = "idle_timeout_seconds", with = "seconds")]
    pub idle_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes: u32,
    /// Headers of a request.
    pub headers: usize,
    /// Connections at once; one more is closed as soon as it is made.
    pub connections: usize,
    /// Connections at once from one address (IPv6: one /56); a trusted proxy may have more.
    pub connections_per_address: usize,
    /// HTTP/2 requests at once on one connection.
    pub streams_per_connection: u32,
    /// What the answers of one connection that haven't been taken may hold before its next request has to wait; a
    /// trusted proxy's callers don't wait for one another.
    pub unsent_bytes_per_connection: usize,
    /// Requests in progress at once, on all connections. One caller has at most three quarters of them.
    pub requests: usize,
    /// Requests that may wait for one of those to end. When there are as many, the caller with the most loses one to
    /// others.
    pub queue: usize,
    /// How long a request waits before it is answered 503 while the queue of its caller drains, as after a burst.
    #[serde(rename = "burst_timeout_seconds", with = "seconds")]
    pub burst_timeout: Duration,
    /// The same once its caller sends more than is served, and has sent more than 2,000 requests.
    #[serde(rename = "queue_timeout_milliseconds", with = "milliseconds")]
    pub queue_timeout: Duration,
    /// The proxies whose word is taken for where a request came from.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedHeader,
}

impl HttpSettings {
    /// Whether this server speaks TLS itself.
    pub const fn is_secure(&self) -> bool {
        self.certificate_file.is_some()
    }

    /// Whether an address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Only one is believed: a proxy that writes one of them passes the other on as its caller wrote it.
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

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
