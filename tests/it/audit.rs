//! The audit log: every change leaves one record of caller, time, request and changes, protected against tampering.

mod difference;
mod erase_command;
mod erasure;
mod genesis;
mod keys;
mod later_changes;
mod long;
mod read_limits;
mod reading;
mod recorded_elsewhere;
mod recording;
mod replay;
mod verification;
mod verify_command;
mod version_pages;
mod versions;

use clientele::{
    caller::{Api, Caller, Permission, Rights},
    client_by::ClientBy,
    removal::Removed,
    services::Services,
};
use serde_json::{Value, json};

use crate::harness::TestServer;

pub use replay::assert_replayed;
pub use versions::KeptVersions;

/// The findings of a verification, as text.
pub async fn findings(server: &TestServer) -> Vec<String> {
    let mut found = Vec::new();
    let report = |finding: &clientele::audit::Finding| found.push(finding.to_string());
    let counts = server.services.audit.verify(&Caller::operator(), None, report).await;
    counts.expect("the database answers");
    found
}

/// Erases a client, also one that was deleted.
pub async fn erase(services: &Services, key: &str) -> Removed {
    let now = std::time::SystemTime::now().into();
    let (operator, by) = (Caller::operator(), ClientBy::EncodedKey(key.to_owned()).into());
    let erased = services.clients.erase(&operator, &by, now).await;
    erased.expect("the database answers").expect("there is such a client")
}

/// The records except the first ones of the audit log, oldest first. Keys are placeholders.
async fn records(server: &TestServer) -> Vec<Value> {
    let query = "{ auditLog(first: 500) { nodes { caller { kind id name } door requestId subject subjectKey action
        changes { path before after masked } } } }";
    let answer = server.graphql(query, json!({})).await;
    assert!(answer.body.get("errors").is_none(), "{}", answer.text);
    let nodes = answer.body["data"]["auditLog"]["nodes"].as_array().expect("a list");
    let nodes = nodes.iter().rev().filter(|record| record["subject"] != "HISTORY");
    nodes.cloned().collect()
}

/// A record's changes as `path: before → after`.
pub fn changes(record: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let changes = record["changes"].as_array().expect("a list").iter();
    changes
        .map(|change| {
            let path: Vec<String> = change["path"].as_array().expect("a list").iter().map(text).collect();
            format!(
                "{}: {} → {}",
                path.join("."),
                text(&change["before"]),
                text(&change["after"])
            )
        })
        .collect()
}

/// Sends a query to the same server as a caller with these rights.
async fn ask(server: &TestServer, rights: Rights, query: &str) -> Value {
    use axum::{Extension, body::Body, http::Request};
    use tower::ServiceExt;
    let caller = Caller {
        rights: rights.into(),
        ..Caller::anyone(Api::Graphql, "request".into())
    };
    let router = clientele::api::router(&server.services, Default::default()).layer(Extension(caller));
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .body(Body::from(json!({ "query": query }).to_string()))
        .expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn auditor() -> Rights {
    Rights::of([Permission::Audit, Permission::ViewClient])
}

const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    userErrors { code message path } client { encodedKey } } }";

fn trevor() -> Value {
    json!({ "firstName": "Trevor", "lastName": "Linden" })
}
