//! Every root field and legacy route, called by a caller who is limited to one branch. There are two servers with the
//! same data. On one of them the client of another branch is erased: the answers must be the same.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clientele::caller::Rights;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    in_branches,
    walk::{FIELDS, ROUTES},
};
use crate::harness::{
    Answer, Settings, TestServer,
    graphql::{data, define, define_role, define_template, store},
};

const FAILED: &str = "UPDATE message SET state = 'FAILED', due_at = NULL, failed_at = '2026-01-02T03:04:05.000000Z', \
    attempts = 1, reason = 'REFUSED'";

/// A server, and what the variables and paths of requests name there.
struct Twin<'a> {
    server: &'a TestServer,
    /// `ids` are those of the hidden client and of what belongs to it.
    variables: Value,
}

impl<'a> Twin<'a> {
    /// The limited caller can see `known`, which links to `hidden` of another branch.
    async fn new(server: &'a TestServer) -> Self {
        define(
            server,
            "facts",
            json!([{ "fieldId": "note", "name": "Note", "type": "TEXT" },
                { "fieldId": "friend", "name": "Friend", "type": "CLIENT_LINK" },
                { "fieldId": "pass", "name": "Pass", "type": "TEXT", "unique": true }]),
        )
        .await;
        let template = json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
            "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] });
        define_template(server, template).await;
        define_role(server, json!({ "roleId": "vip", "name": "VIP" })).await;
        let ids = "encodedKey id addresses { id } idDocuments { id } customInformation { id } \
            messages { nodes { id } } history { nodes { id } }";
        let hidden = json!({ "client": { "clientId": "hidden", "firstName": "Hilda", "lastName": "Hidding",
            "birthDate": "1971-03-04", "emailAddress": "h@example.test", "mobilePhone1": "+2547000001",
            "assignedBranchKey": "south", "assignedCentreKey": "centre", "assignedUserKey": "officer",
            "clientRole": { "roleId": "vip" } },
            "addresses": [{ "line1": "1 Lane", "city": "Kisumu", "country": "Kenya" }],
            "idDocuments": [{ "documentType": "T", "documentId": "D-1" }],
            "customInformation": [{ "fieldId": "note", "value": "secret" }, { "fieldId": "pass", "value": "P-1" }] });
        let hidden = store(server, hidden, ids).await;
        let known = json!({ "client": { "clientId": "known", "firstName": "Amara", "lastName": "Bellweather",
            "emailAddress": "a@example.test", "assignedBranchKey": "north" },
            "customInformation": [{ "fieldId": "friend", "linkedKey": hidden["encodedKey"] }] });
        let known = store(server, known, "encodedKey").await;
        server.write(FAILED).await.expect("written");
        let places = [
            "/id",
            "/addresses/0/id",
            "/idDocuments/0/id",
            "/customInformation/0/id",
            "/messages/nodes/0/id",
            "/history/nodes/0/id",
        ];
        let ids = places.map(|place| hidden.pointer(place).unwrap_or_else(|| panic!("{place}")).clone());
        let variables = json!({ "key": hidden["encodedKey"], "known": known["encodedKey"], "ids": ids,
            "id": ids[0], "message": [ids[4]] });
        Self { server, variables }
    }

    /// Runs a document with the variables that it declares.
    async fn graphql(&self, rights: &Rights, document: &str) -> Answer {
        let mut variables = self.variables.clone();
        let members = variables.as_object_mut().expect("an object");
        members.retain(|name, _| document.contains(&format!("${name}:")));
        if document.contains("clientChanges") {
            self.server.wait_for_changes().await;
        }
        self.server.as_caller(rights).graphql(document, variables).await
    }

    async fn rest(&self, rights: &Rights, method: &str, path: &str, body: &Value) -> Answer {
        let key = self.variables["key"].as_str().expect("a key");
        let known = self.variables["known"].as_str().expect("a key");
        let named = |text: &str| text.replace("{key}", key).replace("{known key}", known);
        let caller = self.server.as_caller(rights);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = caller.request(method, &named(path));
        let request = match body {
            Value::Null => request,
            body => request
                .header("content-type", "application/json")
                .body(named(&body.to_string())),
        };
        caller.send(request).await
    }
}

