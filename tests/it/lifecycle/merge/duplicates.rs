//! Duplicate checks of merges: what the merged client has brings no new duplicates, but new pairs of members do.

use clientele::{client::CheckLevel, definitions::Kind};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{create_with, named, show, two, unique, user_errors};
use crate::{
    audit::findings,
    harness::{Answer, HeldLock, TestServer, field, graphql::store_key, with},
    upsert::duplicates::{checking, checks, upsert},
};

const MERGE: &str = "mutation($input: MergeClientsInput!) { mergeClients(input: $input) { client { version }
    mergedClientKey warnings { code message path clientCount clientIds }
    userErrors { code message path clientIds } } }";

on_both!(
    new_pairs_are_refused,
    new_pairs_are_warned_of,
    values_of_the_merged_client_are_no_duplicates,
    merges_and_upserts_of_the_same_names_compete,
    copied_value_is_never_given_to_another_client,
);

on_postgres!(
    merge_waits_for_an_upsert_of_its_names,
    upsert_waits_for_a_merge_of_its_names
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

/// The code of the only problem of an answer; none if there was none.
fn code(answer: &Answer) -> Option<&str> {
    let payload = answer.body["data"].as_object().and_then(|data| data.values().next());
    let errors = payload.and_then(|payload| payload["userErrors"].as_array());
    let errors = errors.unwrap_or_else(|| panic!("{}", answer.text));
    assert!(errors.len() < 2, "{}", answer.text);
    errors.first().and_then(|error| error["code"].as_str())
}

const REFUSED: Option<&str> = Some("DUPLICATE_CLIENT");

async fn merges_and_upserts_of_the_same_names_compete(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    for round in 0..10 {
        let (first, last) = (format!("Ana{round}"), format!("Cruz{round}"));
        let [from, into, changed] = ["F", "I", "C"].map(|id| format!("{id}{round}"));
        store(server, &from, &first, &format!("Of {from}"), None).await;
        store(server, &into, "Bo", &last, None).await;
        store(server, &changed, &changed, "Bell", None).await;
        let merging = merge(&strict, with(two(&from, &into), json!({ "fields": ["FIRST_NAME"] })));
        let names = json!({ "firstName": first, "lastName": last });
        let created = upsert(&strict, json!({ "client": names }));
        let change = with(names.clone(), json!({ "clientId": changed }));
        let changed = upsert(&strict, json!({ "matchOn": "CLIENT_ID", "client": change }));
        let (merged, created, changed) = tokio::join!(merging, created, changed);
        let mut codes = [code(&merged), code(&created), code(&changed)];
        codes.sort_unstable();
        assert_eq!(codes, [None, REFUSED, REFUSED], "{}", merged.text);
    }
    assert_eq!(findings(server).await, [""; 0]);
    strict.stop().await;
}

/// Before the merge one client has the value, and after it the other one.
async fn copied_value_is_never_given_to_another_client(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    for round in 0..5 {
        let (from, into) = (format!("F{round}"), format!("I{round}"));
        let email = json!({ "emailAddress": format!("{round}@example.test") });
        create_with(
            server,
            &from,
            json!({ "client": with(named(&from, &from), email.clone()) }),
        )
        .await;
        create_with(server, &into, json!({})).await;
        let upserts = (0..6).map(|number| {
            let client = json!({ "firstName": format!("{round}-{number}"), "lastName": "Bell" });
            upsert(&strict, json!({ "client": with(client, email.clone()) }))
        });
        let merging = merge(&strict, with(two(&from, &into), json!({ "fields": ["EMAIL_ADDRESS"] })));
        let (merged, upserted) = tokio::join!(merging, join_all(upserts));
        assert_eq!(code(&merged), None, "{}", merged.text);
        assert_eq!(upserted.iter().map(code).collect::<Vec<_>>(), [REFUSED; 6]);
    }
    strict.stop().await;
}

/// Stores two clients whose merge results in Ana Cruz. A client links to the first. Returns the key of the other one.
async fn store_halves(server: &TestServer) -> String {
    server.define(vec![unique(field("friend", Kind::ClientLink))]).await;
    let from = json!({ "client": with(named("F", "Ana"), json!({ "lastName": "Bell" })) });
    let from = store_key(server, from).await;
    let into = json!({ "client": with(named("I", "Bo"), json!({ "lastName": "Cruz" })) });
    let into = store_key(server, into).await;
    let link = json!({ "customInformation": [{ "fieldId": "friend", "linkedKey": from }] });
    create_with(server, "L", link).await;
    into
}

fn halves() -> Value {
    with(two("F", "I"), json!({ "fields": ["FIRST_NAME"] }))
}

fn whole() -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } })
}

async fn merge_waits_for_an_upsert_of_its_names(server: &TestServer) {
    store_halves(server).await;
    let other = create_with(server, "O", json!({})).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    // The upsert checks its names, and waits to claim its link.
    let held = HeldLock::of_value("friendKey", &other);
    let link = json!({ "customInformation": [{ "fieldId": "friend", "linkedKey": other }] });
    let first = upsert(&strict, with(whole(), link));
    let (upserted, merged) = held.between(server, first, merge(&strict, halves())).await;
    assert_eq!((code(&upserted), code(&merged)), (None, REFUSED), "{}", upserted.text);
    assert_eq!(show(server, "I", "firstName").await, json!({ "firstName": "Bo" }));
    strict.stop().await;
}

async fn upsert_waits_for_a_merge_of_its_names(server: &TestServer) {
    let into = store_halves(server).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    // The merge checks the names, and waits to redirect the link.
    let held = HeldLock::of_value("friendKey", &into);
    let first = merge(&strict, halves());
    let (merged, upserted) = held.between(server, first, upsert(&strict, whole())).await;
    assert_eq!((code(&merged), code(&upserted)), (None, REFUSED), "{}", merged.text);
    assert_eq!(show(server, "I", "firstName").await, json!({ "firstName": "Ana" }));
    strict.stop().await;
}
