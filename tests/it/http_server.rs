//! The HTTP server over real sockets: limits, timeouts, TLS and hostile clients.

mod ambiguous_input;
mod connections;
mod cors_refusals;
mod http2;
mod http2_floods;
mod http2_frames;
mod malformed;
mod overload;
mod rate_limit;
mod responses;
mod slow_readers;
mod slow_senders;
mod tls;

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, body::Bytes, routing::get};
use clientele::api::metrics::ApiMetrics;
use clientele::server::{HttpSettings, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::harness::net;

/// A test that waits longer than this fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `router` during the test, with the leak check on its log.
async fn serve(settings: HttpSettings, router: Router) -> (SocketAddr, net::Spread) {
    let net = net::spread();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::new(&settings, ApiMetrics::default()).expect("valid settings");
    tokio::spawn(server.serve(listener, router, pending(), Duration::ZERO));
    (address, net)
}

/// Reads bodies at the paths of both APIs and at another one, and answers with their length.
fn reading() -> Router {
    let read = get(async || "0").post(async |body: Bytes| body.len().to_string());
    Router::new()
        .route("/graphql", read.clone())
        .route("/api/clients", read.clone())
        .route("/", read)
}

async fn connect(address: impl tokio::net::ToSocketAddrs) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

/// Everything that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A reset is a close as well.
    let _ = read.expect("the connection is closed");
    String::from_utf8(bytes).expect("text")
}

/// Sends `bytes` and reads what comes until the other side closes: status and body.
async fn exchange(address: impl tokio::net::ToSocketAddrs, bytes: &[u8]) -> (String, String) {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.expect("sent");
    parse(&rest(&mut stream).await)
}

/// Status line without the version, and body.
fn parse(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let status = status.trim_start_matches("HTTP/1.1 ").trim_start_matches("HTTP/1.0 ");
    let code = status.split(' ').next().and_then(|code| code.parse().ok());
    net::answer(code.unwrap_or(200), body);
    (status.to_owned(), body.to_owned())
}

/// One header of a raw answer.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}
