//! Values of grouped sets: any number of groups, numbered from 0.

use clientele::{
    caller::{Rights, Sets},
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
    groups_are_stored_and_read_through_both_apis,
    values_are_matched_by_field_and_group,
    missing_group_index_is_913,
    gap_between_groups_is_914,
    field_twice_in_a_group_is_918,
    required_field_is_demanded_of_each_group,
    usage_of_a_set_is_fixed,
    value_of_a_unique_field_is_unique_in_all_groups,
    group_that_the_caller_may_only_view_can_be_sent_back,
    stored_values_can_move_when_a_group_is_removed,
);

/// The grouped set `cards` with the fields `number` and `name`, and the set `facts` with `nick`.
async fn define(server: &TestServer, number: Value) {
    let mut fields = json!([{ "fieldId": "number", "name": "Number", "type": "TEXT" },
        { "fieldId": "name", "name": "Name", "type": "TEXT" }]);
    for (member, value) in number.as_object().into_iter().flatten() {
        fields[0][member] = value.clone();
    }
    let input = json!({ "set": { "setId": "cards", "name": "Cards", "usage": "GROUPED" }, "fields": fields });
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code path } customFieldSet { usage } } }";
    let found = data(server, query, json!({ "input": input })).await;
    let set = json!({ "usage": "GROUPED" });
    assert_eq!(
        found,
        json!({ "upsertCustomFieldSet": { "userErrors": [], "customFieldSet": set } })
    );
    server.define(vec![field("nick", Kind::Text)]).await;
}

fn ana(values: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": values })
}

fn number(group: i32, value: &str) -> Value {
    json!({ "fieldId": "number", "groupIndex": group, "value": value })
}

const VALUES: &str = "encodedKey customInformation { encodedKey groupIndex value field { fieldId } }";

async fn groups_are_stored_and_read_through_both_apis(server: &TestServer) {
    define(server, json!({})).await;
    let body = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": [
        { "customFieldID": "number", "customFieldSetGroupIndex": "1", "value": "n1" },
        { "customFieldID": "nick", "value": "Al" },
        { "customFieldID": "name", "customFieldSetGroupIndex": 0, "value": "a0" },
        { "customFieldID": "number", "customFieldSetGroupIndex": 0, "value": "n0" }] });
    let answer = server.post("/api/clients", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown = |body: &Value| {
        let values = body["customInformation"].as_array().cloned().unwrap_or_default();
        let value = |value: Value| {
            json!([
                value["customFieldID"],
                value["customFieldSetGroupIndex"],
                value["value"],
                value["indexInList"]
            ])
        };
        values.into_iter().map(value).collect::<Value>()
    };
    let expected = json!([
        ["number", 1, "n1", 0],
        ["nick", -1, "Al", 1],
        ["name", 0, "a0", 2],
        ["number", 0, "n0", 3]
    ]);
    assert_eq!(shown(&answer.body), expected);
    let read = server.get("/api/clients/<key 1>?fullDetails=true").await;
    assert_eq!(shown(&read.body), expected);
    let query = "{ clients { nodes { customInformation { groupIndex value } } } }";
    let values = json!([{ "groupIndex": 1, "value": "n1" }, { "groupIndex": null, "value": "Al" },
        { "groupIndex": 0, "value": "a0" }, { "groupIndex": 0, "value": "n0" }]);
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "clients": { "nodes": [{ "customInformation": values }] } }));
    // A filter finds a value in any group.
    let query = "query($value: String!) { clients(filter: { customField: { fieldId: \"number\", value: $value } }) { \
        totalCount nodes { firstName } } }";
    for (value, count) in [("n0", 1), ("n1", 1), ("n2", 0)] {
        let found = data(server, query, json!({ "value": value })).await;
        assert_eq!(found["clients"]["totalCount"], count, "{value}");
    }
    // The answer can be sent back: nothing changes.
    let before = server.snapshot().await;
    let again = json!({ "customInformation": read.body["customInformation"] });
    assert_eq!(server.post("/api/clients/<key 1>", again).await.status, 200);
    assert_eq!(server.snapshot().await, before);
}

