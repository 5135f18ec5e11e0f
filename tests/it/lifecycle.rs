//! The states of clients, and their removal, through both APIs.

mod deletion;
mod erasure;
mod events;
pub mod merge;
mod model;
mod permissions;
mod races;
mod states;

use clientele::enums::ClientState;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

const STATES: [ClientState; 6] = [
    ClientState::PendingApproval,
    ClientState::Inactive,
    ClientState::Active,
    ClientState::Exited,
    ClientState::Blacklisted,
    ClientState::Rejected,
];

const CHANGE_STATE: &str = "mutation($input: ChangeClientStateInput!) { changeClientState(input: $input) {
    client { state version approvedAt activatedAt closedAt } conflictingVersion clientMutationId
    userErrors { code message path } } }";

/// Changes the state of the client with this id.
async fn change_state(server: &TestServer, id: &str, state: &str) -> Answer {
    change(server, json!({ "by": { "clientId": id }, "state": state })).await
}

async fn change(server: &TestServer, input: Value) -> Answer {
    server.graphql(CHANGE_STATE, json!({ "input": input })).await
}

async fn send(server: &TestServer, method: Method, path: &str, body: &Value) -> Answer {
    server.send(server.request(method, path).json(body)).await
}

async fn patch(server: &TestServer, id: &str, client: Value) -> Answer {
    let path = format!("/api/clients/{id}");
    send(server, Method::PATCH, &path, &json!({ "client": client })).await
}

/// Creates a client with this id.
async fn create(server: &TestServer, id: &str) {
    let client =
        json!({ "id": id, "firstName": "Trevor", "lastName": "Linden", "emailAddress": "trevor@example.test" });
    let answer = server.post("/api/clients", json!({ "client": client })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Gives the client with this id a state and dates that its history doesn't have.
async fn set_state(server: &TestServer, id: &str, state: &str, date: Option<&str>) {
    let date = date.map_or_else(|| "NULL".to_owned(), |date| format!("'{date}'"));
    let sql = format!(
        "UPDATE client SET state = '{state}', approved_at = {date}, activated_at = {date}, closed_at = {date} \
         WHERE client_id = '{id}'"
    );
    server.write(&sql).await.expect("written");
}

fn success() -> Value {
    json!({ "returnCode": 0, "returnStatus": "SUCCESS" })
}

fn refusal(code: u16, status: &str, source: &str) -> Value {
    json!({ "returnCode": code, "returnStatus": status, "errorSource": source })
}

/// The user errors of the answer to a mutation.
#[track_caller]
pub fn user_errors<'a>(answer: &'a Answer, mutation: &str) -> &'a Value {
    let errors = &answer.body["data"][mutation]["userErrors"];
    assert!(errors.is_array(), "{}", answer.text);
    errors
}
