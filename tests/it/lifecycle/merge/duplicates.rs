//! Duplicate checks of merges: what the merged client has brings no new duplicates, but new pairs of members do.

use clientele::client::CheckLevel;
use serde_json::{Value, json};

use super::{create_with, named, show, two, user_errors};
use crate::{
    harness::{Answer, TestServer, graphql::store_key, with},
    upsert::duplicates::{checking, checks},
};

const MERGE: &str = "mutation($input: MergeClientsInput!) { mergeClients(input: $input) { client { version }
    mergedClientKey warnings { code message path clientCount clientIds }
    userErrors { code message path clientIds } } }";

on_both!(
    new_pairs_are_refused,
    new_pairs_are_warned_of,
    values_of_the_merged_client_are_no_duplicates,
);

async fn merge(server: &TestServer, input: Value) -> Answer {
    server.graphql(MERGE, json!({ "input": input })).await
}

async fn store(server: &TestServer, id: &str, first: &str, last: &str, born: Option<&str>) {
    let client = json!({ "clientId": id, "firstName": first, "lastName": last, "birthDate": born });
    store_key(server, json!({ "client": client })).await;
}

async fn new_pairs_are_refused(server: &TestServer) {
    for (id, first, last, born) in [
        ("X", "Ana", "Cruz", Some("1990-04-17")),
        ("F1", "Ana", "Bell", None),
        ("I1", "Bo", "Cruz", None),
        ("F2", "Zoe", "Cruz", None),
        ("I2", "Ana", "Bell", None),
        ("I3", "Kai", "Bell", Some("1990-04-17")),
    ] {
        store(server, id, first, last, born).await;
    }
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let before = server.snapshot().await;
    let (names, birth) = (
        "Another client has this first and last name: X.",
        "Another client has this last name and date of birth: X.",
    );
    // The path is the field that the check names, if it is copied.
    for (from, into, fields, message, path) in [
        ("F1", "I1", &["FIRST_NAME"][..], names, json!(["input", "fields"])),
        (
            "F2",
            "I2",
            &["GENDER", "LAST_NAME"],
            names,
            json!(["input", "fields", "1"]),
        ),
        ("F2", "I3", &["LAST_NAME"], birth, json!(["input", "fields"])),
    ] {
        let problem = json!([{ "code": "DUPLICATE_CLIENT", "message": message, "path": path, "clientIds": ["X"] }]);
        for validate_only in [true, false] {
            let others = json!({ "fields": fields, "validateOnly": validate_only });
            let answer = merge(&strict, with(two(from, into), others)).await;
            assert_eq!(*user_errors(&answer, "mergeClients"), problem);
        }
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    strict.stop().await;
}

async fn new_pairs_are_warned_of(server: &TestServer) {
    store(server, "X", "Ana", "Cruz", Some("1990-04-17")).await;
    store(server, "F", "Bo", "Bell", Some("1990-04-17")).await;
    store(server, "I", "Eva", "Cruz", None).await;
    let mild = checking(server, checks(CheckLevel::Warning)).await;
    let message = "Another client has this last name and date of birth: X.";
    let warnings = json!([{ "code": "DUPLICATE_CLIENT", "message": message, "path": ["input", "fields", "0"],
        "clientCount": 1, "clientIds": ["X"] }]);
    let input = with(
        two("F", "I"),
        json!({ "fields": ["BIRTH_DATE"], "idempotencyKey": "k" }),
    );
    let before = server.snapshot().await;
    let checked = merge(&mild, with(input.clone(), json!({ "validateOnly": true }))).await;
    checked.data(
        json!({ "mergeClients": { "client": null, "mergedClientKey": null, "warnings": warnings,
        "userErrors": [] } }),
    );
    assert_eq!(server.snapshot().await, before);
    // A repetition isn't checked again.
    for warnings in [warnings, json!([])] {
        let answer = merge(&mild, input.clone()).await;
        answer.data(
            json!({ "mergeClients": { "client": { "version": 2 }, "mergedClientKey": "<key 2>",
            "warnings": warnings, "userErrors": [] } }),
        );
    }
    assert_eq!(
        show(server, "I", "birthDate").await,
        json!({ "birthDate": "1990-04-17" })
    );
    mild.stop().await;
}

async fn values_of_the_merged_client_are_no_duplicates(server: &TestServer) {
    let members = json!({ "lastName": "Cruz", "birthDate": "1990-04-17", "emailAddress": "a@example.test",
        "homePhone": "123" });
    let documents = json!({ "idDocuments": [{ "documentType": "P", "documentId": "1" }] });
    for id in ["X", "F"] {
        let client = with(named(id, "Ana"), members.clone());
        store_key(server, with(json!({ "client": client }), documents.clone())).await;
    }
    create_with(server, "I", json!({})).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let fields = json!(["FIRST_NAME", "LAST_NAME", "BIRTH_DATE", "EMAIL_ADDRESS", "HOME_PHONE"]);
    let input = with(two("F", "I"), json!({ "fields": fields, "idDocuments": "ADD" }));
    let answer = merge(&strict, input).await;
    answer.data(
        json!({ "mergeClients": { "client": { "version": 2 }, "mergedClientKey": "<key 2>", "warnings": [],
        "userErrors": [] } }),
    );
    strict.stop().await;
}
