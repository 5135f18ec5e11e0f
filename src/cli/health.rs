//! `clientele health`: asks the running server if it is ready, for the health checks of containers.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::listening::first_address;
use super::{Failure, print};
use crate::config::Config;

/// Twice the time after which the server itself gives up on its database.
const LONGEST_ANSWER: Duration = Duration::from_secs(4);

/// Asks the server that listens on the configured address.
pub(super) async fn run(config: &Config) -> Result<(), Failure> {
    let address = first_address(&config.listen).await;
    let address = address.map_err(|reason| Failure::new(format!("can't reach {}: {reason}", config.listen)))?;
    let address = reachable(address);
    if address.port() == 0 {
        return Err(Failure::misconfigured(
            "the port of the server isn't known: set listen to the address that the server has printed",
        ));
    }
    let scheme = match config.http.certificate_file {
        Some(_) => "https",
        None => "http",
    };
    let server = format!("{scheme}://{address}");
    let no_answer = |error: reqwest::Error| {
        let cause = cause(&error);
        let hint = match is_refused(cause) {
            true => "; is the server running at this address?",
            false => "",
        };
        Failure::new(format!("{server} doesn't answer: {cause}{hint}"))
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(LONGEST_ANSWER)
        .no_proxy()
        // The certificate has the name that callers use. The request carries no secret, and the answer none either.
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(Failure::internal)?;
    let response = client.get(format!("{server}/health/ready")).send().await;
    let response = response.map_err(no_answer)?;
    let is_ready = response.status().is_success();
    let text = response.text().await.map_err(no_answer)?;
    match is_ready {
        true => print(&text),
        false => Err(Failure::new(format!("{server} isn't ready: {}", text.trim_end()))),
    }
}

/// The address of this machine for a server that listens on all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The innermost reason: the others repeat the address.
fn cause(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

fn is_refused(cause: &(dyn Error + 'static)) -> bool {
    let cause = cause.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}