/// The answer with keys numbered in the order of their appearance, and without times, generated ids and those of
/// requests. Global ids are decoded.
fn plain(answer: &Answer) -> String {
    fn text(value: Value, keys: &mut Vec<String>) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| text(item, keys)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, member)| (name, text(member, keys)))
                .collect(),
            Value::String(value) => Value::String(of_text(value, keys)),
            other => other,
        }
    }
    fn of_text(value: String, keys: &mut Vec<String>) -> String {
        let bytes = value.as_bytes();
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        if bytes.len() == 9 && bytes[..3].iter().all(u8::is_ascii_uppercase) && bytes[3..].iter().all(is_digit) {
            return "<id>".to_owned();
        }
        if bytes.len() > 18 && bytes[..4].iter().all(is_digit) && bytes[4] == b'-' && bytes[10] == b'T' {
            return "<time>".to_owned();
        }
        // The ids of requests that are refused.
        if bytes.len() == 36 && [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-') {
            return "<request>".to_owned();
        }
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(&value).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let value = decoded.filter(|text| text.contains(':')).unwrap_or(value);
        let mut rest = value.as_str();
        let mut shown = String::new();
        let is_key = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        while let Some(at) = (0..rest.len()).find(|at| rest.get(*at..at + 32).is_some_and(is_key)) {
            let key = &rest[at..at + 32];
            let number = keys.iter().position(|known| known == key).unwrap_or_else(|| {
                keys.push(key.to_owned());
                keys.len() - 1
            });
            shown += &format!("{}<key {number}>", &rest[..at]);
            rest = &rest[at + 32..];
        }
        shown + rest
    }
    let body = serde_json::from_str(&answer.text).unwrap_or_default();
    format!(
        "{} {} {}",
        answer.status,
        answer.content_type,
        text(body, &mut Vec::new())
    )
}

/// Documents that read. An unlimited caller gets different answers to each of them from the two servers.
const READS: &[&str] = &[
    "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Client { firstName } ... on Message { recipient } } }",
    "query($id: ID!) { node(id: $id) { __typename ... on Client { firstName history { totalCount } } } }",
    "query($id: ID!) { client(by: { id: $id }) { firstName } }",
    "query($key: String!) { client(by: { encodedKey: $key }) { firstName messages { totalCount } } }",
    "{ client(by: { clientId: \"hidden\" }) { firstName addresses { line1 } } }",
    "{ client(by: { clientId: \"known\" }) { clientId customInformation { linkedKey linkedClient { clientId } } } }",
    "{ clients { totalCount totalCountPrecision nodes { clientId customInformation { linkedClient { clientId } } } } }",
    "{ clients(last: 2) { nodes { clientId } } }",
    "{ clients(first: 1) { nodes { clientId } pageInfo { hasNextPage hasPreviousPage } } }",
    "{ clients(orderBy: { field: NAME, direction: DESC }) { nodes { clientId } } }",
    "{ clients(orderBy: { field: UPDATED_AT }) { nodes { clientId } } }",
    "{ clients(filter: { states: [INACTIVE] }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { firstNameStartsWith: \"Hil\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { lastNameStartsWith: \"H\" }) { totalCount } }",
    "{ clients(filter: { birthDate: \"1971-03-04\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { emailAddress: \"h@example.test\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { phone: \"+2547000001\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { documentId: \"D-1\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { customField: { fieldId: \"note\", value: \"secret\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { createdAt: { from: \"2020-01-01T00:00:00Z\" } }) { totalCount } }",
    "{ clients(search: \"Hilda\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"Hilda Hidding\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"hi\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"hidden\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"h@example.test\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"+2547000001\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"47000\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"D-1\") { totalCount totalCountPrecision nodes { clientId } } }",
    "{ clients(search: \"hid\", filter: { city: \"kisumu\" }) { totalCount nodes { clientId } } }",
    "{ clients(search: \"hid\", filter: { not: { city: \"elsewhere\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { firstName: { equals: \"hilda\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { lastName: { startsWith: \"HID\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { born: { from: \"1971-03-01\", to: \"1971-03-31\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { email: \"H@EXAMPLE.TEST\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { city: \"kisumu\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { country: \"kenya\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { clientRoleId: \"vip\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { assignedBranchKey: \"south\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { assignedCentreKey: \"centre\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { assignedUserKey: \"officer\" }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { customFields: [{ fieldId: \"pass\", value: { equals: \"P-1\" } }] }) \
        { totalCount nodes { clientId } } }",
    "{ clients(filter: { updatedAt: { from: \"2020-01-01T00:00:00Z\" } }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { and: [{ city: \"kisumu\" }, { states: [INACTIVE] }] }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { or: [{ city: \"kisumu\" }, { clientRoleId: \"vip\" }] }) { totalCount nodes { clientId } } }",
    "{ clients(filter: { not: { city: \"elsewhere\" } }) { totalCount nodes { clientId } } }",
    "{ messages { totalCount nodes { recipient client { clientId } } } }",
    "{ messages(filter: { states: [FAILED], channel: EMAIL }) { totalCount nodes { recipient } } }",
    "{ messages(filter: { client: { clientId: \"hidden\" } }) { totalCount nodes { recipient } } }",
    "query($key: String!) { messages(filter: { client: { encodedKey: $key } }) { totalCount nodes { recipient } } }",
    "{ messages(filter: { templateId: \"hello\" }) { totalCount } }",
    "{ auditLog { totalCount nodes { subject subjectKey action changes { path before after } } } }",
    "{ auditLog(filter: { subject: CLIENT, at: { from: \"2020-01-01T00:00:00Z\" } }) { totalCount } }",
    "{ auditLog(filter: { action: ERASED }) { totalCount nodes { subjectKey } } }",
    "{ auditLog(filter: { client: { clientId: \"hidden\" } }) { totalCount nodes { action } } }",
    "query($key: String!) { auditLog(filter: { client: { encodedKey: $key } }) { totalCount nodes { action } } }",
    "query($key: String!) { auditLog(filter: { subjectKey: $key }) { totalCount nodes { action } } }",
    "{ clientDifference(by: { clientId: \"hidden\" }, to: 1) { changes { path after } } }",
    "query($key: String!) { clientDifference(by: { encodedKey: $key }, to: 1) { to } }",
    "{ clientAt(by: { clientId: \"hidden\" }, version: 1) { firstName record { at } } }",
    "query($key: String!) { clientAt(by: { encodedKey: $key }, version: 2) { lastName } }",
    "{ previewMessage(templateId: \"hello\", client: { clientId: \"hidden\" }) { recipient text } }",
];

