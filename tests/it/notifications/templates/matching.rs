//! The conditions that select a template for a client.

use serde_json::{Value, json};

use super::upsert;
use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, store},
};

on_both!(all_conditions_must_hold);

async fn all_conditions_must_hold(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" },
        { "fieldId": "on", "name": "On", "type": "CHECKBOX" },
        { "fieldId": "boss", "name": "Boss", "type": "USER_LINK" }]),
    )
    .await;
    for role in ["a", "b"] {
        define_role(server, json!({ "roleId": role, "encodedKey": role, "name": role })).await;
    }
    let client = json!({ "client": { "clientId": "c", "firstName": "Amara", "lastName": "Bellweather",
        "clientRole": { "roleId": "a" } },
        "customInformation": [{ "fieldId": "age", "value": "7" }, { "fieldId": "boss", "linkedKey": "u1" }] });
    let state = store(server, client, "state").await["state"].clone();
    let field = |id: &str, value: &str| json!({ "fieldId": id, "value": value });
    for (conditions, matches) in [
        (Value::Null, true),
        (json!({}), true),
        (
            json!({ "clientRoles": [{ "roleId": "b" }, { "encodedKey": "a" }] }),
            true,
        ),
        (json!({ "clientRoles": [{ "roleId": "b" }] }), false),
        (json!({ "states": ["EXITED", state] }), true),
        (json!({ "states": ["EXITED"] }), false),
        (json!({ "customFields": [field("age", "7.00")] }), true),
        (json!({ "customFields": [field("age", "8")] }), false),
        (json!({ "customFields": [field("boss", "u1")] }), true),
        (json!({ "customFields": [field("boss", "u2")] }), false),
        (json!({ "customFields": [field("on", "true")] }), false),
        (
            json!({ "clientRoles": [{ "roleId": "a" }], "states": [state],
                "customFields": [field("age", "7"), field("boss", "u1")] }),
            true,
        ),
        (
            json!({ "clientRoles": [{ "roleId": "a" }], "states": ["EXITED"],
                "customFields": [field("age", "7"), field("boss", "u1")] }),
            false,
        ),
        (
            json!({ "clientRoles": [{ "roleId": "a" }], "states": [state],
                "customFields": [field("age", "7"), field("boss", "u2")] }),
            false,
        ),
    ] {
        upsert(
            server,
            json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "SMS",
            "variants": [{ "language": "ENGLISH", "text": "T" }], "conditions": conditions }),
        )
        .await;
        let found = data(
            server,
            "{ previewMessage(templateId: \"t\", client: { clientId: \"c\" }) { matches } }",
            json!({}),
        )
        .await;
        assert_eq!(
            found,
            json!({ "previewMessage": { "matches": matches } }),
            "{conditions}"
        );
    }
    // A deleted field has no value, even when a new field has its name.
    upsert(
        server,
        json!({ "templateId": "t", "conditions": { "customFields": [field("on", "TRUE")] } }),
    )
    .await;
    define(server, "facts", json!([{ "fieldId": "age" }, { "fieldId": "boss" }])).await;
    define(
        server,
        "facts",
        json!([{ "fieldId": "age" }, { "fieldId": "boss" }, { "fieldId": "on", "name": "On", "type": "CHECKBOX" }]),
    )
    .await;
    let found = data(
        server,
        "{ messageTemplates { conditions { customFields { field { fieldId } value } } } }",
        json!({}),
    )
    .await;
    assert_eq!(
        found["messageTemplates"][0]["conditions"],
        json!({ "customFields": [{ "field": null, "value": "TRUE" }] })
    );
}
