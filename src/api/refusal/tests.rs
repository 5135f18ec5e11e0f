//! Refusals of the server in the forms of both APIs, and how they are counted.

use std::{future::pending, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header::ACCEPT},
    routing::get,
};
use http_server::{Application, HttpSettings, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::ApiMetrics;

#[test]
fn every_form_is_prepared() {
    for (path, accept) in [
        ("/graphql", None),
        ("/graphql/", Some("application/graphql-response+json")),
        ("/graphql", Some("application/json")),
        ("/graphql", Some("text/html")),
        ("/api", None),
        ("/api/clients", None),
        ("/playground", Some("*/*")),
    ] {
        let accept = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
        let form = ApiMetrics::form(path, &HeaderMap::from_iter(accept));
        assert!(ApiMetrics::FORMS.contains(&form), "{path}: {form:?}");
    }
}

#[tokio::test]
async fn early_refusals_are_counted_by_reason() {
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
    let server = Server::new(&settings, metrics.clone()).expect("valid");
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
async fn refusals_are_counted_by_the_codes_of_an_api() {
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
    let server = Server::new(&settings, metrics.clone()).expect("valid");
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
