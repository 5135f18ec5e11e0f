//! The listening socket, and the signals that stop the server. Doesn't know the routes or protocols served.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Failure;
use crate::api::metrics::ApiMetrics;
use crate::config::Config;
use clientele_core::network::ListenAddress;
use http_server::Server;

/// The maximum number of connections not yet accepted, within the system's limit. Beyond it, the caller's system
/// retries after a second, which would delay a burst that the server could serve at once.
const BACKLOG: u32 = 4096;
/// The time limit of the lookup of a host name.
const LONGEST_LOOKUP: Duration = Duration::from_secs(5);

/// Resolves the address to listen on.
pub(super) async fn resolve(address: &ListenAddress) -> Result<SocketAddr, Failure> {
    let failure = |reason| Failure::new(format!("can't listen on {address}: {reason}"));
    first_address(address).await.map_err(failure)
}

/// The first address of a host, or the reason why the lookup failed. IPv4 is preferred, so `localhost` is 127.0.0.1 if
/// it has both.
pub(super) async fn first_address(address: &ListenAddress) -> Result<SocketAddr, String> {
    let (host, port) = address.host_and_port();
    let found = resolve_host(host, port).await?;
    let first = found.into_iter().min_by_key(SocketAddr::is_ipv6);
    first.ok_or_else(|| "the host name has no address".to_owned())
}

/// The addresses of a host, or the reason why the lookup failed.
pub(super) async fn resolve_host(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let lookup = async { lookup_host((host, port)).await.map(Iterator::collect) };
    resolve_within(LONGEST_LOOKUP, host, lookup).await
}

async fn resolve_within(
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

/// Binds the port. `remedy` ends the sentence about a port that isn't free.
pub(super) fn bind(address: SocketAddr, remedy: &str) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| {
        Failure::new(match error.kind() {
            io::ErrorKind::AddrInUse => format!("can't listen on {address}: another program uses this port{remedy}"),
            _ => format!("can't listen on {address}: {error}"),
        })
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a server that has just stopped must not block the next one.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Flags set by SIGTERM or SIGINT after the call of [`stop_on_signal`].
pub(super) struct Signals {
    /// Set by the first signal: background work stops, and load balancers should stop sending requests.
    pub stop: watch::Receiver<bool>,
    /// Set after a delay, or by the second signal: new requests are refused.
    pub close: watch::Receiver<bool>,
}

/// `delay` separates the two flags, so that load balancers can react.
pub(super) fn stop_on_signal(delay: Duration) -> Result<Signals, Failure> {
    let mut signals = StopSignals::install()?;
    let ((stop, stopped), (close, closed)) = (watch::channel(false), watch::channel(false));
    tokio::spawn(async move {
        signals.recv().await;
        stop.send_replace(true);
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs(), "stopping: not ready any more");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = signals.recv() => {}
        }
        close.send_replace(true);
        // Keeps the senders alive, so that later receivers see the signal.
        tokio::join!(stop.closed(), close.closed());
    });
    Ok(Signals {
        stop: stopped,
        close: closed,
    })
}

/// Completes when a later signal stops the command, with the failure to report.
pub(super) fn interrupted() -> Result<impl Future<Output = Failure>, Failure> {
    let mut signals = StopSignals::install()?;
    Ok(async move {
        let (name, kind) = signals.recv().await;
        Failure::stopped(name, kind)
    })
}

/// The signals that stop a process: by default they end it before it can close its database.
struct StopSignals(Vec<(&'static str, SignalKind, Signal)>);

impl StopSignals {
    fn install() -> Result<Self, Failure> {
        let kinds = [
            ("SIGTERM", SignalKind::terminate()),
            ("SIGINT", SignalKind::interrupt()),
            ("SIGHUP", SignalKind::hangup()),
            ("SIGQUIT", SignalKind::quit()),
        ];
        let wanted = kinds.into_iter().filter(|(_, kind)| !is_ignored(*kind));
        let installed = wanted.map(|(name, kind)| Ok((name, kind, install(kind)?)));
        installed.collect::<Result<_, _>>().map(Self)
    }

    async fn recv(&mut self) -> (&'static str, SignalKind) {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            let received = signals.find_map(|(name, kind, signal)| {
                let is_ready = signal.poll_recv(context).is_ready();
                is_ready.then_some((*name, *kind))
            });
            received.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Returns true when the process was started with this signal ignored, as `nohup` does. Detected on Linux only.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or_default() >> (kind.as_raw_value() - 1) & 1 == 1
}

/// SIGXFSZ on the supported systems.
const FILE_TOO_LARGE: i32 = 25;

/// Makes a write beyond the file size limit fail: without a handler, the system ends the process instead.
pub(super) fn survive_file_limit() {
    let _ = signal(SignalKind::from_raw(FILE_TOO_LARGE));
}

fn install(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format!("can't wait for signals: {error}")))
}

/// Completes when `stop` becomes true.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The HTTP server as it is configured, with its certificate read.
pub(super) fn server(config: &Config, metrics: &ApiMetrics) -> Result<Server<ApiMetrics>, Failure> {
    let server = Server::new(&config.http, metrics.clone());
    let server = server.map_err(|error| Failure::misconfigured(error.to_string()))?;
    Ok(server.with_cors(config.cors.layer()))
}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::TcpStream, time::Duration};

    use super::{bind, resolve_within};

    #[tokio::test]
    async fn slow_name_service_is_named() {
        let sentence =
            "the name service doesn't resolve db.example within 0 s: check it, and the machine's DNS settings";
        assert_eq!(
            resolve_within(Duration::ZERO, "db.example", pending()).await,
            Err(sentence.to_owned())
        );
    }

    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted() {
        let listener = bind("127.0.0.1:0".parse().expect("an address"), "").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let burst = (0..300).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500)));
        let burst: Result<Vec<_>, _> = burst.collect();
        assert_eq!(burst.expect("each connects at the first attempt").len(), 300);
    }
}
