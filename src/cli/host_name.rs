//! Resolves host names within a time limit.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

/// The time limit of a lookup.
const LONGEST: Duration = Duration::from_secs(5);

/// The addresses of a host, or the reason why the lookup failed.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let lookup = async { lookup_host((host, port)).await.map(Iterator::collect) };
    within(LONGEST, host, lookup).await
}

async fn within(
    longest: Duration,
    host: &str,
    lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> Result<Vec<SocketAddr>, String> {
    match timeout(longest, lookup).await {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "the host name {host} can't be resolved: check it, and the name service"
        )),
        Err(_) => Err(format!(
            "the name service doesn't resolve {host} within {} s: check it, and the machine's DNS settings",
            longest.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::within;

    #[tokio::test]
    async fn slow_name_service_is_named() {
        let sentence =
            "the name service doesn't resolve db.example within 0 s: check it, and the machine's DNS settings";
        assert_eq!(
            within(Duration::ZERO, "db.example", pending()).await,
            Err(sentence.to_owned())
        );
    }
}
