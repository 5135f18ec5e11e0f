//! The fields of definitions.

use serde_json::json;

use super::{Row, Rows, Then, becomes, merged, stays};

pub fn custom_field_set() -> Vec<Row> {
    let own = json!({ "set": { "setId": "<set>" } });
    let root = Rows::of(own.clone(), "")
        .demanded("UpsertCustomFieldSetInput.fields", "/fields", "NULL_LIST", json!([]))
        .plain(
            "UpsertCustomFieldSetInput.clientMutationId",
            "/clientMutationId",
            json!("m"),
        );
    let set = Rows::of(own.clone(), "/set")
        .fixed("CustomFieldSetInput.encodedKey", json!("other"), "INVALID")
        .demanded("CustomFieldSetInput.name", "/name", "BLANK", json!("Z"))
        .row("CustomFieldSetInput.usage", json!("SINGLE"), stays(), stays());
    let base = merged(
        &own,
        json!({ "fields": [{ "fieldId": "<text>" }, { "fieldId": "<choice>" }] }),
    );
    let text = Rows::of(base.clone(), "/fields/0")
        .fixed("CustomFieldInput.encodedKey", json!("other"), "INVALID")
        .demanded("CustomFieldInput.name", "/fields/0/name", "BLANK", json!("Z"))
        .plain("CustomFieldInput.description", "/fields/0/description", json!("z"))
        .row(
            "CustomFieldInput.type",
            json!("LONG_TEXT"),
            stays(),
            becomes("/fields/0/type", json!("LONG_TEXT")),
        )
        .row(
            "CustomFieldInput.state",
            json!("DEACTIVATED"),
            stays(),
            becomes("/fields/0/state", json!("DEACTIVATED")),
        )
        .row(
            "CustomFieldInput.required",
            json!(false),
            stays(),
            becomes("/fields/0/required", json!(false)),
        )
        .plain("CustomFieldInput.pattern", "/fields/0/pattern", json!("##"))
        .row(
            "CustomFieldInput.maxLength",
            json!(7),
            becomes("/fields/0/maxLength", json!(255)),
            becomes("/fields/0/maxLength", json!(7)),
        );
    let choice = Rows::of(base, "/fields/1").row(
        "CustomFieldInput.options",
        json!([{ "value": "z" }]),
        Then::Refused("NULL_LIST"),
        becomes("/fields/1/options", json!([{ "encodedKey": "<new>", "value": "z" }])),
    );
    [root, set, text, choice]
        .into_iter()
        .flat_map(|rows| rows.rows)
        .collect()
}

pub fn client_role() -> Vec<Row> {
    Rows::of(json!({ "roleId": "<role>" }), "")
        .fixed("UpsertClientRoleInput.encodedKey", json!("other"), "INVALID")
        .demanded("UpsertClientRoleInput.name", "/name", "BLANK", json!("Z"))
        .plain("UpsertClientRoleInput.description", "/description", json!("z"))
        .row(
            "UpsertClientRoleInput.isDefault",
            json!(true),
            stays(),
            becomes("/isDefault", json!(true)),
        )
        .plain(
            "UpsertClientRoleInput.clientMutationId",
            "/clientMutationId",
            json!("m"),
        )
        .rows
}
