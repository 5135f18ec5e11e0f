//! Headers of every response, and panics.

use axum::{Router, routing::get};
use clientele::server::HttpSettings;
use tokio::io::AsyncWriteExt;

use super::{connect, header, parse, rest, serve};

async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    rest(&mut stream).await
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let router = Router::new().route("/", get(async || "answer")).route(
        "/own",
        get(async || {
            (
                [("cache-control", "no-cache"), ("content-security-policy", "its own")],
                "page",
            )
        }),
    );
    let (address, _net) = serve(HttpSettings::default(), router).await;
    for (path, caching, policy) in [
        ("/", "no-store", Some("default-src 'none'; frame-ancestors 'none'")),
        (
            "/nowhere",
            "no-store",
            Some("default-src 'none'; frame-ancestors 'none'"),
        ),
        ("/own", "no-cache", Some("its own")),
        ("/playground/assets/x.js", "no-store", None),
    ] {
        let answer = ask(address, path).await;
        for (name, value) in [
            ("cache-control", Some(caching)),
            ("content-security-policy", policy),
            ("x-content-type-options", Some("nosniff")),
            ("referrer-policy", Some("no-referrer")),
            ("cross-origin-resource-policy", Some("same-origin")),
            ("strict-transport-security", None),
        ] {
            assert_eq!(header(&answer, name), value, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn panic_is_answered_and_the_server_goes_on() {
    async fn fail() -> &'static str {
        panic!("a secret")
    }
    let router = Router::new()
        .route("/graphql", get(fail))
        .route("/api/clients", get(fail))
        .route("/fail", get(fail))
        .route("/", get(async || "alive"));
    let (address, _net) = serve(HttpSettings::default(), router).await;
    let sentence = "Something went wrong on the server. Its log has the cause under the request id.";
    // The answer, its header and the log name the same request.
    let id = "0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0";
    for (path, body) in [
        (
            "/api/clients",
            format!("{{\"returnCode\":6,\"returnStatus\":\"INTERNAL_ERROR\",\"errorSource\":\"{id}\"}}"),
        ),
        (
            "/graphql",
            format!(
                "{{\"errors\":[{{\"message\":\"{sentence}\",\
                 \"extensions\":{{\"code\":\"INTERNAL\",\"requestId\":\"{id}\"}}}}]}}"
            ),
        ),
        ("/fail", format!("{sentence}\n{id}\n")),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
        let mut stream = connect(address).await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert_eq!(parse(&answer), ("500 Internal Server Error".to_owned(), body));
        assert_eq!(header(&answer, "x-request-id"), Some(id));
    }
    assert!(ask(address, "/").await.ends_with("alive"));
}
