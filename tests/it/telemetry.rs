//! The started program with a collector of telemetry: spans, log lines, trace context, and collectors that fail.

mod collectors;
mod outgoing;
mod requests;

use serde_json::{Value, json};

use crate::harness::{peers::CollectorPeer, program::Server};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The header of a caller's span.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// A server without authentication that exports to this collector, with a log of JSON at INFO.
fn exporting(database_url: &str, collector: &CollectorPeer, environment: &[(&str, &str)]) -> Server {
    let endpoint = collector.endpoint();
    let mut all = vec![("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &*endpoint)];
    all.extend(environment);
    logging(database_url, &all)
}

fn logging(database_url: &str, environment: &[(&str, &str)]) -> Server {
    let mut all = vec![
        ("DATABASE_URL", database_url),
        ("CLIENTELE_LOG__FORMAT", "json"),
        ("CLIENTELE_LOG__FILTER", "info"),
    ];
    all.extend(environment);
    Server::open(&all)
}

/// The log's events.
fn events(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The lines of requests.
fn requests(log: &str) -> Vec<Value> {
    let events = events(log).into_iter();
    events.filter(|event| event["message"] == "request").collect()
}

/// Stores a client, with a caller's span.
async fn store_client(server: &Server, headers: &[(&'static str, &str)]) -> Value {
    let query = "mutation StoreClient($input: UpsertClientInput!) { upsertClient(input: $input) { client { clientId \
        encodedKey } userErrors { message } } }";
    let input = json!({
        "client": {
            "firstName": "Ines", "lastName": "Okafor", "emailAddress": "trevor@example.test",
            "mobilePhone1": "+14155550101",
        },
        "addresses": [{ "city": "Bellweather" }],
    });
    let mut request = reqwest::Client::new().post(format!("{}/graphql", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "query": query, "variables": { "input": input }, "operationName": "StoreClient" });
    let answer = request.json(&body).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["data"]["upsertClient"]["userErrors"], json!([]), "{answer}");
    answer["data"]["upsertClient"]["client"].clone()
}
