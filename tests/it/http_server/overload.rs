//! More simultaneous requests than the server accepts.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Extension, Router, routing::get};
use clientele::{
    api::{RequestPermit, metrics::ApiMetrics},
    server::{HttpSettings, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
};

use crate::harness::net;

use super::{
    connect, exchange, header,
    http2_frames::{self, DATA, Peer, RST_STREAM, frame, widen},
    parse, reading, rest, serve,
};

fn ask_as(id: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n").into_bytes()
}

fn ask(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Ends when the test releases it.
fn waiting(begun: &Arc<Semaphore>, may_end: &Arc<Semaphore>) -> Router {
    let (begun, may_end) = (begun.clone(), may_end.clone());
    let wait = async move || {
        begun.add_permits(1);
        may_end.acquire().await.expect("open").forget();
        "done"
    };
    Router::new()
        .route("/wait", get(wait.clone()))
        .route("/metrics", get(wait.clone()))
        .route("/health/wait", get(wait))
        .route("/health/live", get(async || "live"))
}

#[tokio::test]
async fn surplus_request_is_refused_at_once_in_the_form_of_its_api() {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, _net) = serve(settings, waiting(&begun, &may_end)).await;
    let first = tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();

    let id = "0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0";
    let sentence = "The server has more to do than it can. Try again shortly.";
    for (path, expected) in [
        (
            "/api/clients",
            format!("{{\"returnCode\":6,\"returnStatus\":\"INTERNAL_ERROR\",\"errorSource\":\"{sentence}\"}}"),
        ),
        (
            "/graphql",
            format!(
                "{{\"errors\":[{{\"message\":\"{sentence}\",\
                 \"extensions\":{{\"code\":\"UNAVAILABLE\",\"requestId\":\"{id}\"}}}}]}}"
            ),
        ),
        ("/wait", format!("{sentence}\n")),
    ] {
        let mut stream = connect(address).await;
        stream.write_all(&ask_as(id, path)).await.expect("sent");
        let answer = rest(&mut stream).await;
        let (status, body) = parse(&answer);
        assert_eq!(status, "503 Service Unavailable");
        for (name, value) in [
            ("retry-after", "1"),
            ("x-request-id", id),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(&answer, name), Some(value), "{path} {name}");
        }
        assert_eq!(body, expected, "{path}");
    }
    let (status, _) = exchange(address, &ask("/health/live")).await;
    assert_eq!(status, "200 OK");

    may_end.add_permits(1);
    assert_eq!(first.await.expect("ended").1, "done");
}

/// Refusals that are sent before the router is asked end their connections like other answers.
#[tokio::test]
async fn refused_callers_are_asked_to_leave_while_the_server_is_stopping() {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let _net = net::spread();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (is_ending, ending) = watch::channel(false);
    let server = Server::new(&settings, ApiMetrics::default()).expect("valid settings");
    let server = server.with_ending(ending);
    tokio::spawn(server.serve(listener, waiting(&begun, &may_end), pending(), Duration::ZERO));
    let first = tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();

    let mut stream = connect(address).await;
    let request = b"GET /graphql HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    while !answer.ends_with("}]}") {
        let mut part = [0; 1_024];
        let length = stream.read(&mut part).await.expect("an answer");
        assert!(length > 0, "the connection has ended after {answer:?}");
        answer += &String::from_utf8_lossy(&part[..length]);
    }
    assert_eq!(header(&answer, "connection"), None, "{answer}");
    is_ending.send_replace(true);
    stream.write_all(request).await.expect("sent");
    let answer = rest(&mut stream).await;
    assert_eq!(parse(&answer).0, "503 Service Unavailable");
    assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    may_end.add_permits(1);
    assert_eq!(first.await.expect("ended").1, "done");
}

#[tokio::test]
async fn health_and_metrics_are_answered_under_overload() {
    for (path, most) in [("/metrics", 2), ("/health/wait", 32)] {
        let (address, may_end, _net) = full(HttpSettings::default()).await;
        let ask_one = || tokio::spawn(async move { exchange(address, &ask(path)).await });
        // All but one are admitted and wait, so the refused one ends first.
        let all = (0..=most).map(|_| ask_one());
        let (refused, _, others) = futures_util::future::select_all(all).await;
        assert_eq!(refused.expect("ended").0, "503 Service Unavailable", "{path}");
        may_end.add_permits(most + 1);
        for other in others {
            assert_eq!(other.await.expect("ended").1, "done", "{path}");
        }
    }
}

/// A server whose only permit is in use until the test adds one to the semaphore.
async fn full(settings: HttpSettings) -> (SocketAddr, Arc<Semaphore>, net::Spread) {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..settings
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, net) = serve(settings, waiting(&begun, &may_end)).await;
    tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();
    (address, may_end, net)
}

