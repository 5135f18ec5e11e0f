//! The legacy REST API: the rules of its contract, over the wire.

mod bad_input;
mod birth_dates;
mod codes;
mod collections;
mod create;
mod custom_values;
mod definitions;
mod empty_texts;
mod examples;
mod java_sdk;
mod lists;
mod migrating;
mod openapi;
mod parameters;
mod patch;
mod scalars;
mod search;
mod single_values;
mod stored_values;
mod target;
mod texts;
mod unknown_routes;

use serde_json::{Value, json};

use crate::harness::TestServer;

const CLIENTS: &str = "/api/clients";
/// The first client of a test, by its key.
const FIRST: &str = "/api/clients/<key 1>";
const DEFAULT_ROLE: &str = "d9df8bc78a0234ccc934a845c";

/// The first client of a test as answered: what every new client has, and `own` in addition or instead.
fn client(own: Value) -> Value {
    let always = json!({
        "encodedKey": "<key 1>", "state": "INACTIVE", "id": "<id 1>",
        "creationDate": "<time>", "lastModifiedDate": "<time>", "approvedDate": "<time>",
        "firstName": "Trevor", "lastName": "Linden", "loanCycle": 0, "groupLoanCycle": 0,
        "clientRole": { "encodedKey": DEFAULT_ROLE }, "preferredLanguage": "ENGLISH",
    });
    merged(always, own)
}

/// An expanded client: the collections are empty except those in `collections`.
fn expanded(client: Value, collections: Value) -> Value {
    let empty = json!({ "client": client, "customInformation": [], "idDocuments": [], "addresses": [] });
    merged(empty, collections)
}

fn merged(base: Value, over: Value) -> Value {
    let (Value::Object(mut base), Value::Object(over)) = (base, over) else {
        panic!("two objects are merged")
    };
    base.extend(over);
    base.into()
}

/// The body of a refusal.
fn refusal(code: u16, status: &str, source: &str) -> Value {
    json!({ "returnCode": code, "returnStatus": status, "errorSource": source })
}

/// A document of the first client as answered.
fn document(key: usize, index: usize, number: &str) -> Value {
    json!({
        "encodedKey": format!("<key {key}>"), "clientKey": "<key 1>", "documentType": "Passport",
        "documentId": number, "indexInList": index,
    })
}

/// The address of the first client as answered.
fn address(key: usize, own: Value) -> Value {
    merged(
        json!({ "encodedKey": format!("<key {key}>"), "parentKey": "<key 1>", "indexInList": 0 }),
        own,
    )
}

/// The definition of a text field that the harness made, as answered.
fn text_field(id: &str) -> Value {
    json!({
        "encodedKey": format!("{id}Key"), "id": id, "name": format!("The {id}"), "type": "CLIENT_INFO",
        "dataType": "STRING", "valueLength": "SHORT", "isRequired": false, "state": "NORMAL", "unique": false,
    })
}

/// A value of the first client as answered.
fn value(key: usize, index: usize, id: &str, definition: Value, value: &str) -> Value {
    json!({
        "encodedKey": format!("<key {key}>"), "parentKey": "<key 1>", "customFieldKey": format!("{id}Key"),
        "customField": definition, "value": value, "indexInList": index, "customFieldID": id,
        "customFieldSetGroupIndex": -1,
    })
}

/// Creates `<key 1>`, a client with only what is required.
async fn create_trevor(server: &TestServer) {
    create(server, json!({})).await;
}

/// Creates a client with these collections; its members get their keys in the order of the answer.
async fn create(server: &TestServer, collections: Value) {
    let body = merged(
        json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } }),
        collections,
    );
    let answer = server.post(CLIENTS, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Asserts what is stored of the first client.
async fn stored(server: &TestServer, client: Value, collections: Value) {
    let expected = merged(expanded(client, collections), json!({ "groupKeys": [] }));
    server
        .get("/api/clients/<key 1>?fullDetails=true")
        .await
        .is(200, expected);
}
