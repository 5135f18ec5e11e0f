//! Nonsense at the GraphQL door: the right code, at once, without a word of the caller's data, and nothing stored.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};
use crate::upsert::{UPSERT, create_trevor, upsert};

async fn send(server: &TestServer, body: impl Into<Vec<u8>>) -> Answer {
    let before = server.snapshot().await;
    let begun = Instant::now();
    let request = server
        .request(Method::POST, "/graphql")
        .header("content-type", "application/json");
    let answer = server.send(request.body(body.into())).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?} for {}",
        begun.elapsed(),
        answer.text
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    answer
}

#[track_caller]
fn assert_code(answer: &Answer, code: &str, what: &str) {
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"],
        json!(code),
        "{what}: {} {}",
        answer.status,
        answer.text
    );
    assert!(!answer.text.contains("secret"), "{what} is repeated in {}", answer.text);
}

fn variables(input: Value) -> String {
    json!({ "query": UPSERT, "variables": { "input": input } }).to_string()
}

on_both!(
    bodies_that_cant_be_read,
    documents_that_cant_be_run,
    nesting_bombs,
    variables_of_a_wrong_type,
    what_only_the_rules_know_comes_as_data,
    mutations_need_a_post_of_json,
);

async fn bodies_that_cant_be_read(server: &TestServer) {
    create_trevor(server).await;
    for body in [
        "{",
        "nonsense",
        "[]",
        "5",
        "null",
        "{}",
        "{\"query\":5}",
        "{\"query\":\"\"}",
        "{\"query\":\"{__typename}\",\"variables\":[]}",
    ] {
        let answer = send(server, body).await;
        assert_code(&answer, "BAD_REQUEST", body);
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_code(
        &send(server, b"{\"query\":\"{\xff}\"}".to_vec()).await,
        "BAD_REQUEST",
        "not UTF-8",
    );
    let large = json!({ "query": "{__typename}", "x": "x".repeat(1024 * 1024) }).to_string();
    assert_eq!(send(server, large).await.status, 413);
}

async fn documents_that_cant_be_run(server: &TestServer) {
    create_trevor(server).await;
    for (query, code) in [
        ("{ secret", "GRAPHQL_PARSE_FAILED"),
        (
            "mutation { upsertClient(input: {client: {firstName: \"secret}}) }",
            "GRAPHQL_PARSE_FAILED",
        ),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "mutation { upsertClient(input: {client: {nonsense: 1}}) { created } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation { upsertClient(input: {client: {firstName: 5}}) { created } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation { upsertClient(input: {client: {gender: OTHER}}) { created } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation { upsertClient(input: {client: {firstName: \"a\", firstName: \"b\"}}) { created } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation { upsertClient(input: {}) { created } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        assert_code(&send(server, json!({ "query": query }).to_string()).await, code, query);
    }
}

async fn nesting_bombs(server: &TestServer) {
    for query in [
        "{".repeat(20_000),
        format!("{{ clients{} }}", "{nodes".repeat(5_000)),
        format!("mutation {{ upsertClient(input: {}) }}", "[".repeat(10_000)),
        format!("{{ client(by: {}) {{ firstName }} }}", "{id:".repeat(10_000)),
    ] {
        let answer = send(server, json!({ "query": query }).to_string()).await;
        assert_code(&answer, "QUERY_TOO_COMPLEX", "bomb");
        assert_eq!(answer.body["data"], Value::Null);
    }
    let bomb = format!(
        "{{\"query\":\"{{__typename}}\",\"variables\":{}",
        "{\"a\":".repeat(100_000)
    );
    assert_code(&send(server, bomb).await, "BAD_REQUEST", "bomb");
}

async fn variables_of_a_wrong_type(server: &TestServer) {
    create_trevor(server).await;
    for input in [
        json!(null),
        json!(5),
        json!([]),
        json!({}),
        json!({ "client": null }),
        json!({ "client": 5 }),
        json!({ "client": { "firstName": 5 } }),
        json!({ "client": { "gender": "OTHER" } }),
        json!({ "client": { "preferredLanguage": "KLINGON" } }),
        json!({ "client": { "birthDate": "1990-02-30" } }),
        json!({ "client": { "birthDate": 5 } }),
        json!({ "client": { "nonsense": "secret" } }),
        json!({ "client": { "clientRole": {} } }),
        json!({ "client": { "clientRole": { "roleId": "a", "encodedKey": "b" } } }),
        json!({ "client": {}, "addresses": [{ "latitude": "north" }] }),
        json!({ "client": {}, "idDocuments": [null] }),
        json!({ "client": {}, "customInformation": [{ "value": "x" }] }),
        json!({ "client": {}, "customInformation": [{ "fieldId": null }] }),
        json!({ "client": {}, "customInformation": [{ "fieldId": "x", "groupIndex": 2147483648u32 }] }),
        json!({ "client": {}, "matchOn": "NOBODY" }),
        json!({ "client": {}, "expectedVersion": 1.5 }),
        json!({ "client": {}, "expectedVersion": "1" }),
    ] {
        let answer = send(server, variables(input.clone())).await;
        assert_code(&answer, "BAD_USER_INPUT", &input.to_string());
    }
}

async fn what_only_the_rules_know_comes_as_data(server: &TestServer) {
    create_trevor(server).await;
    for (client, code, name) in [
        (json!({ "notes": "a\0b" }), "INVALID_CHARACTER", "notes"),
        (json!({ "notes": "x".repeat(65_536) }), "TOO_LONG", "notes"),
        (json!({ "firstName": "é".repeat(256) }), "TOO_LONG", "firstName"),
        (json!({ "lastName": null }), "BLANK", "lastName"),
        (
            json!({ "emailAddress": "nobody" }),
            "NOT_AN_EMAIL_ADDRESS",
            "emailAddress",
        ),
        (json!({ "clientId": "other" }), "NOT_EDITABLE", "clientId"),
    ] {
        let mut client = client;
        client["encodedKey"] = json!("<key 1>");
        let before = server.snapshot().await;
        let answer = upsert(server, json!({ "client": client })).await;
        let errors = &answer.body["data"]["upsertClient"]["userErrors"];
        assert_eq!(
            (&errors[0]["code"], &errors[0]["path"]),
            (&json!(code), &json!(["input", "client", name])),
            "{}",
            answer.text
        );
        assert_eq!(server.snapshot().await, before);
    }
}

async fn mutations_need_a_post_of_json(server: &TestServer) {
    create_trevor(server).await;
    let before = server.snapshot().await;
    let document = "mutation{upsertClient(input:{client:{firstName:\"a\",lastName:\"b\"}}){created}}";
    let encoded = document.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    let answer = server.get(&format!("/graphql?query={encoded}")).await;
    assert_eq!(answer.status, 405, "{}", answer.text);
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let request = server
            .request(Method::POST, "/graphql")
            .header("content-type", content_type);
        let answer = server
            .send(request.body(json!({ "query": document }).to_string()))
            .await;
        assert_eq!(answer.status, 415, "{content_type} {}", answer.text);
    }
    assert_eq!(server.snapshot().await, before);
}
