//! Fields that are available to some client roles only, or required of some; and the order of sets.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, refuse, store},
};

const SET: (&str, &str) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    field_of_another_role_is_910,
    stored_value_stays_when_the_role_changes,
    field_required_of_a_role_is_902,
    roles_of_a_field_are_replaced_and_read,
    invalid_roles_of_a_field_are_refused,
    sets_and_fields_have_the_chosen_order,
);

/// The roles `firm` and `person`, and the set `facts` with `tax`, for firms only, and `nick`, for all.
async fn define_all(server: &TestServer, tax: Value) {
    for role in ["firm", "person"] {
        define_role(
            server,
            json!({ "roleId": role, "encodedKey": format!("{role}Key"), "name": role }),
        )
        .await;
    }
    define(
        server,
        "facts",
        json!([tax, { "fieldId": "nick", "name": "Nick", "type": "TEXT" }]),
    )
    .await;
}

fn tax(required: bool) -> Value {
    let roles = json!([{ "clientRole": { "roleId": "firm" }, "required": required }]);
    json!({ "fieldId": "tax", "name": "Tax", "type": "NUMBER", "clientRoles": roles })
}

fn client(role: &str, values: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "clientRole": { "roleId": role } },
        "customInformation": values })
}

async fn field_of_another_role_is_910(server: &TestServer) {
    define_all(server, tax(false)).await;
    let value = json!([{ "fieldId": "tax", "value": "1" }]);
    store(server, client("firm", value.clone()), "version").await;
    let place = ["customInformation", "0", "value"];
    refuse(server, CLIENT, client("person", value.clone()), "NOT_AVAILABLE", &place).await;
    // The default role isn't one of them either.
    let names = json!({ "firstName": "Ana", "lastName": "Cruz" });
    let input = json!({ "client": names, "customInformation": value });
    refuse(server, CLIENT, input, "NOT_AVAILABLE", &place).await;
    let body = json!({ "client": names, "customInformation": [{ "customFieldID": "tax", "value": "1" }] });
    let source = "customInformation[0].value: The field tax isn't available to clients of this role: leave it out.";
    let answer = json!({ "returnCode": 910, "returnStatus": "CUSTOM_FIELD_NOT_AVAILABLE_FOR_ENTITY",
        "errorSource": source });
    server.refuses("/api/clients", body, 400, answer).await;
}

async fn stored_value_stays_when_the_role_changes(server: &TestServer) {
    define_all(server, tax(false)).await;
    let ana = store(
        server,
        client("firm", json!([{ "fieldId": "tax", "value": "1" }])),
        "encodedKey",
    )
    .await;
    let change = |role: &str, value: &str| {
        json!({ "client": { "encodedKey": ana["encodedKey"], "clientRole": { "roleId": role } },
            "customInformation": [{ "fieldId": "tax", "value": value }] })
    };
    let values = "customInformation { value }";
    let stored = json!({ "customInformation": [{ "value": "1" }] });
    let client = json!({ "encodedKey": ana["encodedKey"], "clientRole": { "roleId": "person" } });
    assert_eq!(store(server, json!({ "client": client }), values).await, stored);
    // The same value is accepted, another isn't.
    assert_eq!(store(server, change("person", "1"), values).await, stored);
    refuse(
        server,
        CLIENT,
        change("person", "2"),
        "NOT_AVAILABLE",
        &["customInformation", "0", "value"],
    )
    .await;
    // The new role counts, not the stored one.
    let changed = json!({ "customInformation": [{ "value": "2" }] });
    assert_eq!(store(server, change("firm", "2"), values).await, changed);
    refuse(
        server,
        CLIENT,
        change("person", "3"),
        "NOT_AVAILABLE",
        &["customInformation", "0", "value"],
    )
    .await;
}

async fn field_required_of_a_role_is_902(server: &TestServer) {
    define_all(server, tax(true)).await;
    let nick = json!([{ "fieldId": "nick", "value": "Al" }]);
    for values in [json!([]), nick.clone()] {
        refuse(
            server,
            CLIENT,
            client("firm", values),
            "REQUIRED",
            &["customInformation"],
        )
        .await;
    }
    refuse(
        server,
        CLIENT,
        client("firm", json!([{ "fieldId": "tax", "value": "" }])),
        "REQUIRED",
        &["customInformation", "0", "value"],
    )
    .await;
    let ana = store(server, client("person", nick.clone()), "encodedKey").await;
    let key = &ana["encodedKey"];
    let body = json!({ "client": { "firstName": "Ana", "lastName": "Cruz", "clientRole": { "encodedKey": "firmKey" } },
        "customInformation": [] });
    let answer = json!({ "returnCode": 902, "returnStatus": "REQUIRED_CUSTOM_FIELD_MISSING", "errorSource": "tax" });
    server.refuses("/api/clients", body, 400, answer).await;
    // A change without the list doesn't need the value, not even one of the role.
    let change = json!({ "client": { "encodedKey": key, "clientRole": { "roleId": "firm" } } });
    store(server, change, "version").await;
    let change = json!({ "client": { "encodedKey": key }, "customInformation": nick });
    refuse(server, CLIENT, change, "REQUIRED", &["customInformation"]).await;
    // A field that is required in general is required of the roles that it is available to.
    let mut general = tax(false);
    general["required"] = json!(true);
    define(server, "facts", json!([general, { "fieldId": "nick" }])).await;
    refuse(
        server,
        CLIENT,
        client("firm", json!([])),
        "REQUIRED",
        &["customInformation"],
    )
    .await;
    store(server, client("person", json!([])), "version").await;
}