#[tokio::test]
async fn unread_http_2_refusal_ends_only_its_stream() {
    let settings = HttpSettings {
        send_timeout: Duration::from_millis(200),
        ..HttpSettings::default()
    };
    let (address, _may_end, _net) = full(settings).await;
    let mut peer = Peer::connect(address, 0).await;
    peer.send(&http2_frames::ask(1, "/wait")).await;
    let (mut next, mut reset) = (3, None);
    while reset.is_none() {
        // Without more room on the connection, a fast machine would use it up before the stream is reset.
        let room = [widen(0, 1_000), widen(next, 1_000)].concat();
        peer.send(&[http2_frames::ask(next, "/wait"), room].concat()).await;
        loop {
            let frame = peer.next_of(&[DATA, RST_STREAM]).await.expect("the connection lives");
            if frame.kind == RST_STREAM {
                reset = Some((frame.stream, frame.payload));
            } else if frame.stream == next {
                break;
            }
        }
        next += 2;
    }
    // CANCEL.
    assert_eq!(reset, Some((1, vec![0, 0, 0, 8])));
}

#[tokio::test]
async fn reset_http_2_refusals_end_the_connection() {
    let (address, _may_end, _net) = full(HttpSettings::default()).await;
    let mut peer = Peer::connect(address, 65_535).await;
    for stream in (1..).step_by(2).take(3_000) {
        let cancel = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        peer.send(&[http2_frames::ask(stream, "/wait"), cancel].concat()).await;
    }
    peer.is_closed().await;
}

#[tokio::test]
async fn few_surplus_requests_wait_briefly() {
    let settings = HttpSettings {
        requests: 1,
        queue: 1,
        burst_timeout: Duration::from_secs(60),
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, _net) = serve(settings, waiting(&begun, &may_end)).await;
    let ask_one = || tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    // One runs, one waits, and the third is refused.
    let mut all: Vec<_> = (0..3).map(|_| ask_one()).collect();
    let (refused, _, others) = futures_util::future::select_all(all.drain(..)).await;
    assert_eq!(refused.expect("ended").0, "503 Service Unavailable");
    may_end.add_permits(2);
    for other in others {
        assert_eq!(other.await.expect("ended").1, "done");
    }
}

#[tokio::test]
async fn awaited_body_holds_no_permit() {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, _net) = serve(settings, waiting(&begun, &may_end).merge(reading())).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(address).await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        // Reports that the server awaits the body.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.expect("an answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        slow.push(stream);
    }
    let (status, _) = exchange(address, &ask("/")).await;
    assert_eq!(status, "200 OK");

    // A complete request waits for a permit again, although nothing else may wait.
    let other = tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();
    for stream in &mut slow {
        stream.write_all(b"four").await.expect("sent");
    }
    assert_eq!(exchange(address, &ask("/")).await.0, "503 Service Unavailable");
    may_end.add_permits(1);
    assert_eq!(other.await.expect("ended").1, "done");
    for stream in &mut slow {
        assert_eq!(parse(&rest(stream).await), ("200 OK".to_owned(), "4".to_owned()));
    }
}

#[tokio::test]
async fn complete_request_is_refused_after_waiting_in_vain() {
    let settings = HttpSettings {
        requests: 1,
        burst_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, _net) = serve(settings, waiting(&begun, &may_end).merge(reading())).await;
    let mut slow = connect(address).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.expect("an answer");
    let other = tokio::spawn(async move { exchange(address, &ask("/wait")).await });
    begun.acquire().await.expect("open").forget();
    slow.write_all(b"four").await.expect("sent");
    assert_eq!(parse(&rest(&mut slow).await).0, "503 Service Unavailable");
    may_end.add_permits(1);
    assert_eq!(other.await.expect("ended").1, "done");
}

#[tokio::test]
async fn work_without_its_caller_keeps_its_permit() {
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (has_ended, mut ended) = mpsc::channel::<()>(1);
    let (given_up, mut is_given_up) = mpsc::channel::<()>(1);
    let (has_begun, end) = (begun.clone(), may_end.clone());
    let change = async move |Extension(place): Extension<RequestPermit>| {
        let (_given_up, end, has_ended) = (given_up, end, has_ended);
        let work = tokio::spawn(async move {
            end.acquire().await.expect("open").forget();
            drop(place);
            drop(has_ended);
        });
        has_begun.add_permits(1);
        work.await.expect("no panic");
    };
    // The handler serves one call, so that its end is visible.
    let change = Arc::new(Mutex::new(Some(change)));
    let route = get(async move |place: Extension<RequestPermit>| {
        let change = change.lock().expect("no panic").take().expect("called once");
        change(place).await;
    });
    let (address, _net) = serve(settings, Router::new().route("/change", route).merge(reading())).await;
    let mut caller = connect(address).await;
    caller.write_all(&ask("/change")).await.expect("sent");
    begun.acquire().await.expect("open").forget();
    drop(caller);
    assert_eq!(is_given_up.recv().await, None);
    assert_eq!(exchange(address, &ask("/")).await.0, "503 Service Unavailable");
    may_end.add_permits(1);
    assert_eq!(ended.recv().await, None);
    assert_eq!(exchange(address, &ask("/")).await.0, "200 OK");
}
