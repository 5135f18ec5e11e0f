//! Repeated requests: executed once, and answered as the first time.

mod answers;
mod callers;
mod keys;
mod killed;
mod races;
mod records;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, graphql::define_template};

const CLIENTS: &str = "/api/clients";
const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    created clientMutationId userErrors { code message path }
    client { encodedKey clientId version firstName notes updatedAt addresses { line1 city } idDocuments { documentId }
        customInformation { value field { name options { value } set { name } } } clientRole { name } }
} }";

/// A client with a document and an address.
fn ines() -> Value {
    json!({
        "client": { "firstName": "Ines", "lastName": "Okafor", "emailAddress": "ines@example.test" },
        "addresses": [{ "line1": "1 Test Lane", "city": "Exampleton" }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "X1234567" }],
    })
}

/// Posts `body` under a key.
async fn post(server: &TestServer, path: &str, key: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, path).header("Idempotency-Key", key);
    server.send(request.json(body)).await
}

/// Upserts `input` under a key.
async fn upsert(server: &TestServer, key: &str, input: &Value) -> Answer {
    let mut input = input.clone();
    input["idempotencyKey"] = json!(key);
    server.graphql(UPSERT, json!({ "input": input })).await
}

/// A template, so that creating a client queues a message.
async fn welcome(server: &TestServer) {
    let variant = json!({ "language": "ENGLISH", "subject": "Welcome", "text": "Dear {CLIENT_NAME}" });
    let template = json!({ "templateId": "welcome", "name": "Welcome", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [variant] });
    define_template(server, template).await;
}

/// The numbers of clients, messages and records.
async fn counts(server: &TestServer) -> [usize; 3] {
    let snapshot = server.snapshot().await;
    ["client", "message", "idempotency_record"].map(|table| snapshot.rows(table).len())
}