async fn values_are_matched_by_field_and_group(server: &TestServer) {
    define(server, json!({})).await;
    let ana = store(
        server,
        ana(json!([number(0, "a"), number(1, "b"), number(2, "c")])),
        VALUES,
    )
    .await;
    let keys: Vec<Value> = (0..3)
        .map(|at| ana["customInformation"][at]["encodedKey"].clone())
        .collect();
    let change = |values: Value| json!({ "client": { "encodedKey": ana["encodedKey"] }, "customInformation": values });
    let kept = json!({ "fieldId": "number", "groupIndex": 0 });
    let values = json!([number(1, "B"), { "fieldId": "name", "groupIndex": 1, "value": "x" }, kept]);
    let changed = store(server, change(values), VALUES).await;
    let value = |key: &Value, group: i32, value: &str, id: &str| {
        let field = json!({ "fieldId": id });
        json!({ "encodedKey": key, "groupIndex": group, "value": value, "field": field })
    };
    let name = &changed["customInformation"][1]["encodedKey"];
    assert!(!keys.contains(name));
    let expected = json!([
        value(&keys[1], 1, "B", "number"),
        value(name, 1, "x", "name"),
        value(&keys[0], 0, "a", "number")
    ]);
    assert_eq!(changed["customInformation"], expected);
    let emptied = store(server, change(json!([])), VALUES).await;
    assert_eq!(emptied["customInformation"], json!([]));
}

async fn missing_group_index_is_913(server: &TestServer) {
    define(server, json!({})).await;
    let place = ["customInformation", "0", "groupIndex"];
    for value in [
        json!({ "fieldId": "number", "value": "x" }),
        json!({ "fieldId": "number", "value": "x", "groupIndex": null }),
        json!({ "fieldId": "number", "value": "x", "groupIndex": -1 }),
        json!({ "fieldId": "nick", "value": "x", "groupIndex": 0 }),
    ] {
        refuse(server, CLIENT, ana(json!([value])), "GROUP_INDEX", &place).await;
    }
    for index in [json!(null), json!(-1), json!("-1")] {
        let value = json!({ "customFieldID": "number", "value": "x", "customFieldSetGroupIndex": index });
        let body = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": [value] });
        let source = "customInformation[0].customFieldSetGroupIndex: The set of number is grouped: send \
            customFieldSetGroupIndex.";
        let answer = json!({ "returnCode": 913, "returnStatus": "INCONSISTENT_VALUE_WITH_SET_TYPE",
            "errorSource": source });
        server.refuses("/api/clients", body, 400, answer).await;
    }
}

async fn gap_between_groups_is_914(server: &TestServer) {
    define(server, json!({})).await;
    for (groups, at) in [
        (vec![1], 0),
        (vec![0, 2], 1),
        (vec![3, 0, 1], 0),
        (vec![2, 4, 0], 0),
        (vec![-2], 0),
        (vec![0, -2], 1),
        (vec![0, i32::MAX], 1),
        (vec![i32::MIN], 0),
    ] {
        let values: Vec<Value> = groups.iter().map(|group| number(*group, "x")).collect();
        let place = ["customInformation", &at.to_string(), "groupIndex"].map(str::to_owned);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        refuse(server, CLIENT, ana(json!(values)), "GROUP_GAP", &place).await;
    }
    let value = |index: i32| json!({ "customFieldID": "number", "value": "x", "customFieldSetGroupIndex": index });
    let body =
        json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": [value(0), value(2)] });
    let source = "customInformation[1].customFieldSetGroupIndex: The groups of the set cards must have the indexes 0, \
        1, 2…: 1 is missing.";
    let answer = json!({ "returnCode": 914, "returnStatus": "GROUPED_INDEXES_NOT_CONSECUTIVE", "errorSource": source });
    server.refuses("/api/clients", body, 400, answer).await;
    // The groups of all fields of a set count together, in any order.
    let mixed = json!([number(2, "x"), { "fieldId": "name", "groupIndex": 1, "value": "y" }, number(0, "z")]);
    store(server, ana(mixed), "version").await;
}

async fn field_twice_in_a_group_is_918(server: &TestServer) {
    define(server, json!({})).await;
    let place = ["customInformation", "2", "fieldId"];
    let values = json!([number(0, "x"), number(1, "y"), number(0, "x")]);
    refuse(server, CLIENT, ana(values), "DUPLICATE", &place).await;
    let value = |index: i32| json!({ "customFieldID": "number", "value": "x", "customFieldSetGroupIndex": index });
    let body =
        json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": [value(0), value(0)] });
    let source = "customInformation[1].customFieldID: The field number is named twice in the group 0.";
    let answer = json!({ "returnCode": 918, "returnStatus": "DUPLICATE_CUSTOM_FIELD_VALUES", "errorSource": source });
    server.refuses("/api/clients", body, 400, answer).await;
}

