//! Message templates: creation, changes, deletion, validation and previews.

mod limit;
mod matching;
mod previews;
mod validation;

use serde_json::{Value, json};

use crate::harness::{TestServer, graphql::data};

const UPSERT: &str = "mutation($input: UpsertMessageTemplateInput!) { upsertMessageTemplate(input: $input) {
    messageTemplate { id encodedKey templateId name event channel active defaultLanguage
        variants { language subject text html isDefault }
        conditions { clientRoles { roleId } states customFields { field { fieldId } value } } }
    userErrors { code path message } clientMutationId } }";
const DELETE: &str = "mutation($input: DeleteMessageTemplateInput!) { deleteMessageTemplate(input: $input) {
    deletedMessageTemplateId userErrors { code path } clientMutationId } }";

/// Stores a template and returns it.
async fn upsert(server: &TestServer, input: Value) -> Value {
    let mut data = data(server, UPSERT, json!({ "input": input })).await;
    assert_eq!(data["upsertMessageTemplate"]["userErrors"], json!([]), "{input:#}");
    data["upsertMessageTemplate"]["messageTemplate"].take()
}

/// Asserts code and path of every problem, and that nothing was written. Returns the messages.
async fn refused(server: &TestServer, input: Value, expected: &[(&str, &str)]) -> Vec<String> {
    let before = server.snapshot().await;
    let data = data(server, UPSERT, json!({ "input": input })).await;
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    let payload = &data["upsertMessageTemplate"];
    assert_eq!(payload["messageTemplate"], Value::Null);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let problems = payload["userErrors"].as_array().expect("a list");
    let found = problems.iter().map(|problem| {
        let path: Vec<String> = problem["path"].as_array().expect("a path").iter().map(text).collect();
        (text(&problem["code"]), path.join("."))
    });
    let expected = expected
        .iter()
        .map(|(code, path)| ((*code).to_owned(), format!("input.{path}")));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{input:#}");
    problems.iter().map(|problem| text(&problem["message"])).collect()
}

/// An e-mail in English and French.
fn welcome() -> Value {
    json!({ "templateId": "welcome", "encodedKey": "welcomeKey", "name": "Welcome", "event": "CLIENT_CREATED",
        "channel": "EMAIL",
        "variants": [
            { "language": "FRENCH", "subject": "Bonjour", "text": "Bonjour {CLIENT_NAME}" },
            { "language": "ENGLISH", "subject": "Hello", "text": "Hello {CLIENT_NAME}",
                "html": "<b>{CLIENT_NAME}</b>" }],
        "clientMutationId": "m" })
}

fn variant(language: &str, subject: &str, text: &str, html: Value, default: bool) -> Value {
    json!({ "language": language, "subject": subject, "text": text, "html": html, "isDefault": default })
}

/// The key of the template's version in each language, and whether it is current, oldest first.
async fn versions(server: &TestServer) -> Vec<(String, bool)> {
    let mut rows: Vec<Value> = server
        .snapshot()
        .await
        .rows("message_variant")
        .into_iter()
        .map(|row| serde_json::from_str(row).expect("a row is JSON"))
        .collect();
    rows.sort_by_key(|row| row[0].to_string());
    let current = |row: &Value| row[6] == json!(true) || row[6] == json!(1);
    rows.iter()
        .map(|row| {
            (
                format!(
                    "{} {}",
                    row[2].as_str().unwrap_or_default(),
                    row[4].as_str().unwrap_or_default()
                ),
                current(row),
            )
        })
        .collect()
}

on_both!(template_is_created_changed_and_deleted);

async fn template_is_created_changed_and_deleted(server: &TestServer) {
    let made = upsert(server, welcome()).await;
    let id = made["id"].clone();
    let nothing = json!({ "clientRoles": [], "states": [], "customFields": [] });
    let (french, english) = (
        variant("FRENCH", "Bonjour", "Bonjour {CLIENT_NAME}", Value::Null, true),
        variant(
            "ENGLISH",
            "Hello",
            "Hello {CLIENT_NAME}",
            json!("<b>{CLIENT_NAME}</b>"),
            false,
        ),
    );
    let mut expected = json!({ "id": id, "encodedKey": "welcomeKey", "templateId": "welcome", "name": "Welcome",
        "event": "CLIENT_CREATED", "channel": "EMAIL", "active": true, "defaultLanguage": "FRENCH",
        "variants": [english, french], "conditions": nothing });
    assert_eq!(made, expected);
    // The same again, and a part of it, write nothing.
    let before = server.snapshot().await;
    upsert(server, welcome()).await;
    upsert(server, json!({ "templateId": "welcome" })).await;
    let same = json!([{ "language": "ENGLISH", "text": "Hello {CLIENT_NAME}" },
        { "language": "FRENCH", "text": "Bonjour {CLIENT_NAME}" }]);
    upsert(
        server,
        json!({ "templateId": "welcome", "encodedKey": "welcomeKey", "active": true, "variants": same,
        "conditions": null }),
    )
    .await;
    upsert(
        server,
        json!({ "templateId": "welcome", "conditions": { "states": [], "clientRoles": null } }),
    )
    .await;
    assert_eq!(server.snapshot().await, before);
    // A changed variant becomes a new version and the old one is kept; the other variant is unchanged.
    let change = json!([{ "language": "ENGLISH", "text": "Hi", "html": null },
        { "language": "FRENCH", "text": "Bonjour {CLIENT_NAME}" }]);
    let changed = upsert(
        server,
        json!({ "templateId": "welcome", "name": "Hi", "event": "CLIENT_UPDATED", "active": false,
        "defaultLanguage": "ENGLISH", "variants": change }),
    )
    .await;
    expected["name"] = json!("Hi");
    expected["event"] = json!("CLIENT_UPDATED");
    expected["active"] = json!(false);
    expected["defaultLanguage"] = json!("ENGLISH");
    expected["variants"] = json!([
        variant("ENGLISH", "Hello", "Hi", Value::Null, true),
        variant("FRENCH", "Bonjour", "Bonjour {CLIENT_NAME}", Value::Null, false)
    ]);
    assert_eq!(changed, expected);
    let row = |text: &str, current: bool| (text.to_owned(), current);
    assert_eq!(
        versions(server).await,
        [
            row("FRENCH Bonjour {CLIENT_NAME}", true),
            row("ENGLISH Hello {CLIENT_NAME}", false),
            row("ENGLISH Hi", true)
        ]
    );
    // A language that isn't listed goes, and back to what it was is a version again.
    upsert(
        server,
        json!({ "templateId": "welcome", "variants": [{ "language": "ENGLISH", "text": "Hello {CLIENT_NAME}" }] }),
    )
    .await;
    assert_eq!(
        versions(server)
            .await
            .into_iter()
            .filter(|row| row.1)
            .collect::<Vec<_>>(),
        [row("ENGLISH Hello {CLIENT_NAME}", true)]
    );
    upsert(
        server,
        json!({ "templateId": "second", "name": "Second", "event": "CLIENT_CREATED", "channel": "SMS",
        "variants": [{ "language": "GERMAN", "text": "Hallo" }] }),
    )
    .await;
    let read = "query($id: ID!) { messageTemplates { templateId variants { text } } node(id: $id) { id ... on \
        MessageTemplate { name } } }";
    assert_eq!(
        data(server, read, json!({ "id": id })).await,
        json!({
        "messageTemplates": [{ "templateId": "welcome", "variants": [{ "text": "Hello {CLIENT_NAME}" }] },
            { "templateId": "second", "variants": [{ "text": "Hallo" }] }],
        "node": { "id": id, "name": "Hi" } })
    );
    // Deleting keeps the versions, as messages refer to them.
    let deleted = data(
        server,
        DELETE,
        json!({ "input": { "templateId": "welcome", "clientMutationId": "d" } }),
    )
    .await;
    assert_eq!(
        deleted,
        json!({ "deleteMessageTemplate": { "deletedMessageTemplateId": id, "userErrors": [],
            "clientMutationId": "d" } })
    );
    assert_eq!(
        data(server, read, json!({ "id": id })).await,
        json!({
        "messageTemplates": [{ "templateId": "second", "variants": [{ "text": "Hallo" }] }], "node": null })
    );
    assert_eq!(
        versions(server).await.iter().map(|row| row.1).collect::<Vec<_>>(),
        [false, false, false, false, true]
    );
    let before = server.snapshot().await;
    for id in ["welcome", "a\u{0}b"] {
        let again = data(server, DELETE, json!({ "input": { "templateId": id } })).await;
        assert_eq!(
            again,
            json!({ "deleteMessageTemplate": { "deletedMessageTemplateId": null, "clientMutationId": null,
            "userErrors": [{ "code": "NOT_FOUND", "path": ["input", "templateId"] }] } })
        );
    }
    assert_eq!(server.snapshot().await, before);
    // Made again, it comes last.
    upsert(server, welcome()).await;
    let list = data(server, "{ messageTemplates { templateId } }", json!({})).await;
    assert_eq!(
        list,
        json!({ "messageTemplates": [{ "templateId": "second" }, { "templateId": "welcome" }] })
    );
}
