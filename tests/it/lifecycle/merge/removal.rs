//! The deletion and the erasure of clients that were merged, and of clients that others were merged into.

use clientele::caller::{Limit, Rights};
use reqwest::Method;
use serde_json::json;

use super::{assert_released, create_with, merged, named, show, two};
use crate::{
    audit::{changes, erase, findings},
    harness::{
        TestServer,
        graphql::{data, store_key},
        with,
    },
};

on_both!(
    deletion_passes_references_on,
    erasure_passes_references_on,
    erasure_names_the_clients_that_were_merged_into_it,
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
    assert_released(server).await;
}

async fn erasure_names_the_clients_that_were_merged_into_it(server: &TestServer) {
    let north = json!({ "assignedBranchKey": "north" });
    let mut keys = Vec::new();
    for (id, members) in [("I", json!({})), ("F", json!({})), ("G", north), ("X", json!({}))] {
        let client = with(named(id, id), members);
        keys.push(store_key(server, json!({ "client": client })).await);
    }
    merged(server, two("F", "I")).await;
    merged(server, two("G", "I")).await;
    let query = "mutation($key: String!) { eraseClient(input: { by: { encodedKey: $key }, idempotencyKey: \"k\" }) { \
        erasedClientKey mergedClientKeys userErrors { code } } }";
    let erased = data(server, query, json!({ "key": keys[0] })).await;
    let expected = json!({ "eraseClient": { "erasedClientKey": keys[0], "mergedClientKeys": keys[1..3],
        "userErrors": [] } });
    assert_eq!(erased, expected);
    assert_eq!(data(server, query, json!({ "key": keys[0] })).await, expected);
    // Those that the caller may not see are left out.
    merged(server, two("F", "X")).await;
    merged(server, two("G", "X")).await;
    let place = "UPDATE client SET assigned_branch_key = 'south' WHERE client_id = 'X' OR client_id = 'F'";
    server.write(place).await.expect("written");
    let south = server.as_caller(&Rights {
        branches: Limit::To(["south".to_owned()].into()),
        ..Rights::all()
    });
    let erased = data(&south, query, json!({ "key": keys[3] })).await;
    assert_eq!(erased["eraseClient"]["mergedClientKeys"], json!([keys[1]]));
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
