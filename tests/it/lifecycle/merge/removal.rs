//! The deletion and the erasure of clients that were merged, and of clients that others were merged into.

use reqwest::Method;
use serde_json::json;

use super::{create_with, merged, show, two};
use crate::{
    audit::{changes, erase, findings},
    harness::TestServer,
};

on_both!(
    deletion_passes_references_on,
    erasure_passes_references_on,
    merged_client_can_be_deleted,
);

async fn delete(server: &TestServer, id: &str) {
    let answer = server
        .send(server.request(Method::DELETE, &format!("/api/clients/{id}")))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// A is merged into B, and B into C. Returns the keys of B and C.
async fn chain(server: &TestServer) -> (String, String) {
    create_with(server, "A", json!({})).await;
    let b = create_with(server, "B", json!({})).await;
    let c = create_with(server, "C", json!({})).await;
    merged(server, two("A", "B")).await;
    merged(server, two("B", "C")).await;
    (b, c)
}

async fn deletion_passes_references_on(server: &TestServer) {
    let (b, c) = chain(server).await;
    let selection =
        "version state mergedInto { clientId } history(first: 1) { nodes { changes { path before after } } }";
    delete(server, "B").await;
    let shown = show(server, "A", selection).await;
    assert_eq!(
        [&shown["version"], &shown["state"], &shown["mergedInto"]["clientId"]],
        [&json!(3), &json!("EXITED"), &json!("C")]
    );
    let record = &shown["history"]["nodes"][0];
    assert_eq!(changes(record), [format!("mergedIntoKey: {b} → {c}")]);
    delete(server, "C").await;
    let shown = show(server, "A", selection).await;
    assert_eq!((&shown["version"], &shown["mergedInto"]), (&json!(4), &json!(null)));
    assert_eq!(
        changes(&shown["history"]["nodes"][0]),
        [format!("mergedIntoKey: {c} → -")]
    );
    assert_eq!(findings(server).await, [""; 0]);
}

async fn erasure_passes_references_on(server: &TestServer) {
    let (b, c) = chain(server).await;
    erase(&server.services, &b).await;
    assert_eq!(show(server, "A", "mergedIntoKey").await, json!({ "mergedIntoKey": c }));
    erase(&server.services, &c).await;
    assert_eq!(
        show(server, "A", "mergedIntoKey").await,
        json!({ "mergedIntoKey": null })
    );
    // It can be merged again.
    create_with(server, "D", json!({})).await;
    merged(server, two("A", "D")).await;
    assert_eq!(findings(server).await, [""; 0]);
}

async fn merged_client_can_be_deleted(server: &TestServer) {
    create_with(server, "A", json!({})).await;
    create_with(server, "B", json!({})).await;
    merged(server, two("A", "B")).await;
    delete(server, "A").await;
    assert_eq!(show(server, "B", "version").await, json!({ "version": 2 }));
    assert_eq!(findings(server).await, [""; 0]);
}
