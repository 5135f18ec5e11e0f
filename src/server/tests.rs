//! The promises of the loop's end: what is under way is answered, and nothing holds the server up for ever.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{HttpSettings, Server};

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
    let server = Server::new(&HttpSettings::default()).expect("valid");
    server.serve(listener, router, stop, patience).await;
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
    serve(listener, router, stop, Duration::MAX).await;
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
    serve(listener, router, async move { begun.notified().await }, patience).await;
    assert!(start.elapsed() >= patience);
}
