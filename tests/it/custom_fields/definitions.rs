//! Custom field sets and client roles: creation, changes, deactivation and reads.

use clientele::{
    custom_field::CustomFieldInput,
    definitions::{FieldState, Kind},
};
use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, TestServer, field,
        graphql::{data, define_role, store},
        options, with,
    },
    upsert::{create_trevor, payload, upsert},
};

const UPSERT_SET: &str = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) {
    customFieldSet { encodedKey setId name usage fields { encodedKey fieldId name type state required pattern maxLength
        options { value } } } userErrors { code path } clientMutationId } }";
const UPSERT_ROLE: &str = "mutation($input: UpsertClientRoleInput!) { upsertClientRole(input: $input) {
    clientRole { encodedKey roleId name description isDefault } userErrors { code path } clientMutationId } }";

async fn upsert_set(server: &TestServer, input: Value) -> Answer {
    server.graphql(UPSERT_SET, json!({ "input": input })).await
}

/// Asserts code and path of every problem, in any operation, and that nothing was written.
async fn refused(server: &TestServer, query: &str, input: Value, expected: &[(&str, &str)]) {
    let before = server.snapshot().await;
    let answer = server.graphql(query, json!({ "input": input })).await;
    let payload = answer.body["data"]
        .as_object()
        .and_then(|data| data.values().next())
        .expect("a payload");
    let problems: Vec<Value> = expected
        .iter()
        .map(|(code, path)| json!({ "code": code, "path": path.split('.').collect::<Vec<_>>() }))
        .collect();
    assert_eq!(payload["userErrors"], Value::Array(problems), "{input:#}");
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

/// The set `facts` with a text, a selection and a number, with keys of choice.
fn facts() -> Value {
    json!({ "set": { "setId": "facts", "encodedKey": "factsKey", "name": "Facts" }, "clientMutationId": "m", "fields": [
        { "fieldId": "nick", "encodedKey": "nickKey", "name": "Nick", "type": "TEXT", "pattern": "@@", "maxLength": 9 },
        { "fieldId": "size", "encodedKey": "sizeKey", "name": "Size", "type": "SELECTION",
            "options": [{ "value": "S" }, { "value": "L" }] },
        { "fieldId": "age", "encodedKey": "ageKey", "name": "Age", "type": "NUMBER" }] })
}

fn shown(id: &str, name: &str, ty: &str, state: &str) -> Value {
    json!({ "encodedKey": format!("{id}Key"), "fieldId": id, "name": name, "type": ty, "state": state,
        "required": false,
        "pattern": null, "maxLength": null, "options": [] })
}

fn nick(state: &str) -> Value {
    with(
        shown("nick", "Nick", "TEXT", state),
        json!({ "pattern": "@@", "maxLength": 9 }),
    )
}

fn size(state: &str) -> Value {
    with(
        shown("size", "Size", "SELECTION", state),
        json!({ "options": [{ "value": "S" }, { "value": "L" }] }),
    )
}

fn set(fields: Value, id: Value) -> Value {
    json!({ "upsertCustomFieldSet": { "userErrors": [], "clientMutationId": id, "customFieldSet": {
        "encodedKey": "factsKey", "setId": "facts", "name": "Facts", "usage": "SINGLE", "fields": fields } } })
}

on_both!(
    set_is_created_changed_and_read,
    used_field_is_deactivated_instead_of_deleted,
    all_problems_of_a_set_are_reported_at_once,
    invalid_field_definitions_are_refused,
    required_field_is_demanded_of_new_clients_and_of_lists,
    new_definitions_apply_on_other_servers_at_once,
    options_are_replaced_and_keep_their_keys,
    default_role_moves_and_always_exists,
);

async fn set_is_created_changed_and_read(server: &TestServer) {
    let (nick, size, age) = (nick("ACTIVE"), size("ACTIVE"), shown("age", "Age", "NUMBER", "ACTIVE"));
    upsert_set(server, facts())
        .await
        .data(set(json!([nick, size, age]), json!("m")));
    // The same again, and a part of it, write nothing.
    let before = server.snapshot().await;
    upsert_set(server, facts())
        .await
        .data(set(json!([nick, size, age]), json!("m")));
    upsert_set(server, json!({ "set": { "setId": "facts" } }))
        .await
        .data(set(json!([nick, size, age]), Value::Null));
    assert_eq!(server.snapshot().await, before);
    // No client has a value: one field is deleted, one changes its type, the order is the list's.
    let fields = json!([{ "fieldId": "age", "type": "TEXT", "required": true },
        { "fieldId": "nick", "pattern": null, "maxLength": null }]);
    let age = with(age, json!({ "type": "TEXT", "required": true, "maxLength": 255 }));
    let nick = with(nick, json!({ "pattern": null, "maxLength": 255 }));
    upsert_set(server, json!({ "set": { "setId": "facts" }, "fields": fields }))
        .await
        .data(set(json!([age, nick]), Value::Null));
    let read = "{ customFieldSets { setId fields { fieldId set { setId } } } customField(by: { fieldId: \"age\" }) { \
        encodedKey type }
            byKey: customField(by: { encodedKey: \"nickKey\" }) { fieldId } gone: customField(by: { fieldId: \"size\" \
            }) { fieldId } }";
    server.graphql(read, json!({})).await.data(json!({
        "customFieldSets": [{ "setId": "facts", "fields": [
            { "fieldId": "age", "set": { "setId": "facts" } }, { "fieldId": "nick", "set": { "setId": "facts" } }] }],
        "customField": { "encodedKey": "ageKey", "type": "TEXT" }, "byKey": { "fieldId": "nick" }, "gone": null }));
    let band = json!({ "set": { "setId": "bands", "encodedKey": "bandsKey", "name": "Bands" }, "fields": [
        { "fieldId": "band", "encodedKey": "bandKey", "name": "Band", "type": "SELECTION", "required": true,
          "options": [{ "value": "LOW" }, { "value": "HIGH" }] }] });
    let stored = json!({ "upsertCustomFieldSet": { "userErrors": [], "clientMutationId": null, "customFieldSet": {
        "encodedKey": "bandsKey", "setId": "bands", "name": "Bands", "usage": "SINGLE", "fields": [
            { "encodedKey": "bandKey", "fieldId": "band", "name": "Band", "type": "SELECTION", "state": "ACTIVE",
              "required": true, "pattern": null, "maxLength": null,
              "options": [{ "value": "LOW" }, { "value": "HIGH" }] }] } } });
    upsert_set(server, band).await.data(stored);
}

async fn used_field_is_deactivated_instead_of_deleted(server: &TestServer) {
    upsert_set(server, facts()).await;
    let ana = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" },
        "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "size", "value": "L" }] });
    let values = "encodedKey customInformation { value option { value } field { fieldId state } }";
    let ana = store(server, ana, values).await;
    // The stored types again: nothing changes.
    let stored = json!([nick("ACTIVE"), size("ACTIVE"), shown("age", "Age", "NUMBER", "ACTIVE")]);
    upsert_set(server, facts()).await.data(set(stored, json!("m")));
    let change = |fields: Value| json!({ "set": { "setId": "facts" }, "fields": fields });
    refused(
        server,
        UPSERT_SET,
        change(json!([{ "fieldId": "nick", "type": "LONG_TEXT" }])),
        &[("NOT_EDITABLE", "input.fields.0.type")],
    )
    .await;
    upsert_set(server, change(json!([])))
        .await
        .data(set(json!([nick("DEACTIVATED"), size("DEACTIVATED")]), Value::Null));
    let rows = server.snapshot().await;
    assert_eq!(
        (rows.rows("custom_field").len(), rows.rows("custom_field_value").len()),
        (2, 2)
    );
    let query = format!("{{ clients {{ nodes {{ {values} }} }} }}");
    let values = json!([
        { "value": "Al", "option": null, "field": { "fieldId": "nick", "state": "DEACTIVATED" } },
        { "value": "L", "option": { "value": "L" }, "field": { "fieldId": "size", "state": "DEACTIVATED" } }]);
    let read = data(server, &query, json!({})).await;
    assert_eq!(read["clients"]["nodes"][0]["customInformation"], values);
    // The stored value can be sent back unchanged; another one is refused.
    let client = json!({ "encodedKey": ana["encodedKey"] });
    let upsert = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";
    let again =
        json!({ "client": client, "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "size" }] });
    server
        .graphql(upsert, json!({ "input": again }))
        .await
        .data(json!({ "upsertClient": { "userErrors": [] } }));
    let other = json!({ "client": client, "customInformation": [{ "fieldId": "nick", "value": "Bo" }] });
    refused(
        server,
        upsert,
        other,
        &[("DEACTIVATED", "input.customInformation.0.value")],
    )
    .await;
    // An option that a client has is deactivated instead of deleted.
    let fields = json!([{ "fieldId": "size", "state": "ACTIVE", "options": [{ "value": "M" }] }]);
    upsert_set(server, change(fields)).await;
    let read = data(server, &query, json!({})).await;
    assert_eq!(
        read["clients"]["nodes"][0]["customInformation"][1],
        json!({ "value": "L", "option": { "value": "L" }, "field": { "fieldId": "size", "state": "ACTIVE" } })
    );
    // A field without values is deleted.
    store(server, json!({ "client": client, "customInformation": [] }), "version").await;
    upsert_set(server, change(json!([])))
        .await
        .data(set(json!([]), Value::Null));
}

async fn all_problems_of_a_set_are_reported_at_once(server: &TestServer) {
    upsert_set(server, facts()).await;
    let other = json!({ "set": { "setId": "other", "encodedKey": "factsKey" }, "fields": [
        { "fieldId": "nick", "name": "N", "type": "TEXT" },
        { "fieldId": "b" },
        { "fieldId": "c", "name": "C", "type": "TEXT", "encodedKey": "ageKey" },
        { "fieldId": "d", "name": "D", "type": "NUMBER", "pattern": "#", "maxLength": 3, "encodedKey": "not a key" },
        { "fieldId": "e", "name": "E", "type": "TEXT", "maxLength": 256, "options": [{ "value": "x" }] },
        { "fieldId": "f", "name": "F", "type": "SELECTION" },
        { "fieldId": "g", "name": "G", "type": "SELECTION", "options": [{ "value": "x" }, { "value": "x" }] },
        { "fieldId": "b", "name": "B", "type": "DATE" },
        { "fieldId": "x".repeat(33), "name": "n".repeat(256), "type": "CHECKBOX" }] });
    refused(
        server,
        UPSERT_SET,
        other,
        &[
            ("TAKEN", "input.set.encodedKey"),
            ("BLANK", "input.set.name"),
            ("TAKEN", "input.fields.0.fieldId"),
            ("BLANK", "input.fields.1.type"),
            ("BLANK", "input.fields.1.name"),
            ("TAKEN", "input.fields.2.encodedKey"),
            ("MALFORMED", "input.fields.3.encodedKey"),
            ("INVALID", "input.fields.3.maxLength"),
            ("INVALID", "input.fields.3.pattern"),
            ("INVALID", "input.fields.4.maxLength"),
            ("INVALID", "input.fields.4.options"),
            ("BLANK", "input.fields.5.options"),
            ("DUPLICATE", "input.fields.6.options"),
            ("DUPLICATE", "input.fields.7.fieldId"),
            ("TOO_LONG", "input.fields.8.fieldId"),
            ("TOO_LONG", "input.fields.8.name"),
        ],
    )
    .await;
    let keys = json!({ "set": { "setId": "facts", "encodedKey": "another" },
        "fields": [{ "fieldId": "nick", "encodedKey": "another" }] });
    refused(
        server,
        UPSERT_SET,
        keys,
        &[
            ("INVALID", "input.set.encodedKey"),
            ("INVALID", "input.fields.0.encodedKey"),
        ],
    )
    .await;
    for id in ["", " ", "a\u{0}b", "a\nb"] {
        let code = if id.trim().is_empty() {
            "BLANK"
        } else {
            "INVALID_CHARACTER"
        };
        refused(
            server,
            UPSERT_SET,
            json!({ "set": { "setId": id, "name": "N" } }),
            &[(code, "input.set.setId")],
        )
        .await;
    }
}

async fn invalid_field_definitions_are_refused(server: &TestServer) {
    for (own, code, member) in [
        (json!({ "fieldId": " " }), "BLANK", "fieldId"),
        (json!({ "name": null }), "BLANK", "name"),
        (json!({ "type": null }), "BLANK", "type"),
        (json!({ "maxLength": 0 }), "INVALID", "maxLength"),
        (json!({ "type": "DATE", "pattern": "#" }), "INVALID", "pattern"),
        (json!({ "type": "SELECTION", "options": [] }), "BLANK", "options"),
        (json!({ "type": "SELECTION", "options": null }), "NULL_LIST", "options"),
    ] {
        let field = with(json!({ "fieldId": "shoe", "name": "Shoe", "type": "TEXT" }), own);
        let input = json!({ "set": { "setId": "facts", "name": "Facts" }, "fields": [field] });
        refused(
            server,
            UPSERT_SET,
            input,
            &[(code, &format!("input.fields.0.{member}"))],
        )
        .await;
    }
}

async fn required_field_is_demanded_of_new_clients_and_of_lists(server: &TestServer) {
    upsert_set(server, facts()).await;
    let ana = store(
        server,
        json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } }),
        "encodedKey",
    )
    .await;
    let fields = json!([{ "fieldId": "nick", "required": true }, { "fieldId": "size" }, { "fieldId": "age" }]);
    upsert_set(server, json!({ "set": { "setId": "facts" }, "fields": fields })).await;
    let upsert = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";
    refused(
        server,
        upsert,
        json!({ "client": { "firstName": "Bo", "lastName": "Bellweather" } }),
        &[("REQUIRED", "input.customInformation")],
    )
    .await;
    refused(
        server,
        upsert,
        json!({ "client": ana, "customInformation": [] }),
        &[("REQUIRED", "input.customInformation")],
    )
    .await;
    store(
        server,
        json!({ "client": with(ana, json!({ "firstName": "Eva" })) }),
        "version",
    )
    .await;
}

async fn new_definitions_apply_on_other_servers_at_once(server: &TestServer) {
    create_trevor(server).await;
    server.define(vec![field("shoe", Kind::Text)]).await;
    let other = server.another(Default::default()).await;
    let input = |value: &str| {
        json!({ "client": { "encodedKey": "<key 1>" },
        "customInformation": [{ "fieldId": "shoe", "value": value }] })
    };
    let value = |value: &str| {
        json!({ "customInformation": [{ "value": value, "linkedKey": null,
        "field": { "fieldId": "shoe" } }] })
    };
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
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customField": { "options": [
        { "encodedKey": keys[1], "value": "HIGH" }, { "encodedKey": "<key 3>", "value": "TOP" },
            { "encodedKey": keys[0], "value": "LOW" } ] } }));
    server.define(vec![band(&["TOP"])]).await;
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "customField": { "options": [{ "encodedKey": "<key 3>", "value": "TOP" }] } }));
}

