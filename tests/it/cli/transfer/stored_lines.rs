//! Lines of a file with `"stored":true` that have values which no client can have.

use serde_json::{Value, json};

use super::{entry, file, read, run, summary_without};
use crate::harness::{
    TestServer,
    graphql::{data, define},
    program::directory,
};

on_both!(
    character_that_no_database_takes_is_refused,
);

fn client(key: &str) -> Value {
    json!({ "encodedKey": key, "clientId": key, "firstName": "Amara", "lastName": "B" })
}

/// The line of a client with these values.
fn with(key: &str, values: Value) -> Value {
    json!({ "client": client(key), "customInformation": values })
}

/// An export of these lines.
fn export(clients: &[Value]) -> String {
    let first = json!({ "format": "clientele", "version": 1, "stored": true });
    let last = json!({ "end": { "clients": clients.len() } });
    let all = [&first].into_iter().chain(clients).chain([&last]);
    all.map(|line| format!("{line}\n")).collect()
}

/// Imports a good client and these lines, each of which is refused for the one reason.
async fn refuses(server: &TestServer, refused: &[(Value, &str, &str, &str)]) {
    let (directory, url) = (directory(), server.database_url());
    let mut lines: Vec<Value> = refused.iter().map(|(line, ..)| line.clone()).collect();
    lines.push(json!({ "client": client("good") }));
    file(&directory, "in", export(&lines));
    let arguments = ["import", "in", "--report", "report"];
    let (output, error, status) = run(&directory, &url, &arguments);
    let count = refused.len();
    let sentence = format!("clientele: lines that were refused: {count}. Correct them and run the import again\n");
    assert_eq!((error, status), (sentence, Some(1)));
    assert_eq!(output, summary_without(1, 1, 0, count));
    let mut entries: Vec<Value> = read(&directory, "report")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    entries.sort_by_key(|entry| entry["line"].as_u64());
    let expected = refused.iter().zip(2..).map(|((line, code, path, message), number)| {
        let names = ["encodedKey", "clientId"].map(|name| &line["client"][name]);
        let key = names.into_iter().find(|key| *key != "\0");
        entry(number, code, path, message, key.cloned().unwrap_or_default())
    });
    assert_eq!(entries, expected.collect::<Vec<_>>());
    let stored = data(server, "{ clients(first: 5) { nodes { clientId } } }", json!({})).await;
    assert_eq!(stored["clients"]["nodes"], json!([{ "clientId": "good" }]));
}

async fn define_fields(server: &TestServer) {
    let fields = json!([
        { "fieldId": "text", "name": "Text", "type": "TEXT", "unique": true },
        { "fieldId": "long", "name": "Long", "type": "LONG_TEXT" },
        { "fieldId": "number", "name": "Number", "type": "NUMBER" },
        { "fieldId": "flag", "name": "Flag", "type": "CHECKBOX" },
        { "fieldId": "day", "name": "Day", "type": "DATE" },
        { "fieldId": "band", "name": "Band", "type": "SELECTION", "options": [{ "value": "LOW" }] },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        { "fieldId": "team", "name": "Team", "type": "GROUP_LINK" },
    ]);
    define(server, "facts", fields).await;
    let query = "mutation { upsertCustomFieldSet(input: { set: { setId: \"cards\", name: \"Cards\", usage: GROUPED },
        fields: [{ fieldId: \"card\", name: \"Card\", type: TEXT }] }) { userErrors { code } } }";
    let defined = data(server, query, json!({})).await;
    assert_eq!(defined["upsertCustomFieldSet"]["userErrors"], json!([]));
}

async fn character_that_no_database_takes_is_refused(server: &TestServer) {
    define_fields(server).await;
    let code = "INVALID_CHARACTER";
    let value = |member: &str| format!("{member} must not contain the character U+0000.");
    let mut keyed = json!({ "client": client("k4") });
    keyed["client"]["encodedKey"] = json!("\0");
    let mut named = json!({ "client": client("k5") });
    named["client"]["notes"] = json!("\0");
    refuses(
        server,
        &[
            (
                with("k1", json!([{ "fieldId": "text", "value": "a\0b" }])),
                code,
                "customInformation.0.value",
                &value("value"),
            ),
            (
                with("k2", json!([{ "fieldId": "team", "linkedKey": "a\0b" }])),
                code,
                "customInformation.0.linkedKey",
                &value("linkedKey"),
            ),
            (
                with("k3", json!([{ "fieldId": "te\0xt", "value": "a" }])),
                code,
                "customInformation.0.fieldId",
                &value("fieldId"),
            ),
            (keyed, code, "client.encodedKey", &value("encodedKey")),
            (named, code, "client.notes", &value("notes")),
        ],
    )
    .await;
}
