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
use crate::api::metrics::ApiMetrics;

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
async fn what_is_refused_before_the_routes_is_counted_by_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        header_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let metrics = ApiMetrics::default();
    let (stop, stopped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stopping, begun) = (stop.clone(), Arc::new(Notify::new()));
    let (has_begun, may_end) = (begun.clone(), stopped.clone());
    let wait = async move || {
        has_begun.notify_one();
        may_end.notified().await;
    };
    let router = Router::new().route("/", get(wait));
    let server = Server::new(&settings).expect("valid").measured_by(&metrics);
    let serving = tokio::spawn(async move {
        server
            .serve(
                listener,
                router,
                async move { stopping.notified().await },
                Duration::MAX,
            )
            .await;
    });
    let exchange = async |bytes: String| {
        let mut caller = TcpStream::connect(address).await.expect("connected");
        caller.write_all(bytes.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = caller.read_to_end(&mut answer).await;
        String::from_utf8(answer)
            .expect("text")
            .chars()
            .skip(9)
            .take(3)
            .collect::<String>()
    };
    let head = "GET / HTTP/1.1\r\nhost: clientele\r\n";
    let long = format!("{head}x: {}\r\n\r\n", "a".repeat(20_000));
    for (bytes, status) in [
        ("GET / HTTP/1.1\nhost: clientele\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (long, "431"),
        (head.to_owned(), ""),
    ] {
        assert_eq!(exchange(bytes).await, status);
    }
    let mut under_way = TcpStream::connect(address).await.expect("connected");
    under_way
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .expect("sent");
    begun.notified().await;
    for path in ["/", "/graphql", "/api/clients"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: clientele\r\nconnection: close\r\n\r\n");
        assert_eq!(exchange(request).await, "503");
    }
    assert!(metrics.text().contains("\nclientele_requests_in_progress 1\n"));
    stopped.notify_one();
    stop.notify_one();
    serving.await.expect("it ends");

    assert_eq!(
        refused(&metrics),
        ["header_size 1", "header_timeout 1", "malformed 2", "overload 3"]
    );
    assert_eq!(
        errors(&metrics),
        [
            r#"api="graphql",code="UNAVAILABLE"} 1"#,
            r#"api="rest",code="INTERNAL_ERROR"} 1"#
        ]
    );
}

#[tokio::test]
async fn a_connection_too_many_is_counted() {
    let (listener, mut caller) = listen().await;
    let address = listener.local_addr().expect("an address");
    let settings = HttpSettings {
        connections_per_address: 1,
        ..HttpSettings::default()
    };
    let metrics = ApiMetrics::default();
    let server = Server::new(&settings).expect("valid").measured_by(&metrics);
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
    assert_eq!(refused(&metrics), ["connections 1"]);
}

#[tokio::test]
async fn answers_given_for_an_api_are_counted_by_its_codes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let settings = HttpSettings {
        requests: 1,
        queue: 1,
        burst_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let metrics = ApiMetrics::default();
    let server = Server::new(&settings).expect("valid").measured_by(&metrics);
    let (stop, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stopping, has_begun) = (stop.clone(), begun.clone());
    let wait = async move || {
        has_begun.notify_one();
        pending::<()>().await;
    };
    async fn defect() -> String {
        panic!("a defect")
    }
    let api = || get(defect).post(async |body: String| body);
    let router = Router::new()
        .route("/graphql", api())
        .route("/api/clients", api())
        .route("/wait", get(wait));
    let serving = tokio::spawn(async move {
        let stop = async move { stopping.notified().await };
        server.serve(listener, router, stop, Duration::ZERO).await;
    });
    let ask = async |request: &str| {
        let mut caller = TcpStream::connect(address).await.expect("connected");
        caller.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = caller.read_to_string(&mut answer).await;
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    let paths = ["/graphql", "/api/clients"];
    for path in paths {
        let head = format!("{path} HTTP/1.1\r\nhost: clientele\r\nconnection: close\r\n");
        assert_eq!(ask(&format!("GET {head}\r\n")).await, "500");
        assert_eq!(ask(&format!("POST {head}content-length: 1\r\n\r\n")).await, "408");
    }
    let mut under_way = TcpStream::connect(address).await.expect("connected");
    let request = b"GET /wait HTTP/1.1\r\nhost: clientele\r\n\r\n";
    under_way.write_all(request).await.expect("sent");
    begun.notified().await;
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\nhost: clientele\r\nconnection: close\r\n\r\n");
        assert_eq!(ask(&request).await, "503");
    }
    stop.notify_one();
    serving.await.expect("it ends");
    assert_eq!(refused(&metrics), ["body_timeout 2", "overload 2"]);
    assert_eq!(
        errors(&metrics),
        [
            r#"api="graphql",code="INTERNAL"} 1"#,
            r#"api="graphql",code="TIMEOUT"} 1"#,
            r#"api="graphql",code="UNAVAILABLE"} 1"#,
            r#"api="rest",code="INTERNAL_ERROR"} 2"#,
            r#"api="rest",code="INVALID_PARAMETERS"} 1"#,
        ]
    );
}

/// The errors counted, by their labels.
fn errors(metrics: &ApiMetrics) -> Vec<String> {
    let text = metrics.text();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("clientele_errors_total{"));
    let mut errors: Vec<String> = lines.map(str::to_owned).collect();
    errors.sort_unstable();
    errors
}

/// The reasons that have refused something, each with how often.
fn refused(metrics: &ApiMetrics) -> Vec<String> {
    let text = metrics.text();
    let of_reason = |line: &str| {
        let reason = line.strip_prefix("clientele_refused_total{reason=\"")?;
        reason
            .split_once("\"} ")
            .map(|(reason, count)| (reason.to_owned(), count.to_owned()))
    };
    let mut refused: Vec<(String, String)> = text.lines().filter_map(of_reason).collect();
    refused.retain(|(_, count)| count != "0");
    refused.sort_unstable();
    refused
        .into_iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect()
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
