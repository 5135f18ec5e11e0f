//! Unique fields: no two clients have the same value.

use clientele::{
    caller::{Permission, Rights},
    custom_field::CustomFieldInput,
    definitions::Kind,
};
use serde_json::{Value, json};

use crate::harness::{
    TestServer, field,
    graphql::{data, refuse, store, store_key},
};

const SET: (&str, &str) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    value_of_another_client_is_926,
    equal_numbers_are_one_value,
    removed_and_replaced_values_are_released,
    failed_change_keeps_its_claims,
    field_with_equal_values_cannot_become_unique,
    field_becomes_unique_with_its_stored_values,
    only_short_types_can_be_unique,
);

fn unique(id: &str, kind: Kind) -> CustomFieldInput {
    CustomFieldInput {
        unique: Some(true),
        ..field(id, kind)
    }
}

fn ana(values: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": values })
}

fn claims(snapshot: &crate::harness::Snapshot) -> usize {
    snapshot.rows("custom_field_claim").len()
}

async fn value_of_another_client_is_926(server: &TestServer) {
    let fields = vec![
        unique("passport", Kind::Text),
        unique("user", Kind::UserLink),
        field("nick", Kind::Text),
    ];
    server.define(fields).await;
    let values = json!([{ "fieldId": "passport", "value": "X1" }, { "fieldId": "user", "linkedKey": "u1" }]);
    let first = store_key(server, ana(values.clone())).await;
    let values_of_second = json!([{ "fieldId": "passport", "value": "x1" }, { "fieldId": "user", "linkedKey": "u2" }]);
    let second = store_key(server, ana(values_of_second)).await;
    let body = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" },
        "customInformation": [{ "customFieldID": "nick", "value": "n" },
            { "customFieldID": "passport", "value": "X1" }] });
    let source = "customInformation[1].value: Another client has this value of the field passport, which must be \
        unique.";
    let answer = json!({ "returnCode": 926, "returnStatus": "DUPLICATE_UNIQUE_VALUE", "errorSource": source });
    server.refuses("/api/clients", body, 400, answer).await;
    refuse(
        server,
        CLIENT,
        ana(json!([{ "fieldId": "passport", "value": "X1" }])),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
    let input =
        json!({ "client": { "encodedKey": second }, "customInformation": [{ "fieldId": "user", "linkedKey": "u1" }] });
    refuse(server, CLIENT, input, "TAKEN", &["customInformation", "0", "linkedKey"]).await;
    // Its own values can be sent back.
    let input = json!({ "client": { "encodedKey": first, "firstName": "Eva" }, "customInformation": values });
    store(server, input, "version").await;
    assert_eq!(claims(&server.snapshot().await), 4);
}

