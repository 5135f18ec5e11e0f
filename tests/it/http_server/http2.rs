//! HTTP/2 with prior knowledge: shutdown, idle connections, and limits of requests.

use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode, routing};
use clientele::api::metrics::ApiMetrics;
use clientele::server::{HttpSettings, Server};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use super::{
    PATIENCE, connect,
    http2_frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, Peer, RST_STREAM, frame},
    reading,
};
use crate::harness::net;

struct Caller {
    send: SendRequest<Body>,
    /// Ends with the connection.
    connection: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _net: net::Spread,
}

async fn caller(settings: HttpSettings) -> Caller {
    let net = net::spread();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(&settings, ApiMetrics::default()).expect("valid settings");
    let stopped = async {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(server.serve(listener, reading(), stopped, PATIENCE));
    let io = TokioIo::new(connect(address).await);
    let (send, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    Caller {
        send,
        connection,
        stop,
        serving,
        _net: net,
    }
}

fn post(path: &str, body: impl Into<Body>) -> hyper::Request<Body> {
    let request = hyper::Request::post(format!("http://clientele{path}"));
    request.body(body.into()).expect("a request")
}

#[tokio::test]
async fn shutdown_is_announced_and_ends_the_connection() {
    let mut caller = caller(HttpSettings::default()).await;
    let response = caller.send.send_request(post("/", "four")).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let _ = caller.stop.send(());
    timeout(PATIENCE, caller.connection)
        .await
        .expect("closed in time")
        .expect("no panic");
    timeout(PATIENCE, caller.serving)
        .await
        .expect("ended in time")
        .expect("no panic");
}

#[tokio::test]
async fn refusal_of_an_unread_body_resets_no_stream() {
    let refusal = routing::post(async || (StatusCode::UNAUTHORIZED, "Sign in."));
    let (address, _net) = super::serve(HttpSettings::default(), Router::new().route("/", refusal)).await;
    let mut peer = Peer::connect(address, 65_535).await;
    // POST / with a content-length of 4.
    let head = [0x83, 0x86, 0x84, 0x01, 1, b'a', 0x0f, 0x0d, 1, b'4'];
    for stream in (1..).step_by(2).take(50) {
        peer.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
        let answer = peer.next_of(&[DATA, RST_STREAM]).await.expect("the connection lives");
        assert_eq!((answer.kind, answer.stream), (DATA, stream));
        // The answer to the ping comes after a reset.
        let body = frame(DATA, END_STREAM, stream, b"four");
        peer.send(&[body, frame(PING, 0, 0, b"8 bytes.")].concat()).await;
        let next = peer.next_of(&[PING, RST_STREAM]).await.expect("the connection lives");
        assert_eq!((next.kind, next.stream), (PING, 0));
    }
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let settings = HttpSettings {
        idle_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let mut caller = caller(settings).await;
    let response = caller.send.send_request(post("/", "")).await.expect("an answer");
    assert_eq!(response.status(), 200);
    timeout(PATIENCE, caller.connection)
        .await
        .expect("closed in time")
        .expect("no panic");
}

#[tokio::test]
async fn pings_do_not_keep_a_connection_open() {
    let settings = HttpSettings {
        idle_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    };
    let (address, _net) = super::serve(settings, reading()).await;
    let io = TokioIo::new(connect(address).await);
    let (mut send, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(5))
        .keep_alive_while_idle(true)
        .handshake::<_, Body>(io)
        .await
        .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let response = send.send_request(post("/", "")).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let _ = timeout(PATIENCE, connection).await.expect("closed in time");
}

#[tokio::test]
async fn slow_body_ends_only_its_request() {
    let settings = HttpSettings {
        body_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let mut caller = caller(settings).await;
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let response = caller
        .send
        .send_request(post("/graphql", endless))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 408);
    let response = caller.send.send_request(post("/", "four")).await.expect("an answer");
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn too_large_head_ends_only_its_request() {
    let mut caller = caller(HttpSettings::default()).await;
    let request = hyper::Request::get("http://clientele/").header("x", "a".repeat(17_000));
    let answer = caller
        .send
        .send_request(request.body(Body::empty()).expect("a request"))
        .await;
    assert!(answer.map_or(true, |answer| answer.status() == 431));
    let response = caller.send.send_request(post("/", "four")).await.expect("an answer");
    assert_eq!(response.status(), 200);
}
