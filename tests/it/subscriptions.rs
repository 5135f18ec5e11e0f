//! Subscriptions to the change feed: over WebSockets and as Server-Sent Events, on the started program, and without a
//! transport.

mod access;
mod event_stream;
mod feed;
mod socket;
mod websocket;

use std::{io::Write, process::Stdio};

use serde_json::{Value, json};

use self::socket::Socket;
use crate::harness::program::{self, Server};

const ALL: &str = "subscription($after: String, $filter: ClientChangeFilter) {
    clientChanged(after: $after, filter: $filter) { position clientKey version kind } }";

/// Sends a request by POST, with a token if there is one. Returns the answer.
async fn post(server: &Server, token: Option<&str>, body: Value) -> Value {
    let request = reqwest::Client::new().post(format!("{}/graphql", server.address));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.json(&body).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// Stores a client of this ID.
async fn store(server: &Server, token: Option<&str>, id: &str, notes: &str) {
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { message } } }";
    let client = json!({ "clientId": id, "firstName": "Amara", "lastName": "Diaz", "notes": notes });
    let input = json!({ "matchOn": "CLIENT_ID", "client": client });
    let answer = post(
        server,
        token,
        json!({ "query": query, "variables": { "input": input } }),
    )
    .await;
    assert_eq!(answer["data"]["upsertClient"]["userErrors"], json!([]), "{answer}");
}

/// The password of users in these tests.
const PASSWORD: &str = "a password for the tests";

/// Runs a command on the database of a server, with the password on standard input. Returns what it prints, and its
/// standard error.
fn command(server: &Server, arguments: &[&str]) -> (String, String) {
    let environment = [("CLIENTELE_LOG__FILTER", "warn")];
    let mut command = program::clientele(&server.directory, arguments, &environment);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A command that needs no password may end before it reads.
    let _ = writeln!(child.stdin.take().expect("piped"), "{PASSWORD}");
    let output = child.wait_with_output().expect("it ends");
    let log = program::text(output.stderr);
    assert!(output.status.success(), "{arguments:?}: {log}");
    (program::text(output.stdout).trim().to_owned(), log)
}

/// Creates a token with these permissions. Returns its text and its key.
fn create_token(server: &Server, name: &str, permissions: &str) -> (String, String) {
    let (token, log) = command(server, &["token", "create", name, "--permissions", permissions]);
    let key = log.split_whitespace().last().expect("a line with the key");
    (token, key.to_owned())
}

/// A socket whose caller has this token.
async fn connected(server: &Server, token: Option<&str>) -> Socket {
    let mut socket = Socket::open(server).await;
    let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
    socket
        .send(json!({ "type": "connection_init", "payload": payload }))
        .await;
    assert_eq!(socket.received().await, json!({ "type": "connection_ack" }));
    socket
}
