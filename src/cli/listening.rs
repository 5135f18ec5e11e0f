//! The socket, and what stops it. Knows nothing of what is served, nor how.

use std::io;
use std::net::SocketAddr;

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

/// Becomes true at the first SIGTERM or SIGINT after the call of this function.
pub(super) fn stop_on_signal() -> Result<watch::Receiver<bool>, Failure> {
    let install = |kind| signal(kind).map_err(|error| Failure::new(format!("can't wait for signals: {error}")));
    let (mut terminate, mut interrupt) = (install(SignalKind::terminate())?, install(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        // Whoever asks later must hear of it, too.
        stop.closed().await;
    });
    Ok(stopped)
}

/// Ends when `stop` becomes true.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The HTTP shell as it is configured, with its certificate read.
pub(super) fn server(config: &Config) -> Result<Server, Failure> {
    Server::new(&config.http).map_err(|error| Failure::misconfigured(error.to_string()))
}
