//! Refusals of the HTTP server, as a page of a listed origin reads them.

use std::time::Duration;

use axum::{Router, routing::get};
use clientele::api::metrics::ApiMetrics;
use clientele::{
    api::cors::CorsSettings,
    server::{HttpSettings, Server},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{PATIENCE, connect, header, reading, rest};
use crate::harness::net;

const FRIEND: &str = "https://app.bank.test";

#[tokio::test]
async fn listed_origins_can_read_every_refusal() {
    let _net = net::spread();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let settings = HttpSettings {
        requests: 1,
        queue: 0,
        body_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let cors = CorsSettings {
        allowed_origins: vec![FRIEND.to_owned()],
        ..CorsSettings::default()
    };
    let server = Server::new(&settings, ApiMetrics::default())
        .expect("valid settings")
        .with_cors(cors.layer());
    let busy = get(async || std::future::pending::<()>().await);
    let fail = get(async || -> &'static str { panic!("a defect") });
    let router = reading().merge(Router::new().route("/busy", busy).route("/fail", fail));
    tokio::spawn(server.serve(listener, router, std::future::pending(), PATIENCE));

    let ask = async |start: &str, origin: &str| {
        let mut stream = connect(address).await;
        let request = format!("{start} HTTP/1.1\r\nhost: a\r\nconnection: close\r\norigin: {origin}\r\n");
        let request = match start.starts_with("POST") {
            true => format!("{request}content-length: 4\r\n\r\n"),
            false => format!("{request}access-control-request-method: POST\r\n\r\n"),
        };
        stream.write_all(request.as_bytes()).await.expect("sent");
        rest(&mut stream).await
    };
    let assert_answered = async |start: &str, status: &str| {
        for (origin, allowed) in [(FRIEND, Some(FRIEND)), ("https://evil.test", None)] {
            let answer = ask(start, origin).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {answer}");
            assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{start}");
            if !start.starts_with("OPTIONS") {
                let exposed = header(&answer, "access-control-expose-headers");
                assert_eq!(
                    exposed,
                    Some("allow,retry-after,www-authenticate,ratelimit,ratelimit-policy,x-request-id"),
                    "{start}"
                );
            }
        }
    };
    assert_answered("POST /graphql", "408").await;
    assert_answered("GET /fail", "500").await;
    let mut first = connect(address).await;
    let busy = b"GET /busy HTTP/1.1\r\nhost: a\r\n\r\n";
    first.write_all(busy).await.expect("sent");
    // It has the only permit as soon as another request is refused.
    while !ask("GET /graphql", FRIEND).await.starts_with("HTTP/1.1 503 ") {}
    assert_answered("GET /graphql", "503").await;
    assert_answered("GET /api/clients", "503").await;
    // A preflight request needs no permit.
    assert_answered("OPTIONS /graphql", "200").await;
}