async fn equal_numbers_are_one_value(server: &TestServer) {
    server.define(vec![unique("tax", Kind::Number)]).await;
    for same in [
        ["1", "1.0", "01", "1.", "001.000"],
        ["0.5", ".5", "0.50", "00.5", ".500"],
        ["0", "-0", ".0", "-.0", "000"],
        ["-7", "-07", "-7.0", "-7.", "-0007.00"],
        ["100", "0100", "100.0", "100.", "00100"],
    ] {
        store(server, ana(json!([{ "fieldId": "tax", "value": same[0] }])), "version").await;
        for again in same {
            let input = ana(json!([{ "fieldId": "tax", "value": again }]));
            refuse(server, CLIENT, input, "TAKEN", &["customInformation", "0", "value"]).await;
        }
    }
    // The database compares stored values in the same way.
    let set = |is_unique| CustomFieldInput {
        unique: Some(is_unique),
        ..field("tax", Kind::Number)
    };
    for other in ["10", "-10", "0.05", "1.01", "-.5", "7"] {
        store(server, ana(json!([{ "fieldId": "tax", "value": other }])), "version").await;
    }
    let stored = server.snapshot().await;
    server.define(vec![set(false)]).await;
    assert_eq!(claims(&server.snapshot().await), 0);
    server.define(vec![set(true)]).await;
    let [before, after] = [stored, server.snapshot().await].map(|rows| {
        let rows = rows.rows("custom_field_claim").into_iter();
        rows.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!((after.len(), &after), (11, &before));
    server.define(vec![set(false)]).await;
    for value in ["1.0", "-0", "00.5", "-7.0"] {
        let key = store_key(server, ana(json!([{ "fieldId": "tax", "value": value }]))).await;
        let problems = server.try_define(vec![set(true)]).await.expect_err("a value twice");
        let count = problems[0].clients.as_ref().map(|clients| clients.count);
        assert_eq!(count, Some(2), "{value}");
        store(
            server,
            json!({ "client": { "encodedKey": key }, "customInformation": [] }),
            "version",
        )
        .await;
    }
    server.define(vec![set(true)]).await;
}

async fn removed_and_replaced_values_are_released(server: &TestServer) {
    server
        .define(vec![unique("passport", Kind::Text), field("nick", Kind::Text)])
        .await;
    let with = |value: &str| json!([{ "fieldId": "passport", "value": value }]);
    let first = store_key(server, ana(with("X1"))).await;
    let change = |values: Value| json!({ "client": { "encodedKey": first }, "customInformation": values });
    store(server, change(with("X2")), "version").await;
    let second = store_key(server, ana(with("X1"))).await;
    refuse(
        server,
        CLIENT,
        change(with("X1")),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
    store(server, change(json!([{ "fieldId": "nick", "value": "n" }])), "version").await;
    store(server, ana(with("X2")), "version").await;
    store(
        server,
        json!({ "client": { "encodedKey": second }, "customInformation": [] }),
        "version",
    )
    .await;
    store(server, change(with("X1")), "version").await;
    // A change without the list keeps the claim.
    store(
        server,
        json!({ "client": { "encodedKey": first, "notes": "n" } }),
        "version",
    )
    .await;
    refuse(
        server,
        CLIENT,
        ana(with("X1")),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
    assert_eq!(claims(&server.snapshot().await), 2);
}

async fn failed_change_keeps_its_claims(server: &TestServer) {
    server
        .define(vec![unique("a", Kind::Text), unique("b", Kind::Text)])
        .await;
    let values = |a: &str, b: &str| json!([{ "fieldId": "a", "value": a }, { "fieldId": "b", "value": b }]);
    let first = store_key(server, ana(values("1", "1"))).await;
    store(server, ana(values("2", "2")), "version").await;
    let change = |values: Value| json!({ "client": { "encodedKey": first }, "customInformation": values });
    // The first value could be stored: nothing is, and both problems are reported.
    refuse(
        server,
        CLIENT,
        change(values("3", "2")),
        "TAKEN",
        &["customInformation", "1", "value"],
    )
    .await;
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";
    let in_order = values("2", "2");
    let reversed = json!([in_order[1], in_order[0]]);
    for values in [in_order, reversed] {
        let answer = server.graphql(query, json!({ "input": change(values) })).await;
        answer.data(json!({ "upsertClient": { "userErrors": [
            { "code": "TAKEN", "path": ["input", "customInformation", "0", "value"] },
            { "code": "TAKEN", "path": ["input", "customInformation", "1", "value"] }] } }));
    }
    refuse(
        server,
        CLIENT,
        ana(values("1", "3")),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
}

async fn field_with_equal_values_cannot_become_unique(server: &TestServer) {
    server.define(vec![field("tax", Kind::Number)]).await;
    let mut ids = Vec::new();
    for value in ["5", "1", "1.0", "6", "01", "7", "7"] {
        let client = store(server, ana(json!([{ "fieldId": "tax", "value": value }])), "clientId").await;
        ids.push(client["clientId"].clone());
    }
    let before = server.snapshot().await;
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code path message clientCount clientIds } } }";
    let fields = json!([{ "fieldId": "tax", "unique": true }]);
    let input = json!({ "input": { "set": { "setId": "facts" }, "fields": fields } });
    let found = data(server, query, input.clone()).await;
    let mut problem = json!({ "code": "TAKEN", "path": ["input", "fields", "0", "unique"],
        "message": "5 clients have a value that another client has, too: change the values first.",
        "clientCount": 5, "clientIds": [ids[1], ids[2], ids[4]] });
    assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [problem] } }));
    let rights = Rights::of([Permission::ManageCustomFields]);
    let found = data(&server.as_caller(&rights), query, input).await;
    problem["clientIds"] = json!([]);
    assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [problem] } }));
    assert_eq!(server.snapshot().await, before);
}

async fn field_becomes_unique_with_its_stored_values(server: &TestServer) {
    server.define(vec![field("passport", Kind::Text)]).await;
    let with = |value: &str| ana(json!([{ "fieldId": "passport", "value": value }]));
    store(server, with("X1"), "version").await;
    server.define(vec![unique("passport", Kind::Text)]).await;
    refuse(
        server,
        CLIENT,
        with("X1"),
        "TAKEN",
        &["customInformation", "0", "value"],
    )
    .await;
    let read = data(
        server,
        "{ customField(by: { fieldId: \"passport\" }) { unique } }",
        json!({}),
    )
    .await;
    assert_eq!(read, json!({ "customField": { "unique": true } }));
    server
        .define(vec![CustomFieldInput {
            unique: Some(false),
            ..field("passport", Kind::Text)
        }])
        .await;
    store(server, with("X1"), "version").await;
    assert_eq!(claims(&server.snapshot().await), 0);
}

async fn only_short_types_can_be_unique(server: &TestServer) {
    for (kind, is_possible) in [
        ("TEXT", true),
        ("LONG_TEXT", false),
        ("SELECTION", false),
        ("NUMBER", true),
        ("CHECKBOX", false),
        ("DATE", true),
        ("CLIENT_LINK", true),
        ("USER_LINK", true),
        ("GROUP_LINK", true),
    ] {
        let options = if kind == "SELECTION" {
            json!([{ "value": "a" }])
        } else {
            json!([])
        };
        let field = json!({ "fieldId": kind, "name": "F", "type": kind, "unique": true, "options": options });
        let input = json!({ "set": { "setId": kind, "name": "S" }, "fields": [field] });
        if is_possible {
            let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { \
                userErrors { code } } }";
            let found = data(server, query, json!({ "input": input })).await;
            assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [] } }), "{kind}");
        } else {
            refuse(server, SET, input, "INVALID", &["fields", "0", "unique"]).await;
        }
    }
}
