//! Upserts of clients through GraphQL and through the domain.

mod conflicts;
mod domain;
pub mod duplicates;
mod largest;
mod limits;
mod many;
mod model;
mod rules;
pub mod texts;
mod validate_only;

use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

pub const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    created clientMutationId userErrors { code message path }
    client { encodedKey clientId version firstName notes addresses { city } idDocuments { encodedKey documentId }
        customInformation { value linkedKey field { fieldId } } } } }";

pub async fn upsert(server: &TestServer, input: Value) -> Answer {
    server.graphql(UPSERT, json!({ "input": input })).await
}

/// The payload of an accepted submission, with `own` added to the members of every client.
pub fn payload(created: bool, version: i32, own: Value) -> Value {
    let mut client = json!({
        "encodedKey": "<key 1>", "clientId": "<id 1>", "version": version, "firstName": "Trevor", "notes": null,
        "addresses": [], "idDocuments": [], "customInformation": [],
    });
    client
        .as_object_mut()
        .expect("an object")
        .extend(own.as_object().cloned().unwrap_or_default());
    json!({ "upsertClient": { "created": created, "clientMutationId": null, "userErrors": [], "client": client } })
}

/// Asserts the reported problems, and that nothing was written.
pub async fn refused(server: &TestServer, input: Value, problems: Value) {
    let before = server.snapshot().await;
    upsert(server, input).await.data(json!({ "upsertClient": {
        "created": false, "clientMutationId": null, "client": null, "userErrors": problems,
    } }));
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

pub fn problem(code: &str, path: &[&str], message: &str) -> Value {
    let path: Vec<&str> = ["input"].iter().chain(path).copied().collect();
    json!({ "code": code, "message": message, "path": path })
}

/// Creates `<key 1>`.
pub async fn create_trevor(server: &TestServer) {
    let input = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } });
    upsert(server, input).await.data(payload(true, 1, json!({})));
}
