//! Every nested field with a permission of its own, read by a caller who lacks only that permission.
//! The schema names these fields; a field missing from the table fails the test.

use std::collections::BTreeMap;

use clientele::{
    api,
    caller::{
        Permission::{self, *},
        Rights,
    },
};
use serde_json::{Value, json};

use super::{errors, fields::two_clients, without};
use crate::harness::TestServer;

/// A field with its type, its permission, a document that reaches it without that permission, and its path.
type Guarded = (&'static str, Permission, &'static str, fn() -> Value);

/// The variables are the same for all; `message` has failed each time.
const GUARDED: &[Guarded] = &[
    (
        "Client.history",
        Audit,
        "{ client(by: { clientId: \"ana\" }) { history { totalCount } } }",
        || json!(["client", "history"]),
    ),
    (
        "ClientChange.record",
        Audit,
        "{ clientChanges(first: 1) { nodes { record { id } } } }",
        || json!(["clientChanges", "nodes", 0, "record"]),
    ),
    (
        "Client.messages",
        ViewMessages,
        "{ client(by: { clientId: \"ana\" }) { messages { totalCount } } }",
        || json!(["client", "messages"]),
    ),
    (
        "ChangeClientStatePayload.client",
        ViewClient,
        "mutation { changeClientState(input: { by: { clientId: \"ana\" }, state: INACTIVE }) { client { clientId } } }",
        || json!(["changeClientState", "client"]),
    ),
    // Callers without VIEW_CLIENT see values only in payloads of their own changes.
    (
        "CustomFieldValue.linkedClient",
        ViewClient,
        "mutation { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: \"ana\" } }) {
            client { customInformation { linkedClient { clientId } } } } }",
        || json!(["upsertClient", "client", "customInformation", 0, "linkedClient"]),
    ),
    (
        "Message.client",
        ViewClient,
        "{ messages { nodes { client { clientId } } } }",
        || json!(["messages", "nodes", 0, "client"]),
    ),
    (
        "ResendMessagesPayload.messages",
        ViewMessages,
        "mutation($message: ID!) { resendMessages(input: { ids: [$message] }) { messages { recipient } } }",
        || json!(["resendMessages", "messages"]),
    ),
    // The second time, the first merge is undone before.
    (
        "MergeClientsPayload.client",
        ViewClient,
        "mutation { changeClientState(input: { by: { clientId: \"ana\" }, state: INACTIVE }) { userErrors { code } }
            mergeClients(input: { from: { clientId: \"ana\" }, into: { clientId: \"bob\" } }) {
                client { clientId } } }",
        || json!(["mergeClients", "client"]),
    ),
    (
        "Client.mergedInto",
        ViewClient,
        "mutation { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: \"ana\" } }) {
            client { mergedInto { clientId } } } }",
        || json!(["upsertClient", "client", "mergedInto"]),
    ),
];

const FAILED: &str = "UPDATE message SET state = 'FAILED', due_at = NULL, failed_at = '2026-01-02T03:04:05.000000Z', \
    attempts = 1, reason = 'REFUSED'";

/// The value at a path of an answer's data, if any.
fn at<'a>(data: &'a Value, path: &Value) -> Option<&'a Value> {
    let mut steps = path.as_array().expect("a path").iter();
    steps.try_fold(data, |data, step| match step {
        Value::String(key) => data.get(key),
        place => data.get(usize::try_from(place.as_u64()?).ok()?),
    })
}

#[test]
fn every_guarded_field_is_in_the_table() {
    let known: BTreeMap<String, Permission> = GUARDED
        .iter()
        .map(|(name, needs, ..)| ((*name).to_owned(), *needs))
        .collect();
    assert_eq!(known.len(), GUARDED.len());
    assert_eq!(known, api::graphql::guarded_fields());
}

on_both!(every_guarded_field_is_null_without_its_permission);

async fn every_guarded_field_is_null_without_its_permission(server: &TestServer) {
    let ana = two_clients(server).await;
    // Only one message is left, so that each field is refused once.
    server
        .write("DELETE FROM message WHERE client_key NOT IN (SELECT client_key FROM custom_field_value)")
        .await
        .expect("deleted");
    let variables = json!({ "message": ana["messages"]["nodes"][0]["id"] });
    for (name, needs, document, path) in GUARDED {
        let path = path();
        let ask = async |rights: Rights| {
            server.write(FAILED).await.expect("it can be stored");
            server.wait_for_changes().await;
            server.as_caller(&rights).graphql(document, variables.clone()).await
        };

        let answer = ask(without(&[*needs])).await;
        assert_eq!(
            at(&answer.body["data"], &path),
            Some(&Value::Null),
            "{name}: {}",
            answer.text
        );
        assert_eq!(errors(&answer), json!([["FORBIDDEN", path]]), "{name}");
        let sentence = format!("This needs the permission {}.", needs.as_str());
        assert_eq!(answer.body["errors"][0]["message"], sentence, "{name}");

        let answer = ask(Rights::all()).await;
        assert_eq!(errors(&answer), json!([]), "{name}");
        assert!(
            at(&answer.body["data"], &path).is_some_and(|found| !found.is_null()),
            "{name}: {}",
            answer.text
        );
    }
}
