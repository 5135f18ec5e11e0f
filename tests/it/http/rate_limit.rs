//! A caller that sends faster than it may.

use clientele::api::{self, rate_limit::RateLimitSettings};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{connect, header, parse, rest};
use crate::harness::{Backend, Settings, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_beyond_its_rate_is_told_when_to_come_back() {
    let doors = api::Settings {
        rate_limit: RateLimitSettings {
            per_second: 1,
            burst: 3,
        },
        ..api::Settings::default()
    };
    let settings = Settings {
        doors,
        ..Settings::default()
    };
    let server = TestServer::start(Backend::Sqlite, settings)
        .await
        .expect("SQLite is there");
    let ask = async |path: &str| {
        let mut stream = connect(server.address()).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        rest(&mut stream).await
    };
    // All doors are one.
    for (path, left) in [
        ("/api/clients", 2),
        ("/graphql?query={__typename}", 1),
        ("/api/nowhere", 0),
    ] {
        let answer = ask(path).await;
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"caller\";q=3;w=3"));
        let state = format!("\"caller\";r={left};t={}", 3 - left);
        assert_eq!(header(&answer, "ratelimit"), Some(state.as_str()), "{path}");
        assert_eq!(header(&answer, "retry-after"), None);
    }
    let sentence = "This caller sends requests too fast. Retry-After says when to send the next one.";
    for path in ["/api/clients", "/graphql?query={__typename}"] {
        let answer = ask(path).await;
        let (status, body) = parse(&answer);
        assert_eq!(status, "429 Too Many Requests");
        assert_eq!(header(&answer, "retry-after"), Some("1"));
        assert_eq!(header(&answer, "ratelimit"), Some("\"caller\";r=0;t=1"));
        let mut body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let expected = if path == "/api/clients" {
            json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": sentence })
        } else {
            body["errors"][0]["extensions"]["requestId"] = json!("ID");
            json!({ "errors": [{ "message": sentence, "extensions": { "code": "RATE_LIMITED", "requestId": "ID" } }] })
        };
        assert_eq!(body, expected);
    }
    server.stop().await;
}