async fn required_field_is_demanded_of_each_group(server: &TestServer) {
    define(server, json!({ "required": true })).await;
    let name = |group: i32| json!({ "fieldId": "name", "groupIndex": group, "value": "a" });
    let place = ["customInformation"];
    refuse(server, CLIENT, ana(json!([name(0)])), "REQUIRED", &place).await;
    refuse(
        server,
        CLIENT,
        ana(json!([number(0, "x"), name(1)])),
        "REQUIRED",
        &place,
    )
    .await;
    let value = json!({ "customFieldID": "name", "value": "x", "customFieldSetGroupIndex": 0 });
    let body = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": [value] });
    let answer = json!({ "returnCode": 902, "returnStatus": "REQUIRED_CUSTOM_FIELD_MISSING", "errorSource": "number" });
    server.refuses("/api/clients", body, 400, answer).await;
    // A client without groups needs none.
    store(
        server,
        json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } }),
        "version",
    )
    .await;
    store(server, ana(json!([])), "version").await;
    store(server, ana(json!([name(1), number(0, "x"), number(1, "y")])), "version").await;
}

async fn usage_of_a_set_is_fixed(server: &TestServer) {
    define(server, json!({})).await;
    for (set, usage) in [("cards", "SINGLE"), ("facts", "GROUPED")] {
        let input = json!({ "set": { "setId": set, "usage": usage } });
        refuse(server, SET, input, "NOT_EDITABLE", &["set", "usage"]).await;
    }
    // Without it, it stays.
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { \
        customFieldSet { name usage } } }";
    let found = data(
        server,
        query,
        json!({ "input": { "set": { "setId": "cards", "name": "C" } } }),
    )
    .await;
    let set = json!({ "name": "C", "usage": "GROUPED" });
    assert_eq!(found, json!({ "upsertCustomFieldSet": { "customFieldSet": set } }));
}

async fn value_of_a_unique_field_is_unique_in_all_groups(server: &TestServer) {
    define(server, json!({ "unique": true })).await;
    // One client can have a value in two groups.
    let key = store_key(server, ana(json!([number(0, "x"), number(1, "x"), number(2, "y")]))).await;
    refuse(
        server,
        CLIENT,
        ana(json!([number(0, "z"), number(1, "x")])),
        "TAKEN",
        &["customInformation", "1", "value"],
    )
    .await;
    let values = json!([number(0, "y"), number(1, "z")]);
    let input = json!({ "client": { "encodedKey": key }, "customInformation": values });
    store(server, input, "version").await;
    store(server, ana(json!([number(0, "x")])), "version").await;
    assert_eq!(server.snapshot().await.rows("custom_field_claim").len(), 3);
    let input = CustomFieldInput {
        unique: Some(true),
        ..field("nick", Kind::Text)
    };
    server.define(vec![input]).await;
}

async fn group_that_the_caller_may_only_view_can_be_sent_back(server: &TestServer) {
    define(server, json!({ "required": true })).await;
    let key = store_key(server, ana(json!([number(0, "x"), number(1, "y")]))).await;
    let rights = Rights {
        edit_sets: Sets::These(["facts".to_owned()].into()),
        ..Rights::all()
    };
    let limited = server.as_caller(&rights);
    // A part of the groups, too: the others stay, and aren't demanded.
    let nick = json!({ "fieldId": "nick", "value": "Al" });
    let values = json!([nick, number(1, "y")]);
    let input = json!({ "client": { "encodedKey": key }, "customInformation": values });
    let stored = store(&limited, input, "customInformation { value groupIndex }").await;
    let values = json!([{ "value": "x", "groupIndex": 0 }, { "value": "y", "groupIndex": 1 },
        { "value": "Al", "groupIndex": null }]);
    assert_eq!(stored, json!({ "customInformation": values }));
    let input = json!({ "client": { "encodedKey": key }, "customInformation": [number(1, "z")] });
    refuse(
        &limited,
        CLIENT,
        input,
        "FORBIDDEN",
        &["customInformation", "0", "fieldId"],
    )
    .await;
}

async fn stored_values_can_move_when_a_group_is_removed(server: &TestServer) {
    define(server, json!({})).await;
    let key = store_key(server, ana(json!([number(0, "short"), number(1, "longer")]))).await;
    define(server, json!({ "maxLength": 5, "unique": true })).await;
    let change = |values: Value| json!({ "client": { "encodedKey": key }, "customInformation": values });
    let place = ["customInformation", "0", "value"];
    refuse(
        server,
        CLIENT,
        change(json!([number(0, "longest")])),
        "TOO_LONG",
        &place,
    )
    .await;
    store(
        server,
        change(json!([number(1, "short"), number(0, "longer")])),
        "version",
    )
    .await;
    define(server, json!({ "state": "DEACTIVATED" })).await;
    refuse(server, CLIENT, change(json!([number(0, "new")])), "DEACTIVATED", &place).await;
    let stored = store(
        server,
        change(json!([number(0, "short")])),
        "customInformation { value groupIndex }",
    )
    .await;
    assert_eq!(
        stored,
        json!({ "customInformation": [{ "value": "short", "groupIndex": 0 }] })
    );
}