async fn roles_of_a_field_are_replaced_and_read(server: &TestServer) {
    define_all(server, tax(true)).await;
    let query = "{ customField(by: { fieldId: \"tax\" }) { clientRoles { clientRole { roleId } required } } }";
    let read = async || data(server, query, json!({})).await["customField"]["clientRoles"].take();
    let role = |id: &str, required: bool| json!({ "clientRole": { "roleId": id }, "required": required });
    assert_eq!(read().await, json!([role("firm", true)]));
    let set = async |roles: Value| define(server, "facts", json!([{ "fieldId": "tax", "clientRoles": roles }])).await;
    let by_key = json!({ "clientRole": { "encodedKey": "firmKey" } });
    set(json!([role("person", true), by_key])).await;
    assert_eq!(read().await, json!([role("person", true), role("firm", false)]));
    define(server, "facts", json!([{ "fieldId": "tax" }])).await;
    assert_eq!(read().await, json!([role("person", true), role("firm", false)]));
    let before = server.snapshot().await;
    set(json!([role("person", true), role("firm", false)])).await;
    assert_eq!(server.snapshot().await, before, "the same roles write nothing");
    set(json!([])).await;
    assert_eq!(read().await, json!([]));
}

async fn invalid_roles_of_a_field_are_refused(server: &TestServer) {
    define_all(server, tax(false)).await;
    let role = |id: &str| json!({ "clientRole": { "roleId": id } });
    let many: Vec<Value> = (0..1_001).map(|_| role("firm")).collect();
    for (roles, code) in [
        (json!([role("absent")]), "NOT_FOUND"),
        (json!([{ "clientRole": { "encodedKey": "firm" } }]), "NOT_FOUND"),
        (
            json!([role("firm"), { "clientRole": { "encodedKey": "firmKey" } }]),
            "DUPLICATE",
        ),
        (Value::Null, "NULL_LIST"),
        (json!(many), "TOO_MANY"),
    ] {
        let input = json!({ "set": { "setId": "facts" }, "fields": [{ "fieldId": "tax", "clientRoles": roles }] });
        refuse(server, SET, input, code, &["fields", "0", "clientRoles"]).await;
    }
}

async fn sets_and_fields_have_the_chosen_order(server: &TestServer) {
    for set in ["a", "b", "c"] {
        let field = |name: &str| json!({ "fieldId": format!("{set}{name}"), "name": name, "type": "TEXT" });
        define(server, set, json!([field("1"), field("2")])).await;
    }
    let query = "{ customFieldSets { setId position fields { fieldId } } }";
    let read = async || {
        let found = data(server, query, json!({})).await;
        let sets = found["customFieldSets"].as_array().cloned().unwrap_or_default();
        let order: Vec<String> = sets
            .iter()
            .map(|set| set["setId"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(sets.iter().zip(0..).all(|(set, at)| set["position"] == at), "{found}");
        order.join("")
    };
    let query_of_set = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { \
        userErrors { code } } }";
    let put = async |set: &str, position: i32| {
        let input = json!({ "set": { "setId": set, "name": set, "position": position } });
        let found = data(server, query_of_set, json!({ "input": input })).await;
        assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    };
    assert_eq!(read().await, "abc");
    for (set, position, order) in [
        ("c", 0, "cab"),
        ("c", 1, "acb"),
        ("a", 2, "cba"),
        ("b", 1, "cba"),
        ("d", 0, "dcba"),
    ] {
        put(set, position).await;
        assert_eq!(read().await, order, "{set} {position}");
    }
    for position in [-1, 4, i32::MAX, i32::MIN] {
        let input = json!({ "set": { "setId": "a", "position": position } });
        refuse(server, SET, input, "INVALID", &["set", "position"]).await;
    }
    let input = json!({ "set": { "setId": "e", "name": "e", "position": 5 } });
    refuse(server, SET, input, "INVALID", &["set", "position"]).await;
    // Fields have the order of their list.
    define(server, "a", json!([{ "fieldId": "a2" }, { "fieldId": "a1" }])).await;
    let found = data(server, query, json!({})).await;
    assert_eq!(
        found["customFieldSets"][3]["fields"],
        json!([{ "fieldId": "a2" }, { "fieldId": "a1" }])
    );
}
