//! Tests of the limit of connections and of the graceful shutdown.

use std::{
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, http::HeaderMap, response::Response, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{Application, HttpSettings, Refusal, RequestId, Server, report::Reason};

/// An application that records refusals.
#[derive(Clone, Debug, Default)]
struct Refusals(Arc<Mutex<Vec<Reason>>>);

impl Application for Refusals {
    type Form = ();

    const FORMS: &'static [()] = <()>::FORMS;

    fn form(path: &str, headers: &HeaderMap) {
        <()>::form(path, headers);
    }

    fn refusal((): (), refusal: Refusal, id: &RequestId) -> Response {
        <()>::refusal((), refusal, id)
    }

    fn refused(&self, reason: Reason) {
        self.0.lock().expect("no panic").push(reason);
    }
}

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

async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send, patience: Duration) {
    let server = Server::new(&HttpSettings::default(), ()).expect("valid");
    server.serve(listener, router, stop, patience).await;
}

#[tokio::test]
async fn excess_connection_is_closed_and_counted() {
    let (listener, mut caller) = listen().await;
    let address = listener.local_addr().expect("an address");
    let settings = HttpSettings {
        connections_per_address: 1,
        ..HttpSettings::default()
    };
    let refusals = Refusals::default();
    let server = Server::new(&settings, refusals.clone()).expect("valid");
    let stop = async move {
        let mut status = [0; 12];
        caller.read_exact(&mut status).await.expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 200");
        let mut refused = TcpStream::connect(address).await.expect("connected");
        let mut nothing = Vec::new();
        let _ = refused.read_to_end(&mut nothing).await;
        assert_eq!(nothing, b"");
    };
    let router = Router::new().route("/", get(async || "here"));
    server.serve(listener, router, stop, Duration::MAX).await;
    assert_eq!(*refusals.0.lock().expect("no panic"), [Reason::Connections]);
}

#[tokio::test]
async fn request_in_progress_is_answered_after_the_signal() {
    let (listener, mut caller) = listen().await;
    let (begun, stop_requested) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, may_end) = (begun.clone(), stop_requested.clone());
    let handler = async move || {
        has_begun.notify_one();
        may_end.notified().await;
        "done"
    };
    let stop = async move {
        begun.notified().await;
        stop_requested.notify_one();
    };
    let router = Router::new().route("/", get(handler));
    serve(listener, router, stop, Duration::MAX).await;
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\ndone"),
        "{answer}"
    );
}

#[tokio::test]
async fn endless_request_delays_the_end_only_for_the_timeout() {
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
    serve(listener, router, async move { begun.notified().await }, patience).await;
    assert!(start.elapsed() >= patience);
}
