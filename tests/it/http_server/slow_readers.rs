//! Clients that do not read their responses.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use clientele::server::HttpSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::{
    PATIENCE, connect, exchange,
    http2_frames::{DATA, END_STREAM, HEADERS, PING, Peer, RST_STREAM, ask, frame, widen},
    rest, serve,
};

const SHORT: Duration = Duration::from_millis(200);
/// More than the system keeps for a connection.
const LARGE: usize = 32 * 1024 * 1024;
const MIDDLING: usize = 256 * 1024;

/// Numbers of created responses and of those still in memory.
#[derive(Clone, Copy, Default)]
struct Count {
    made: usize,
    kept: usize,
}

/// Bytes that report when they are dropped.
struct Answer {
    bytes: Vec<u8>,
    count: watch::Sender<Count>,
}

impl Answer {
    fn body(count: &watch::Sender<Count>, length: usize) -> Body {
        count.send_modify(|count| {
            count.made += 1;
            count.kept += 1;
        });
        Body::from(Bytes::from_owner(Self {
            bytes: vec![b'a'; length],
            count: count.clone(),
        }))
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.count.send_modify(|count| count.kept -= 1);
    }
}

/// Responses of three sizes, and their counters.
fn answering() -> (Router, watch::Receiver<Count>) {
    let (count, counted) = watch::channel(Count::default());
    let of = |length| {
        let count = count.clone();
        get(async move || Answer::body(&count, length))
    };
    let router = Router::new()
        .route("/large", of(LARGE))
        .route("/middling", of(MIDDLING))
        .route("/", of(1));
    (router, counted)
}

/// Waits until `made` responses have been created and none is in memory.
async fn none_kept(counted: &mut watch::Receiver<Count>, made: usize) {
    let gone = counted.wait_for(|count| count.made == made && count.kept == 0);
    timeout(PATIENCE, gone)
        .await
        .expect("given up in time")
        .expect("a server");
}

fn short() -> HttpSettings {
    HttpSettings {
        send_timeout: SHORT,
        ..HttpSettings::default()
    }
}

async fn send_get(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn unread_response_is_dropped_with_its_connection() {
    let (router, mut counted) = answering();
    let (address, _net) = serve(short(), router).await;
    let mut stream = send_get(address, "/large").await;
    none_kept(&mut counted, 1).await;
    let received = rest(&mut stream).await.len();
    assert!(received < LARGE, "the rest of it is gone: {received}");
    let (status, body) = exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status.as_str(), body.as_str()), ("200 OK", "a"));
}

#[tokio::test]
async fn reading_a_byte_now_and_then_keeps_no_response() {
    let (router, mut counted) = answering();
    let (address, _net) = serve(short(), router).await;
    let mut stream = send_get(address, "/large").await;
    tokio::select! {
        () = none_kept(&mut counted, 1) => {}
        () = async {
            loop {
                let _ = stream.read(&mut [0]).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn read_response_is_complete_and_frees_everything() {
    let (router, mut counted) = answering();
    let (address, _net) = serve(HttpSettings::default(), router).await;
    let mut stream = send_get(address, "/large").await;
    let answer = rest(&mut stream).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
    assert!(body.len() == LARGE && body.bytes().all(|byte| byte == b'a'));
    none_kept(&mut counted, 1).await;

    let mut peer = Peer::connect(address, 1024 * 1024).await;
    peer.send(&ask(1, "/middling")).await;
    let (mut bytes, mut ended) = (0, false);
    while !ended {
        peer.send(&widen(0, 65_535)).await;
        let data = peer.next_of(&[DATA]).await.expect("an answer");
        bytes += data.payload.len();
        ended = data.flags & END_STREAM != 0;
    }
    assert_eq!(bytes, MIDDLING);
    none_kept(&mut counted, 2).await;
}

#[tokio::test]
async fn http_2_without_reads_loses_its_connection() {
    let (router, mut counted) = answering();
    let (address, _net) = serve(short(), router).await;
    let mut peer = Peer::connect(address, 0).await;
    for stream in [1, 3, 5, 7] {
        peer.send(&ask(stream, if stream < 5 { "/middling" } else { "/" }))
            .await;
    }
    none_kept(&mut counted, 4).await;
    peer.is_closed().await;
}

#[tokio::test]
async fn unread_stream_is_dropped_and_others_go_on() {
    let (router, mut counted) = answering();
    let (address, _net) = serve(short(), router).await;
    let mut peer = Peer::connect(address, 65_535).await;
    peer.send(&widen(0, 1024 * 1024 * 1024)).await;
    // One stream reads nothing beyond its window, as a proxy does for a slow caller.
    peer.send(&ask(1, "/middling")).await;
    let (mut next, mut answered, mut reset) = (3, 0, None);
    while reset.is_none() {
        peer.send(&ask(next, "/")).await;
        loop {
            let frame = peer.next_of(&[DATA, RST_STREAM]).await.expect("the connection lives");
            if frame.kind == RST_STREAM {
                reset = Some((frame.stream, frame.payload));
            } else if frame.stream == next {
                answered += 1;
                break;
            }
        }
        next += 2;
    }
    // CANCEL.
    assert_eq!(reset, Some((1, vec![0, 0, 0, 8])));
    none_kept(&mut counted, 1 + answered).await;
}

#[tokio::test]
async fn callers_of_a_trusted_proxy_do_not_block_each_other() {
    let (router, mut counted) = answering();
    let settings = HttpSettings {
        unsent_bytes_per_connection: MIDDLING - 1,
        trusted_proxies: vec!["127.0.0.1".parse().expect("a network")],
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, router).await;
    let mut peer = Peer::connect(address, 0).await;
    for stream in [1, 3] {
        peer.send(&ask(stream, "/middling")).await;
        assert_eq!(peer.next_of(&[HEADERS]).await.expect("a head").stream, stream);
    }
    assert_eq!(counted.borrow().kept, 2);
    drop(peer);
    none_kept(&mut counted, 2).await;
}

#[tokio::test]
async fn caller_with_unread_responses_waits_for_more() {
    let (router, mut counted) = answering();
    let settings = HttpSettings {
        unsent_bytes_per_connection: MIDDLING - 1,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, router).await;
    let mut peer = Peer::connect(address, 0).await;
    peer.send(&ask(1, "/middling")).await;
    assert_eq!(peer.next_of(&[HEADERS]).await.expect("a head").stream, 1);
    peer.send(&ask(3, "/")).await;
    // The response has been read by then.
    for _ in 0..50 {
        peer.send(&frame(PING, 0, 0, &[0; 8])).await;
        let pong = peer.next_of(&[PING, HEADERS]).await.expect("an answer");
        assert_eq!(pong.kind, PING, "nothing else is answered meanwhile");
    }
    let made = counted.borrow().made;
    assert_eq!(made, 1);
    peer.send(&[widen(0, 1024 * 1024), widen(1, 1024 * 1024)].concat())
        .await;
    assert_eq!(peer.next_of(&[HEADERS]).await.expect("a head").stream, 3);
    peer.send(&widen(3, 1)).await;
    none_kept(&mut counted, 2).await;
    let (status, _) = exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status, "200 OK", "the other connections don't wait");
}
