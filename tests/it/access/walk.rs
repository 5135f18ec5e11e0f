//! Every root field and legacy route, called with all permissions but one, with only one, and with none.
//! A field or route missing from the tables fails the test.

use std::collections::BTreeSet;

use clientele::{
    api,
    caller::{
        Permission::{self, *},
        Rights,
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use super::without;
use crate::harness::{
    Answer, TestServer,
    graphql::{define, define_template},
    schema::root_fields,
};

/// A root field, a document that selects it, and all permissions it requires.
pub(super) type Field = (&'static str, &'static str, &'static [Permission]);

pub(super) const FIELDS: &[Field] = &[
    // Ids of hidden objects are unknown: see `fields`.
    ("Query.node", "{ node(id: \"nothing\") { id } }", &[]),
    ("Query.nodes", "{ nodes(ids: [\"nothing\"]) { id } }", &[]),
    (
        "Query.client",
        "{ client(by: { clientId: \"known\" }) { id } }",
        &[ViewClient],
    ),
    (
        "Query.clients",
        "{ clients { totalCount nodes { id } } }",
        &[ViewClient],
    ),
    ("Query.clients", "{ clients { totalCount } }", &[ViewClient]),
    (
        "Query.messages",
        "{ messages { totalCount nodes { id } } }",
        &[ViewMessages],
    ),
    (
        "Query.clientDifference",
        "{ clientDifference(by: { clientId: \"known\" }, to: 1) { to } }",
        &[Audit, ViewClient],
    ),
    (
        "Query.clientAt",
        "{ clientAt(by: { clientId: \"known\" }, version: 1) { clientId } }",
        &[Audit, ViewClient],
    ),
    (
        "Query.suppressions",
        "{ suppressions { totalCount nodes { recipient } } }",
        &[ViewMessages],
    ),
    (
        "Query.clientChanges",
        "{ clientChanges(after: \"0.0.\") { nodes { kind clientKey client { clientId } } hasMore } }",
        &[ViewClient],
    ),
    ("Query.auditLog", "{ auditLog { totalCount nodes { id } } }", &[Audit]),
    (
        "Query.customFieldSets",
        "{ customFieldSets { setId fields { fieldId } } }",
        &[],
    ),
    (
        "Query.customField",
        "{ customField(by: { fieldId: \"note\" }) { name } }",
        &[],
    ),
    ("Query.clientRoles", "{ clientRoles { roleId } }", &[]),
    (
        "Query.idDocumentTemplates",
        "{ idDocumentTemplates { templateId } }",
        &[],
    ),
    ("Query.messageTemplates", "{ messageTemplates { templateId } }", &[]),
    (
        "Query.previewMessage",
        "{ previewMessage(templateId: \"hello\", client: { clientId: \"known\" }) { text } }",
        &[ViewMessages, ViewClient],
    ),
    ("Query.viewer", "{ viewer { kind permissions } }", &[]),
    ("Query.users", "{ users { nodes { name } } }", &[ManageUsers]),
    ("Query.tokens", "{ tokens { nodes { name } } }", &[ManageUsers]),
    ("Query.sessions", "{ sessions { nodes { userName } } }", &[]),
    (
        "Mutation.upsertClient",
        "mutation { upsertClient(input: { client: { firstName: \"Amara\", lastName: \"Bellweather\" } }) { client { \
            clientId } userErrors { code } } }",
        &[CreateClient],
    ),
    (
        "Mutation.upsertClient",
        "mutation { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: \"known\" } }) { client { clientId } \
            userErrors { code } } }",
        &[EditClient],
    ),
    (
        "Mutation.upsertClients",
        "mutation { upsertClients(input: { clients: [{ client: { firstName: \"Amara\", lastName: \"Bellweather\" } \
            }] }) { results { client { clientId } userErrors { code } } userErrors { code } } }",
        &[CreateClient],
    ),
    (
        "Mutation.upsertClients",
        "mutation { upsertClients(input: { clients: [{ matchOn: CLIENT_ID, client: { clientId: \"known\" } }] }) \
            { results { client { clientId } userErrors { code } } userErrors { code } } }",
        &[EditClient],
    ),
    (
        "Mutation.changeClientState",
        "mutation { changeClientState(input: { by: { clientId: \"known\" }, state: INACTIVE }) { userErrors { \
            code } } }",
        &[ChangeState],
    ),
    (
        "Mutation.changeClientState",
        "mutation { changeClientState(input: { by: { clientId: \"known\" }, state: INACTIVE }) { client { clientId } \
            userErrors { code } } }",
        &[ChangeState, ViewClient],
    ),
    (
        "Mutation.mergeClients",
        "mutation { mergeClients(input: { from: { clientId: \"known\" }, into: { clientId: \"gone\" } }) { \
            userErrors { code } } }",
        &[MergeClients],
    ),
    (
        "Mutation.deleteClient",
        "mutation { deleteClient(input: { by: { clientId: \"gone\" } }) { userErrors { code } } }",
        &[DeleteClient],
    ),
    (
        "Mutation.eraseClient",
        "mutation { eraseClient(input: { by: { clientId: \"gone\" } }) { userErrors { code } } }",
        &[EraseClient],
    ),
    (
        "Mutation.upsertCustomFieldSet",
        "mutation { upsertCustomFieldSet(input: { set: { setId: \"facts\", name: \"F\" } }) { userErrors { code } } }",
        &[ManageCustomFields],
    ),
    (
        "Mutation.upsertClientRole",
        "mutation { upsertClientRole(input: { roleId: \"new\", name: \"New\" }) { userErrors { code } } }",
        &[ManageCustomFields],
    ),
    (
        "Mutation.upsertIdDocumentTemplate",
        "mutation { upsertIdDocumentTemplate(input: { templateId: \"new\", documentType: \"P\" }) { userErrors { \
            code } } }",
        &[ManageCustomFields],
    ),
    (
        "Mutation.upsertMessageTemplate",
        "mutation { upsertMessageTemplate(input: { templateId: \"hello\" }) { userErrors { code } } }",
        &[ManageTemplates],
    ),
    (
        "Mutation.deleteMessageTemplate",
        "mutation { deleteMessageTemplate(input: { templateId: \"gone\" }) { userErrors { code } } }",
        &[ManageTemplates],
    ),
    (
        "Mutation.resendMessages",
        "mutation { resendMessages(input: { filter: {} }) { resent userErrors { code } } }",
        &[ResendMessages],
    ),
    (
        "Mutation.addSuppression",
        "mutation { addSuppression(input: { channel: EMAIL, recipient: \"ines@bank.test\" }) { added userErrors { \
            code } } }",
        &[ManageSuppressions],
    ),
    (
        "Mutation.removeSuppression",
        "mutation { removeSuppression(input: { channel: EMAIL, recipient: \"bo@bank.test\" }) { userErrors { code }} }",
        &[ManageSuppressions],
    ),
    (
        "Mutation.upsertUser",
        "mutation { upsertUser(input: { name: \"gone\" }) { userErrors { message } } }",
        &[ManageUsers],
    ),
    (
        "Mutation.deleteUser",
        "mutation { deleteUser(input: { name: \"gone\" }) { userErrors { message } } }",
        &[ManageUsers],
    ),
    (
        "Mutation.createToken",
        "mutation { createToken(input: { name: \" \", permissions: [] }) { userErrors { message } } }",
        &[ManageUsers],
    ),
    (
        "Mutation.revokeToken",
        "mutation { revokeToken(input: { encodedKey: \"gone\" }) { userErrors { message } } }",
        &[ManageUsers],
    ),
    // This server has no authentication, and these callers have no sessions.
    (
        "Mutation.signIn",
        "mutation { signIn(input: { name: \"a\", password: \"b\" }) { accessToken userErrors { message } } }",
        &[],
    ),
    (
        "Mutation.refreshSession",
        "mutation { refreshSession(input: { refreshToken: \"a\" }) { accessToken userErrors { message } } }",
        &[],
    ),
    (
        "Mutation.signOut",
        "mutation { signOut { endedSessions userErrors { message } } }",
        &[],
    ),
    (
        "Mutation.revokeSession",
        "mutation { revokeSession(input: { encodedKey: \"gone\" }) { session { userName } userErrors { message } } }",
        &[],
    ),
    // The caller's own password: a caller without one gets an error.
    (
        "Mutation.changePassword",
        "mutation { changePassword(input: { oldPassword: \"a\", newPassword: \"b\" }) { changed \
            userErrors { message } } }",
        &[],
    ),
];

/// A legacy route, the posted body, and the required permissions.
pub(super) type Route = (&'static str, &'static str, fn() -> Value, &'static [Permission]);

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/api/clients", || Value::Null, &[ViewClient]),
    (
        "POST",
        "/api/clients",
        || json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
        &[CreateClient],
    ),
    (
        "POST",
        "/api/clients/search",
        || json!({ "filterConstraints": [] }),
        &[ViewClient],
    ),
    ("GET", "/api/clients/{id}", || Value::Null, &[ViewClient]),
    (
        "POST",
        "/api/clients/{id}",
        || json!({ "client": { "firstName": "Amara" } }),
        &[EditClient],
    ),
    (
        "PATCH",
        "/api/clients/{id}",
        || json!({ "client": { "firstName": "Amara" } }),
        &[EditClient],
    ),
    (
        "PATCH",
        "/api/clients/{id}",
        || json!({ "client": { "state": "INACTIVE" } }),
        &[ChangeState],
    ),
    ("DELETE", "/api/clients/{id}", || Value::Null, &[DeleteClient]),
    (
        "PATCH",
        "/api/clients/{id}/custominformation",
        || json!({ "customInformation": [{ "customFieldID": "note", "value": "x" }] }),
        &[EditClient],
    ),
    (
        "PATCH",
        "/api/clients/{id}/custominformation/{field}",
        || json!({ "value": "x" }),
        &[EditClient],
    ),
    (
        "DELETE",
        "/api/clients/{id}/custominformation/{field}",
        || Value::Null,
        &[EditClient],
    ),
    (
        "PATCH",
        "/api/clients/{id}/custominformation/{field}/{group}",
        || json!({ "value": "x" }),
        &[EditClient],
    ),
    (
        "DELETE",
        "/api/clients/{id}/custominformation/{field}/{group}",
        || Value::Null,
        &[EditClient],
    ),
    (
        "POST",
        "/api/notifications/receipts",
        || json!([{ "messageId": "gone", "status": "BOUNCED", "permanent": true }]),
        &[RecordReceipts],
    ),
    ("GET", "/api/customfieldsets", || Value::Null, &[]),
    ("GET", "/api/customfields/{field}", || Value::Null, &[]),
    ("GET", "/api/clienttypes", || Value::Null, &[]),
    ("GET", "/api/settings/iddocumenttemplates", || Value::Null, &[]),
];

#[test]
fn every_field_and_route_is_in_the_tables() {
    let known: BTreeSet<String> = FIELDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(known, root_fields());
    let known: BTreeSet<_> = ROUTES
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), *path))
        .collect();
    let routes = api::rest::ROUTES
        .iter()
        .map(|route| (route.method.to_string(), route.path));
    assert_eq!(known, routes.collect());
}

