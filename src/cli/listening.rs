//! The socket, and what stops it. Knows nothing of what is served, nor how.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Failure;
use crate::config::Config;
use crate::server::Server;

/// Takes the port.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(match error.kind() {
            io::ErrorKind::AddrInUse => format!("can't listen on {address}: another program uses this port"),
            _ => format!("can't listen on {address}: {error}"),
        })
    })
}

/// What SIGTERM or SIGINT after the call of [`stop_on_signal`] make true.
pub(super) struct Signals {
    /// At the first: nothing is begun any more, and nobody is to be sent here.
    pub stop: watch::Receiver<bool>,
    /// A while later, or at the second: nobody is let in any more.
    pub close: watch::Receiver<bool>,
}

/// Between the two is `delay`, in which balancers notice.
pub(super) fn stop_on_signal(delay: Duration) -> Result<Signals, Failure> {
    let install = |kind| signal(kind).map_err(|error| Failure::new(format!("can't wait for signals: {error}")));
    let (mut terminate, mut interrupt) = (install(SignalKind::terminate())?, install(SignalKind::interrupt())?);
    let ((stop, stopped), (close, closed)) = (watch::channel(false), watch::channel(false));
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs(), "stopping: not ready any more");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        close.send_replace(true);
        // Whoever asks later must hear of it, too.
        tokio::join!(stop.closed(), close.closed());
    });
    Ok(Signals {
        stop: stopped,
        close: closed,
    })
}

/// Ends when `stop` becomes true.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The HTTP shell as it is configured, with its certificate read.
pub(super) fn server(config: &Config) -> Result<Server, Failure> {
    let server = Server::new(&config.http).map_err(|error| Failure::misconfigured(error.to_string()))?;
    Ok(server.for_pages_of(&config.cors))
}