async fn default_role_moves_and_always_exists(server: &TestServer) {
    let role = |id: &str, default: bool| {
        json!({ "encodedKey": format!("{id}Key"), "roleId": id, "name": id,
        "description": null, "isDefault": default })
    };
    define_role(
        server,
        json!({ "roleId": "a", "encodedKey": "aKey", "name": "a", "isDefault": true }),
    )
    .await;
    let answer = server
        .graphql(
            UPSERT_ROLE,
            json!({ "input": { "roleId": "b", "encodedKey": "bKey", "name": "b", "clientMutationId": "m" } }),
        )
        .await;
    answer.data(
        json!({ "upsertClientRole": { "clientRole": role("b", false), "userErrors": [], "clientMutationId": "m" } }),
    );
    refused(
        server,
        UPSERT_ROLE,
        json!({ "roleId": "a", "isDefault": false }),
        &[("INVALID", "input.isDefault")],
    )
    .await;
    define_role(server, json!({ "roleId": "b", "isDefault": true })).await;
    let roles = data(
        server,
        "{ clientRoles { encodedKey roleId name description isDefault } }",
        json!({}),
    )
    .await;
    let roles = roles["clientRoles"].as_array().expect("a list").clone();
    assert_eq!(
        (roles.len(), &roles[1], &roles[2]),
        (3, &role("a", false), &role("b", true))
    );
    assert_eq!(roles[0]["isDefault"], false);
    let client = store(
        server,
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
        "clientRole { roleId }",
    )
    .await;
    assert_eq!(client, json!({ "clientRole": { "roleId": "b" } }));
    let before = server.snapshot().await;
    define_role(
        server,
        json!({ "roleId": "b", "encodedKey": "bKey", "isDefault": true }),
    )
    .await;
    assert_eq!(server.snapshot().await, before);
    refused(
        server,
        UPSERT_ROLE,
        json!({ "roleId": "b", "encodedKey": "other", "name": " ", "description": "d".repeat(256) }),
        &[
            ("INVALID", "input.encodedKey"),
            ("BLANK", "input.name"),
            ("TOO_LONG", "input.description"),
        ],
    )
    .await;
    refused(
        server,
        UPSERT_ROLE,
        json!({ "roleId": "c", "encodedKey": "aKey", "name": "c" }),
        &[("TAKEN", "input.encodedKey")],
    )
    .await;
}
