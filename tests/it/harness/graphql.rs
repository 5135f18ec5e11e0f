//! GraphQL documents that many tests run.

use serde_json::{Value, json};

use super::TestServer;

/// Runs a document and gives its data with the real keys and times in it. There must be no error.
pub async fn data(server: &TestServer, query: &str, variables: Value) -> Value {
    let answer = server.graphql(query, variables).await;
    let mut body: Value = serde_json::from_str(&answer.text).expect("an answer is JSON");
    assert!(
        answer.status == 200 && body.get("errors").is_none(),
        "{query}\n{}",
        answer.text
    );
    body["data"].take()
}

/// Stores a client and answers what `selection` asks of it.
pub async fn store(server: &TestServer, input: Value, selection: &str) -> Value {
    let query = format!(
        "mutation($input: UpsertClientInput!) {{ upsertClient(input: $input) {{ client {{ {selection} }} userErrors {{ \
            code message path }} }} }}"
    );
    let mut data = data(server, &query, json!({ "input": input })).await;
    assert_eq!(data["upsertClient"]["userErrors"], json!([]), "{input:#}");
    data["upsertClient"]["client"].take()
}

/// Stores a client and returns its real key.
pub async fn store_key(server: &TestServer, input: Value) -> String {
    let client = store(server, input, "encodedKey").await;
    client["encodedKey"].as_str().expect("a key").to_owned()
}

/// Defines a set of custom fields.
pub async fn define(server: &TestServer, set: &str, fields: Value) {
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code message path } } }";
    let input = json!({ "set": { "setId": set, "name": set }, "fields": fields });
    let data = data(server, query, json!({ "input": input })).await;
    assert_eq!(data, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
}

/// Stores a message template.
pub async fn define_template(server: &TestServer, template: Value) {
    let query = "mutation($input: UpsertMessageTemplateInput!) { upsertMessageTemplate(input: $input) { userErrors { \
        code message path } } }";
    let data = data(server, query, json!({ "input": template })).await;
    assert_eq!(data, json!({ "upsertMessageTemplate": { "userErrors": [] } }));
}

/// Stores a client role.
pub async fn define_role(server: &TestServer, role: Value) {
    let query = "mutation($input: UpsertClientRoleInput!) { upsertClientRole(input: $input) { userErrors { code \
        message path } } }";
    let data = data(server, query, json!({ "input": role })).await;
    assert_eq!(data, json!({ "upsertClientRole": { "userErrors": [] } }));
}

/// Stores a template of identification documents.
pub async fn define_document_template(server: &TestServer, template: Value) {
    let query = "mutation($input: UpsertIdDocumentTemplateInput!) { upsertIdDocumentTemplate(input: $input) { \
        userErrors { code message path } } }";
    let data = data(server, query, json!({ "input": template })).await;
    assert_eq!(data, json!({ "upsertIdDocumentTemplate": { "userErrors": [] } }));
}

/// Runs a mutation, given with its input type, and asserts that it has one user error and stores nothing.
#[track_caller]
pub fn refuse<'a>(
    server: &'a TestServer,
    (mutation, input_type): (&'a str, &'a str),
    input: Value,
    code: &'a str,
    path: &'a [&'a str],
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let before = server.snapshot().await;
        let query =
            format!("mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}");
        let answer = server.graphql(&query, json!({ "input": input })).await;
        let path: Vec<&str> = ["input"].iter().chain(path).copied().collect();
        let expected = json!([{ "code": code, "path": path }]);
        assert_eq!(
            answer.body["data"][mutation]["userErrors"], expected,
            "{caller}: {input}: {}",
            answer.text
        );
        assert_eq!(server.snapshot().await, before);
    }
}