/// True if an answer refuses for a missing permission; otherwise it must be complete.
fn refused(answer: &Answer, what: &str) -> bool {
    let refused =
        answer.text.contains("\"FORBIDDEN\"") || (answer.status, &answer.body["returnCode"]) == (403, &json!(15));
    let whole = answer.status == 200 && answer.body.get("errors").is_none();
    let without_problems = !answer.text.contains("\"code\"") || answer.text.contains("NOT_FOUND");
    assert!(refused || whole && without_problems, "{what}: {}", answer.text);
    refused
}

/// The callers, and whether each must be refused given the required permissions.
fn callers(needed: &[Permission]) -> Vec<(String, Rights, bool)> {
    let mut callers = vec![
        ("everything".to_owned(), Rights::all(), false),
        ("nothing".to_owned(), Rights::of([]), !needed.is_empty()),
        (
            "exactly what it takes".to_owned(),
            Rights::of(needed.iter().copied()),
            false,
        ),
    ];
    for permission in Permission::ALL {
        let name = format!("everything but {}", permission.as_str());
        callers.push((name, without(&[permission]), needed.contains(&permission)));
    }
    callers
}

async fn prepare(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "note", "name": "Note", "type": "TEXT" }]),
    )
    .await;
    define_template(
        server,
        json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] }),
    )
    .await;
    create(server).await;
}

