//! An address to listen on, as written in settings: an IP address or a host name, and a port.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`. A name is resolved when the server starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// The host without brackets, and the port.
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let is_name = |host: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            // Only digits and dots is a mistyped address.
            host.bytes().all(is_part) && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        let (host, port) = text.rsplit_once(':').unwrap_or_default();
        match port.parse() {
            // Rust's number parser accepts a sign.
            Ok(number) if is_name(host) && !port.starts_with('+') => Ok(Self {
                host: host.to_owned(),
                port: number,
            }),
            _ => Err("must be an address and a port, as in 127.0.0.1:8080, localhost:8080 or [::]:8080".to_owned()),
        }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ListenAddress;

    #[test]
    fn listen_address_has_host_and_port() {
        for text in [
            "127.0.0.1:8080",
            "0.0.0.0:0",
            "[::1]:80",
            "[::]:8080",
            "localhost:8080",
            "db-1.bank.test:1",
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "8080",
            ":8080",
            "*:8080",
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:65536",
            "::1:80",
            "[localhost]:80",
            "127.0.0.1",
            "127.0.0:80",
            "http://localhost:80",
            "a b:80",
            "ana:hunter2@db:80",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
