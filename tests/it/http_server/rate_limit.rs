//! Rate limits, and the identity of a caller.
//!
//! The clock is real, so only untouched buckets and refusals have exact values. A token returns every second: of
//! hundreds of
//! requests a shared bucket still lacks most.

use clientele::{
    api::{self, authentication::AuthenticationSettings, rate_limit::RateLimitSettings},
    caller::{Permission, Rights},
    server::HttpSettings,
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{connect, rest};
use crate::{
    harness::{Backend, Settings, TestServer},
    sign_in::{PASSWORD, user},
};

const SENTENCE: &str = "This caller sends requests too fast. Retry-After says when to send the next one.";
const DOORS: [&str; 4] = [
    "/api/clients",
    "/graphql?query={__typename}",
    "/api/nowhere",
    "/metrics",
];

/// A server that gives each caller `burst` requests at once and then one a second.
async fn start(burst: u32, settings: Settings) -> TestServer {
    let rate_limit = RateLimitSettings { per_second: 1, burst };
    let settings = Settings {
        doors: api::Settings {
            rate_limit,
            ..settings.doors
        },
        http: HttpSettings {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..settings.http
        },
        ..settings
    };
    let server = TestServer::start(Backend::Sqlite, settings).await;
    server.expect("SQLite is there")
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("ASCII"))
}

/// The tokens left in the caller's bucket, according to an answer.
fn left(answer: &Response) -> u32 {
    remaining(header(answer, "ratelimit").expect("every answer tells the state"))
}

fn remaining(state: &str) -> u32 {
    let left = state.strip_prefix("\"caller\";r=");
    let left = left.and_then(|rest| rest.split(';').next()?.parse().ok());
    left.expect("a number")
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the server answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_caller_gets_a_retry_time() {
    let server = start(3, Settings::default()).await;
    for (number, path) in DOORS.into_iter().enumerate() {
        let ask = || {
            server
                .request(Method::GET, path)
                .header("X-Forwarded-For", format!("192.0.2.{number}"))
        };
        let first = send(ask()).await;
        assert_eq!(header(&first, "ratelimit-policy"), Some("\"caller\";q=3;w=3"), "{path}");
        assert_eq!(header(&first, "ratelimit"), Some("\"caller\";r=2;t=1"), "{path}");
        assert_eq!(header(&first, "retry-after"), None, "{path}");
        let refused = loop {
            let answer = send(ask()).await;
            if answer.status() == 429 {
                break answer;
            }
        };
        assert_eq!(header(&refused, "retry-after"), Some("1"));
        assert_eq!(header(&refused, "ratelimit-policy"), Some("\"caller\";q=3;w=3"));
        assert_eq!(header(&refused, "ratelimit"), Some("\"caller\";r=0;t=1"));
        let text = refused.text().await.expect("a body");
        if path == "/metrics" {
            assert_eq!(text, format!("{SENTENCE}\n"));
            continue;
        }
        let mut body: Value = serde_json::from_str(&text).expect("JSON");
        let expected = if path.starts_with("/api") {
            json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": SENTENCE })
        } else {
            body["errors"][0]["extensions"]["requestId"] = json!("ID");
            json!({ "errors": [{ "message": SENTENCE, "extensions": { "code": "RATE_LIMITED", "requestId": "ID" } }] })
        };
        assert_eq!(body, expected);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit_follows_the_caller_across_addresses_and_paths() {
    let server = start(1_000, Settings::signed_in()).await;
    for name in ["ana", "bo"] {
        user(&server, name, &[Permission::ViewClient]).await;
    }
    let token = server.token(&Rights::of([Permission::ViewClient])).await;
    let other = server.token(&Rights::of([Permission::ViewClient])).await;
    let ask = |path: &str, address: &str| server.request(Method::GET, path).header("X-Forwarded-For", address);
    let ana = |path: &str, address: &str| ask(path, address).basic_auth("ana", Some(PASSWORD));
    let (office, home) = ("192.0.2.1", "2001:db8:1::7");

    assert_eq!(
        left(&send(ana("/api/clients", office)).await),
        999,
        "the bucket is untouched"
    );
    for _ in 0..50 {
        for path in DOORS {
            send(ana(path, office)).await;
        }
    }
    for path in DOORS {
        for address in [office, home] {
            let left = left(&send(ana(path, address)).await);
            assert!(left < 999, "{path} at {address}: the same caller has {left} left");
        }
    }
    // Another user at her address has a separate bucket, and so has each token.
    let bo = ask("/api/clients", office).basic_auth("bo", Some(PASSWORD));
    let token = ask("/api/clients", office).bearer_auth(&token);
    let other = ask("/api/clients", office).bearer_auth(&other);
    for request in [bo, token, other] {
        let answer = send(request).await;
        assert_eq!((answer.status().as_u16(), left(&answer)), (200, 999));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_metrics_are_rate_limited_by_address() {
    let settings = AuthenticationSettings {
        public_metrics: true,
        ..AuthenticationSettings::default()
    };
    let server = start(1_000, Settings::authenticated(settings)).await;
    // An unauthenticated caller.
    let ask = async |address: &str| {
        let mut stream = connect(server.address()).await;
        let head =
            format!("GET /metrics HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        remaining(super::header(&answer, "ratelimit").expect("every answer tells the state"))
    };
    assert_eq!(ask("192.0.2.1").await, 999);
    for _ in 0..50 {
        ask("192.0.2.1").await;
    }
    assert!(ask("192.0.2.1").await < 999);
    assert_eq!(ask("192.0.2.2").await, 999);
    server.stop().await;
}