async fn create(server: &TestServer) {
    let client = json!({ "client": { "id": "known", "firstName": "Amara", "lastName": "Bellweather" } });
    assert_eq!(server.post("/api/clients", client).await.status, 200);
}

on_both!(
    every_root_field_requires_exactly_its_permissions,
    every_legacy_route_requires_exactly_its_permissions,
);

async fn every_root_field_requires_exactly_its_permissions(server: &TestServer) {
    prepare(server).await;
    for (name, document, needed) in FIELDS {
        for (who, rights, expected) in callers(needed) {
            let what = format!("{name} by a caller with {who}");
            let before = server.snapshot().await;
            let answer = server.as_caller(&rights).graphql(document, json!({})).await;
            assert_eq!(refused(&answer, &what), expected, "{what}: {}", answer.text);
            // Mutations are refused before execution, without data, and queries field by field.
            if expected && who == "nothing" {
                let is_refused_before = answer.body.get("data").is_none();
                assert_eq!(
                    is_refused_before,
                    name.starts_with("Mutation."),
                    "{what}: see `permits`"
                );
            }
            if expected {
                assert_eq!(server.snapshot().await, before, "{what}: a refusal must write nothing");
            }
        }
    }
}

async fn every_legacy_route_requires_exactly_its_permissions(server: &TestServer) {
    prepare(server).await;
    for (method, path, body, needed) in ROUTES {
        for (who, rights, expected) in callers(needed) {
            let what = format!("{method} {path} by a caller with {who}");
            let before = server.snapshot().await;
            let caller = server.as_caller(&rights);
            let request = caller.request(
                Method::from_bytes(method.as_bytes()).expect("a method"),
                &path
                    .replace("{id}", "known")
                    .replace("{field}", "note")
                    .replace("{group}", "-1"),
            );
            let request = match *method {
                "GET" | "DELETE" => request,
                _ => request.json(&body()),
            };
            let answer = caller.send(request).await;
            if *method == "DELETE" && *path == "/api/clients/{id}" && answer.status == 200 {
                create(server).await;
            }
            assert_eq!(refused(&answer, &what), expected, "{what}: {}", answer.text);
            if expected {
                assert_eq!(server.snapshot().await, before, "{what}: a refusal must write nothing");
            }
        }
    }
}
