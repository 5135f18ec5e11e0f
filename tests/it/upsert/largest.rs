//! The largest valid client passes every default limit and is returned complete.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, store},
};

const VALUES: usize = 1_000;
const DOCUMENTS: usize = 200;

async fn thousand_fields(server: &TestServer) {
    let fields: Value = (0..VALUES)
        .map(|n| json!({ "fieldId": format!("f{n}"), "name": "F", "type": "LONG_TEXT" }))
        .collect();
    define(server, "facts", fields).await;
}

/// The longest text with which the body still fits into 1 MiB.
fn value(n: usize) -> String {
    format!("{n}-{}", "v".repeat(500))
}

fn largest() -> Value {
    let documents: Value = (0..DOCUMENTS)
        .map(|n| {
            json!({ "documentType": "Passport", "documentId": format!("{n}-{}", "d".repeat(200)),
            "issuingAuthority": "a".repeat(255), "validUntil": "2034-01-31" })
        })
        .collect();
    let values: Value = (0..VALUES)
        .map(|n| json!({ "fieldId": format!("f{n}"), "value": value(n) }))
        .collect();
    json!({ "client": { "clientId": "big", "firstName": "f".repeat(255), "lastName": "l".repeat(255),
        "notes": "n".repeat(65_535) },
        "addresses": [{ "line1": "1".repeat(255) }], "idDocuments": documents, "customInformation": values })
}

async fn is_whole(server: &TestServer) {
    let query = "{ client(by: { clientId: \"big\" }) { notes idDocuments { documentId } customInformation { value \
        field { fieldId } } } }";
    let found = data(server, query, json!({})).await["client"].take();
    assert_eq!(found["notes"], "n".repeat(65_535));
    assert_eq!(found["idDocuments"].as_array().map(Vec::len), Some(DOCUMENTS));
    let values: Value = (0..VALUES)
        .map(|n| json!({ "value": value(n), "field": { "fieldId": format!("f{n}") } }))
        .collect();
    assert_eq!(found["customInformation"], values);
}

/// JSON as a GraphQL literal, without enum values.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", literal(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        plain => plain.to_string(),
    }
}

on_both!(
    largest_client_is_accepted_as_variables,
    largest_client_is_accepted_as_literals,
    one_value_over_the_limit_is_refused,
);

async fn largest_client_is_accepted_as_variables(server: &TestServer) {
    thousand_fields(server).await;
    let input = largest();
    assert!((700_000..1024 * 1024).contains(&input.to_string().len()));
    store(server, input, "version").await;
    is_whole(server).await;
}

async fn largest_client_is_accepted_as_literals(server: &TestServer) {
    thousand_fields(server).await;
    let document = format!(
        "mutation {{ upsertClient(input: {}) {{ created userErrors {{ code path }} }} }}",
        literal(&largest())
    );
    server
        .graphql(&document, json!({}))
        .await
        .data(json!({ "upsertClient": { "created": true, "userErrors": [] } }));
    is_whole(server).await;
}

async fn one_value_over_the_limit_is_refused(server: &TestServer) {
    let values: Value = (0..=VALUES)
        .map(|n| json!({ "fieldId": format!("f{n}"), "value": "v" }))
        .collect();
    let input = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" }, "customInformation": values });
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";
    server.graphql(query, json!({ "input": input })).await.data(
        json!({ "upsertClient": { "userErrors": [{ "code": "TOO_MANY", "path": ["input", "customInformation"] }] } }),
    );
}
