//! Defining custom fields: lists that replace, and values of clients that are never lost on the way.

use clientele::custom_field::{CustomFieldInput, FieldState, Kind};
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, field, options};
use crate::upsert::{create_trevor, payload, upsert};

async fn define(server: &TestServer, set: &str, fields: Value) -> Answer {
    let mutation = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) {
        userErrors { code path } customFieldSet { encodedKey setId name usage fields {
            encodedKey fieldId name type state required pattern maxLength options { value } } } } }";
    let input =
        json!({ "set": { "setId": set, "name": "Facts", "encodedKey": format!("{set}Key") }, "fields": fields });
    server.graphql(mutation, json!({ "input": input })).await
}

/// Asserts the codes and places of the problems, and that nothing was written.
async fn refused(server: &TestServer, set: &str, fields: Value, problems: &[(&str, &str)]) {
    let before = server.snapshot().await;
    let tell = |(code, path): &(&str, &str)| {
        let path: Vec<&str> = ["input"].into_iter().chain(path.split('.')).collect();
        json!({ "code": code, "path": path })
    };
    let told: Vec<Value> = problems.iter().map(tell).collect();
    define(server, set, fields)
        .await
        .data(json!({ "upsertCustomFieldSet": { "userErrors": told, "customFieldSet": null } }));
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

on_both!(
    a_set_takes_keys_of_the_callers_choice,
    definitions_that_make_no_sense_are_refused,
    a_field_with_values_is_deactivated_and_one_without_deleted,
    the_type_of_a_field_changes_only_while_nobody_has_a_value,
    another_server_judges_by_the_new_definitions_at_once,
    options_are_replaced_and_keep_their_keys,
);

async fn a_set_takes_keys_of_the_callers_choice(server: &TestServer) {
    let fields = json!([
        { "fieldId": "shoe", "encodedKey": "8a80", "name": "Shoe", "type": "TEXT", "maxLength": 5, "pattern": "###" },
        { "fieldId": "band", "encodedKey": "8a81", "name": "Band", "type": "SELECTION", "required": true,
          "options": [{ "value": "LOW" }, { "value": "HIGH" }] },
    ]);
    let stored = json!({ "upsertCustomFieldSet": { "userErrors": [], "customFieldSet": {
        "encodedKey": "factsKey", "setId": "facts", "name": "Facts", "usage": "SINGLE", "fields": [
            { "encodedKey": "8a80", "fieldId": "shoe", "name": "Shoe", "type": "TEXT", "state": "ACTIVE",
              "required": false, "pattern": "###", "maxLength": 5, "options": [] },
            { "encodedKey": "8a81", "fieldId": "band", "name": "Band", "type": "SELECTION", "state": "ACTIVE",
              "required": true, "pattern": null, "maxLength": null, "options": [{ "value": "LOW" }, { "value": "HIGH" }] },
        ] } } });
    define(server, "facts", fields.clone()).await.data(stored.clone());
    let before = server.snapshot().await;
    define(server, "facts", fields).await.data(stored);
    assert_eq!(server.snapshot().await, before, "nothing changed, nothing is written");
    // Once it exists, a key stays; and no other definition may have it.
    let other = json!([{ "fieldId": "shoe", "encodedKey": "8a99" }, { "fieldId": "hat", "encodedKey": "8a80", "name": "Hat", "type": "TEXT" }]);
    refused(
        server,
        "facts",
        other,
        &[("INVALID", "fields.0.encodedKey"), ("TAKEN", "fields.1.encodedKey")],
    )
    .await;
    let wrong = json!([{ "fieldId": "hat", "encodedKey": "no key", "name": "Hat", "type": "TEXT" }]);
    refused(server, "facts", wrong, &[("MALFORMED", "fields.0.encodedKey")]).await;
    let elsewhere = json!([{ "fieldId": "shoe", "name": "Shoe", "type": "TEXT" }]);
    refused(server, "other", elsewhere, &[("TAKEN", "fields.0.fieldId")]).await;
}

async fn definitions_that_make_no_sense_are_refused(server: &TestServer) {
    let field = |own: Value| {
        let mut field = json!({ "fieldId": "shoe", "name": "Shoe", "type": "TEXT" });
        field
            .as_object_mut()
            .expect("an object")
            .extend(own.as_object().cloned().unwrap_or_default());
        json!([field])
    };
    for (own, code, place) in [
        (json!({ "fieldId": " " }), "BLANK", "fieldId"),
        (json!({ "fieldId": "x".repeat(33) }), "TOO_LONG", "fieldId"),
        (json!({ "fieldId": "a\nb" }), "INVALID_CHARACTER", "fieldId"),
        (json!({ "name": null }), "BLANK", "name"),
        (json!({ "type": null }), "BLANK", "type"),
        (json!({ "maxLength": 0 }), "INVALID", "maxLength"),
        (json!({ "maxLength": 256 }), "INVALID", "maxLength"),
        (json!({ "type": "NUMBER", "maxLength": 3 }), "INVALID", "maxLength"),
        (json!({ "type": "DATE", "pattern": "#" }), "INVALID", "pattern"),
        (json!({ "type": "SELECTION" }), "BLANK", "options"),
        (json!({ "type": "SELECTION", "options": [] }), "BLANK", "options"),
        (json!({ "options": [{ "value": "x" }] }), "INVALID", "options"),
        (
            json!({ "type": "SELECTION", "options": [{ "value": "x" }, { "value": "x" }] }),
            "DUPLICATE",
            "options",
        ),
        (json!({ "type": "SELECTION", "options": null }), "NULL_LIST", "options"),
    ] {
        refused(server, "facts", field(own), &[(code, &format!("fields.0.{place}"))]).await;
    }
    let twice =
        json!([{ "fieldId": "a", "name": "A", "type": "TEXT" }, { "fieldId": "a", "name": "A", "type": "TEXT" }]);
    refused(server, "facts", twice, &[("DUPLICATE", "fields.1.fieldId")]).await;
}

async fn a_field_with_values_is_deactivated_and_one_without_deleted(server: &TestServer) {
    create_trevor(server).await;
    server
        .define(vec![field("shoe", Kind::Text), field("hat", Kind::Text)])
        .await;
    let input =
        json!({ "client": { "encodedKey": "<key 1>" }, "customInformation": [{ "fieldId": "shoe", "value": "left" }] });
    let value =
        json!({ "customInformation": [{ "value": "left", "linkedKey": null, "field": { "fieldId": "shoe" } }] });
    upsert(server, input.clone())
        .await
        .data(payload(false, 2, value.clone()));
    server.define(vec![]).await;
    let query = "{ customFieldSets { fields { fieldId state } } }";
    let left = json!({ "customFieldSets": [{ "fields": [{ "fieldId": "shoe", "state": "DEACTIVATED" }] }] });
    server.graphql(query, json!({})).await.data(left);
    // What is stored stays, and may be said again.
    upsert(server, input).await.data(payload(false, 2, value));
    let rows = server.snapshot().await;
    assert_eq!(
        (rows.rows("custom_field").len(), rows.rows("custom_field_value").len()),
        (1, 1)
    );
    // Nobody's value any more: it goes.
    let none = json!({ "client": { "encodedKey": "<key 1>" }, "customInformation": [] });
    upsert(server, none).await.data(payload(false, 3, json!({})));
    server.define(vec![]).await;
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customFieldSets": [{ "fields": [] }] }));
}

async fn the_type_of_a_field_changes_only_while_nobody_has_a_value(server: &TestServer) {
    create_trevor(server).await;
    server.define(vec![field("shoe", Kind::Text)]).await;
    server.define(vec![field("shoe", Kind::Number)]).await;
    let input =
        json!({ "client": { "encodedKey": "<key 1>" }, "customInformation": [{ "fieldId": "shoe", "value": "1" }] });
    let value = json!({ "customInformation": [{ "value": "1", "linkedKey": null, "field": { "fieldId": "shoe" } }] });
    upsert(server, input).await.data(payload(false, 2, value));
    refused(
        server,
        "facts",
        json!([{ "fieldId": "shoe", "type": "TEXT" }]),
        &[("NOT_EDITABLE", "fields.0.type")],
    )
    .await;
    server.define(vec![field("shoe", Kind::Number)]).await;
}

async fn another_server_judges_by_the_new_definitions_at_once(server: &TestServer) {
    create_trevor(server).await;
    server.define(vec![field("shoe", Kind::Text)]).await;
    let other = server.another(Default::default()).await;
    let input = |value: &str| json!({ "client": { "encodedKey": "<key 1>" }, "customInformation": [{ "fieldId": "shoe", "value": value }] });
    let value = |value: &str| json!({ "customInformation": [{ "value": value, "linkedKey": null, "field": { "fieldId": "shoe" } }] });
    upsert(&other, input("a")).await.data(payload(false, 2, value("a")));
    server
        .define(vec![CustomFieldInput {
            state: Some(FieldState::Deactivated),
            ..field("shoe", Kind::Text)
        }])
        .await;
    let answer = upsert(&other, input("b")).await;
    assert_eq!(
        answer.body["data"]["upsertClient"]["userErrors"][0]["code"],
        json!("DEACTIVATED"),
        "{}",
        answer.text
    );
    server
        .define(vec![CustomFieldInput {
            state: Some(FieldState::Active),
            ..field("shoe", Kind::Text)
        }])
        .await;
    upsert(&other, input("b")).await.data(payload(false, 3, value("b")));
    other.stop().await;
}

async fn options_are_replaced_and_keep_their_keys(server: &TestServer) {
    let band = |values: &[&str]| CustomFieldInput {
        options: options(values),
        ..field("band", Kind::Selection)
    };
    server.define(vec![band(&["LOW", "HIGH"])]).await;
    let query = "{ customField(by: { fieldId: \"band\" }) { options { encodedKey value } } }";
    let first = server.graphql(query, json!({})).await;
    let keys = ["<key 1>", "<key 2>"];
    first.data(json!({ "customField": { "options": [
        { "encodedKey": keys[0], "value": "LOW" }, { "encodedKey": keys[1], "value": "HIGH" } ] } }));
    server.define(vec![band(&["HIGH", "TOP", "LOW"])]).await;
    server.graphql(query, json!({})).await.data(json!({ "customField": { "options": [
        { "encodedKey": keys[1], "value": "HIGH" }, { "encodedKey": "<key 3>", "value": "TOP" }, { "encodedKey": keys[0], "value": "LOW" } ] } }));
    server.define(vec![band(&["TOP"])]).await;
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customField": { "options": [{ "encodedKey": "<key 3>", "value": "TOP" }] } }));
}
