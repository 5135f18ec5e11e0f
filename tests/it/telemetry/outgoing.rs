//! The trace context of calls to the SMS gateway and to the issuer.

use serde_json::{Value, json};

use super::{TRACE, exporting, store_client, traceparent};
use crate::{
    harness::{
        TestServer,
        graphql::define_template,
        peers::{
            Answering, Collecting, CollectorPeer, GatewayPeer, Submitted,
            collector::{SeenSpan, spans},
        },
        program::{Server, clientele, directory},
    },
    sign_in::{Key, claims},
};

on_both!(delivery_is_a_trace_that_the_gateway_gets);

/// The header that names this span.
fn header_of(span: &SeenSpan) -> String {
    format!("00-{}-{}-01", span.trace, span.span)
}

async fn delivery_is_a_trace_that_the_gateway_gets(server: &TestServer) {
    let variant = json!({ "language": "ENGLISH", "text": "Dear {CLIENT_NAME}" });
    let template = json!({ "templateId": "hello", "name": "hello", "event": "CLIENT_CREATED", "channel": "SMS",
        "variants": [variant] });
    define_template(server, template).await;
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let gateway = GatewayPeer::start(Answering::Accept).await;
    gateway.once([Answering::Answer {
        status: 400,
        headers: Vec::new(),
        body: r#"{"message":"no +14155550101"}"#.to_owned(),
    }]);
    let url = gateway.settings().url;
    let program = exporting(
        &server.database_url(),
        &collector,
        &[
            ("CLIENTELE_NOTIFICATIONS__SMS__TRANSPORT", "http"),
            ("CLIENTELE_NOTIFICATIONS__SMS__URL", &url),
            ("CLIENTELE_NOTIFICATIONS__SMS__FROM", "+15550001111"),
        ],
    );
    store_client(&program, &[]).await;
    let refused = gateway.message(0).await;
    store_client(&program, &[]).await;
    let accepted = gateway.message(1).await;
    program.signal("TERM");
    let (_, code) = program.wait();
    assert_eq!(code, Some(0));
    let spans = spans(&collector.exports());
    let deliveries: Vec<_> = spans.iter().filter(|span| span.name == "send sms").collect();
    assert_eq!(deliveries.len(), 2, "{spans:#?}");
    for (delivery, submitted) in deliveries.iter().zip([&refused, &accepted]) {
        assert_eq!(submitted.headers["traceparent"], header_of(delivery));
        assert_eq!((delivery.kind, &delivery.parent), (3, &None));
    }
    assert_ne!(deliveries[0].trace, deliveries[1].trace);
    let attributes = |more: Value| {
        let common = json!({ "messaging.operation.name": "send", "messaging.operation.type": "send",
            "messaging.destination.name": "sms" });
        crate::harness::with(common, more)
    };
    assert_eq!(
        (json!(deliveries[0].attributes), deliveries[0].is_failed),
        (
            attributes(json!({ "delivery.outcome": "refused", "error.type": "REFUSED" })),
            true
        )
    );
    assert_eq!(
        (json!(deliveries[1].attributes), deliveries[1].is_failed),
        (attributes(json!({ "delivery.outcome": "sent" })), false)
    );
}

/// A server that exports to this collector fetches the issuer's keys at its start, and for a request with a caller's
/// span. Returns both fetches and the issuer.
async fn fetches(collector: &CollectorPeer, traces: &str) -> (Submitted, Submitted, GatewayPeer) {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let keys = |keys: &[&Key]| {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        Answering::Answer {
            status: 200,
            headers: Vec::new(),
            body: json!({ "keys": keys }).to_string(),
        }
    };
    let issuer = GatewayPeer::start(keys(&[&old])).await;
    let (url, endpoint) = (
        format!("http://{}/keys?secret=hidden", issuer.address),
        collector.endpoint(),
    );
    let directory = directory();
    let migrated = clientele(&directory, &["migrate"], &[]).output().expect("it runs");
    assert!(migrated.status.success(), "{migrated:?}");
    let program = Server::start_in(
        directory,
        &[
            ("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint),
            ("CLIENTELE_TELEMETRY__TRACES", traces),
            ("CLIENTELE_AUTHENTICATION__JWT__ISSUER", "https://issuer.test"),
            ("CLIENTELE_AUTHENTICATION__JWT__AUDIENCE", "clientele"),
            ("CLIENTELE_AUTHENTICATION__JWT__JWKS_URL", &url),
            ("CLIENTELE_AUTHENTICATION__JWT__JWKS_PAUSE_SECONDS", "1"),
            ("CLIENTELE_AUTHENTICATION__FAILURES_PER_ADDRESS", "100000"),
        ],
    );
    // At the start, without a request.
    let first = issuer.message(0).await;
    issuer.set(keys(&[&old, &new]));
    let token = new.sign(&claims(json!({})));
    let traced = traceparent("01");
    // The pause after the first fetch has to end.
    let status = async || {
        let request = reqwest::Client::new().get(format!("{}/api/clients", program.address));
        let request = request.bearer_auth(&token).header("traceparent", &traced);
        request.send().await.expect("an answer").status()
    };
    while status().await != 200 {}
    let second = issuer.message(1).await;
    program.signal("TERM");
    program.wait();
    (first, second, issuer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_gets_the_callers_context_unchanged_without_traces() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let (_, second, _) = fetches(&collector, "false").await;
    assert_eq!(second.headers["traceparent"], traceparent("01"));
    assert_eq!(spans(&collector.exports()), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_gets_the_trace_of_the_request_that_needs_its_keys() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let (first, second, issuer) = fetches(&collector, "true").await;
    let spans = spans(&collector.exports());
    let fetches: Vec<_> = spans.iter().filter(|span| span.name == "GET issuer keys").collect();
    assert_eq!(fetches.len(), 2, "{spans:#?}");
    for (fetch, asked) in fetches.iter().zip([&first, &second]) {
        assert_eq!(asked.headers["traceparent"], header_of(fetch));
        assert!(!asked.headers.contains_key("tracestate"));
        let attributes = json!({ "http.request.method": "GET", "server.address": "127.0.0.1",
            "server.port": issuer.address.port(), "http.response.status_code": 200 });
        assert_eq!(
            (json!(fetch.attributes), fetch.kind, fetch.is_failed),
            (attributes, 3, false)
        );
    }
    assert_eq!(fetches[0].parent, None);
    assert_eq!(fetches[1].trace, TRACE);
    let parent = spans.iter().find(|span| Some(&span.span) == fetches[1].parent.as_ref());
    assert_eq!(parent.map(|span| &*span.name), Some("GET /api/clients"), "{spans:#?}");
}