/// Documents that write, or try to.
const WRITES: &[&str] = &[
    "mutation($key: String!) { upsertClient(input: { client: { encodedKey: $key, notes: \"x\" }, expectedVersion: 7 }) \
        { client { clientId } conflictingVersion conflictingClient { clientId } userErrors { code path message } } }",
    "mutation($key: String!) { upsertClient(input: { client: { encodedKey: $key, birthDate: \"2999-01-01\" } }) { \
        userErrors { code path message } } }",
    "mutation { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: \"hidden\" }, expectedVersion: 1 }) { \
        conflictingVersion conflictingClient { clientId } userErrors { code path message } } }",
    "mutation { upsertClient(input: { matchOn: CUSTOM_FIELD, matchCustomField: { fieldId: \"pass\", value: \"P-1\" }, \
        client: { notes: \"x\" } }) { userErrors { code path message } } }",
    "mutation($key: String!) { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: \"known\" }, \
        customInformation: [{ fieldId: \"friend\", linkedKey: $key }] }) { client { clientId } \
        userErrors { code path message } } }",
    "mutation($key: String!) { upsertClient(input: { client: { firstName: \"Amara\", lastName: \"Bellweather\" }, \
        customInformation: [{ fieldId: \"friend\", linkedKey: $key }] }) { userErrors { code path message } } }",
    "mutation($key: String!, $known: String!) { upsertClients(input: { clients: [
        { client: { encodedKey: $key, notes: \"x\" } }, { client: { encodedKey: $known, notes: \"x\" } },
        { matchOn: CLIENT_ID, client: { clientId: \"hidden\" } }] }) { \
        results { client { clientId } conflictingVersion userErrors { code path message } } } }",
    "mutation($id: ID!) { changeClientState(input: { by: { id: $id }, state: ACTIVE, expectedVersion: 7 }) { \
        client { clientId } conflictingVersion userErrors { code path message } } }",
    "mutation { changeClientState(input: { by: { clientId: \"hidden\" }, state: REJECTED }) { \
        userErrors { code path message } } }",
    "mutation($key: String!) { deleteClient(input: { by: { encodedKey: $key }, expectedVersion: 7 }) { \
        deletedClientKey conflictingVersion userErrors { code path message } } }",
    "mutation($key: String!) { eraseClient(input: { by: { encodedKey: $key } }) { \
        erasedClientKey userErrors { code path message } } }",
    "mutation { mergeClients(input: { from: { clientId: \"hidden\" }, into: { clientId: \"known\" } }) { \
        client { clientId } conflictingIntoVersion userErrors { code path message } } }",
    "mutation($key: String!) { mergeClients(input: { from: { clientId: \"known\" }, into: { encodedKey: $key }, \
        expectedIntoVersion: 7 }) { client { clientId } conflictingIntoVersion userErrors { code path message } } }",
    "mutation($id: ID!) { mergeClients(input: { from: { id: $id }, into: { clientId: \"known\" }, \
        expectedFromVersion: 7 }) { client { clientId } conflictingIntoVersion userErrors { code path message } } }",
    "mutation($message: [ID!]) { resendMessages(input: { ids: $message }) { resent userErrors { code path } } }",
    "mutation { resendMessages(input: { filter: { client: { clientId: \"hidden\" } } }) { resent more } }",
    "mutation { resendMessages(input: { filter: {} }) { resent more userErrors { code path message } } }",
];

/// Legacy requests in addition to [`ROUTES`].
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let constraint = |selection: &str, element: &str, value: &str| {
        let constraint = json!({ "filterSelection": selection, "filterElement": element, "value": value });
        json!({ "filterConstraints": [constraint] })
    };
    let search = "/api/clients/search";
    vec![
        ("GET", "/api/clients?fullDetails=true", Value::Null),
        ("GET", "/api/clients?branchId=south", Value::Null),
        ("GET", "/api/clients?firstName=Hilda", Value::Null),
        ("GET", "/api/clients?offset=0&limit=1", Value::Null),
        ("GET", "/api/clients/{key}", Value::Null),
        ("GET", "/api/clients/hidden?fullDetails=true", Value::Null),
        ("GET", "/api/clients/known?fullDetails=true", Value::Null),
        ("POST", search, constraint("BRANCH_KEY", "EQUALS", "south")),
        ("POST", search, constraint("BRANCH_KEY", "DIFFERENT_THAN", "north")),
        ("POST", search, constraint("ID", "EQUALS", "hidden")),
        ("POST", search, constraint("ENCODED_KEY", "EQUALS", "{key}")),
        ("POST", search, constraint("FIRST_NAME", "STARTS_WITH", "hil")),
        ("POST", search, constraint("EMAIL_ADDRESS", "EQUALS", "h@example.test")),
        ("POST", search, constraint("CLIENT_ADDRESS", "EQUALS", "1 Lane")),
        ("POST", search, constraint("note", "EQUALS", "secret")),
        (
            "POST",
            "/api/clients/{key}",
            json!({ "client": { "encodedKey": "{known key}", "notes": "x" } }),
        ),
        (
            "POST",
            "/api/clients/known",
            json!({ "client": { "encodedKey": "{key}", "notes": "x" } }),
        ),
        (
            "POST",
            "/api/clients",
            json!({ "client": { "encodedKey": "{key}", "notes": "x" } }),
        ),
        ("PATCH", "/api/clients/{key}", json!({ "client": { "notes": "x" } })),
        (
            "PATCH",
            "/api/clients/known/custominformation/friend",
            json!({ "linkedEntityKeyValue": "{key}" }),
        ),
        ("DELETE", "/api/clients/{key}", Value::Null),
    ]
}

on_both!(clients_of_other_branches_do_not_exist);

async fn clients_of_other_branches_do_not_exist(server: &TestServer) {
    let Some(other) = TestServer::start(server.backend, Settings::default()).await else {
        return;
    };
    let (there, erased) = (Twin::new(server).await, Twin::new(&other).await);
    let (all, limited) = (Rights::all(), in_branches(&["north"]));
    let erase = "mutation($key: String!) { eraseClient(input: { by: { encodedKey: $key } }) { userErrors { code } } }";
    data(&other, erase, json!({ "key": erased.variables["key"] })).await;

    let mut faults = Vec::new();
    for document in READS {
        let answers = (
            there.graphql(&all, document).await,
            erased.graphql(&all, document).await,
        );
        if plain(&answers.0) == plain(&answers.1) {
            faults.push(format!("{document} can't fail: {}", answers.0.text));
        }
    }
    let own = FIELDS.iter().map(|(_, document, _)| (*document).to_owned());
    let named = FIELDS
        .iter()
        .map(|(_, document, _)| document.replace("known", "hidden"));
    let others = READS.iter().chain(WRITES).map(|document| (*document).to_owned());
    for document in others.chain(named).chain(own) {
        let answers = (
            there.graphql(&limited, &document).await,
            erased.graphql(&limited, &document).await,
        );
        if plain(&answers.0) != plain(&answers.1) || answers.0.text.contains("Hilda") {
            faults.push(format!("{document}\n{}\n{}", answers.0.text, answers.1.text));
        }
    }
    let routes = ROUTES.iter().flat_map(|(method, path, body, _)| {
        let path = path.replace("{field}", "note").replace("{group}", "-1");
        ["hidden", "{key}"].map(|id| (*method, path.replace("{id}", id), body()))
    });
    let requests = requests().into_iter();
    let requests = requests.map(|(method, path, body)| (method, path.to_owned(), body));
    for (method, path, body) in routes.chain(requests) {
        let answers = (
            there.rest(&limited, method, &path, &body).await,
            erased.rest(&limited, method, &path, &body).await,
        );
        if plain(&answers.0) != plain(&answers.1) {
            faults.push(format!(
                "{method} {path} {body}\n{}\n{}",
                answers.0.text, answers.1.text
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    // The client is as it was.
    let client = there.graphql(
        &all,
        "{ client(by: { clientId: \"hidden\" }) { version messages { nodes { state } } } }",
    );
    client
        .await
        .data(json!({ "client": { "version": 1, "messages": { "nodes": [{ "state": "FAILED" }] } } }));
    other.stop().await;
}
