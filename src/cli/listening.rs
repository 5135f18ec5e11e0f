//! The socket, and what stops it. Knows nothing of what is served.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::Failure;

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

/// Serves until `stop`, then lets the requests under way finish for at most `patience`. A write that is cut short by the end
/// of that time leaves nothing: its transaction was never committed.
pub(super) async fn serve_until(
    stop: impl Future<Output = ()> + Send + 'static,
    listener: TcpListener,
    router: Router,
    patience: Duration,
) -> Result<(), Failure> {
    let (stopping, stopped) = oneshot::channel();
    // Small answers must not wait for the acknowledgement of earlier ones.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(async {
        stop.await;
        tracing::info!("stopping: no new requests");
        let _ = stopping.send(());
    });
    let out_of_patience = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(patience).await;
        }
    };
    tokio::select! {
        result = serving.into_future() => result.map_err(|error| Failure::new(format!("can't go on serving: {error}")))?,
        () = out_of_patience => tracing::warn!(seconds = patience.as_secs(), "requests were still under way"),
    }
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::serve_until;

    async fn listen() -> (TcpListener, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut caller = TcpStream::connect(listener.local_addr().expect("an address"))
            .await
            .expect("connected");
        caller
            .write_all(b"GET / HTTP/1.1\r\nhost: clientele\r\n\r\n")
            .await
            .expect("sent");
        (listener, caller)
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_signal() {
        let (listener, mut caller) = listen().await;
        let (begun, told_to_stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (has_begun, may_end) = (begun.clone(), told_to_stop.clone());
        let handler = async move || {
            has_begun.notify_one();
            may_end.notified().await;
            "done"
        };
        let stop = async move {
            begun.notified().await;
            told_to_stop.notify_one();
        };
        let router = Router::new().route("/", get(handler));
        serve_until(stop, listener, router, Duration::MAX)
            .await
            .expect("stopped in order");
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\ndone"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_request_that_never_ends_holds_the_server_up_no_longer_than_allowed() {
        let (listener, _caller) = listen().await;
        let begun = Arc::new(Notify::new());
        let has_begun = begun.clone();
        let handler = async move || {
            has_begun.notify_one();
            pending::<()>().await;
        };
        let patience = Duration::from_millis(50);
        let start = Instant::now();
        let router = Router::new().route("/", get(handler));
        serve_until(async move { begun.notified().await }, listener, router, patience)
            .await
            .expect("stopped");
        assert!(start.elapsed() >= patience);
    }
}
