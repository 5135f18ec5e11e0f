//! The fields of message templates.

use serde_json::{Value, json};

use super::{Row, Rows, Then, becomes, merged, role_by, stays};

pub fn message_template() -> Vec<Row> {
    let own = json!({ "templateId": "<template>" });
    let root = Rows::of(own.clone(), "")
        .fixed("UpsertMessageTemplateInput.encodedKey", json!("other"), "INVALID")
        .demanded("UpsertMessageTemplateInput.name", "/name", "BLANK", json!("Z"))
        .row(
            "UpsertMessageTemplateInput.event",
            json!("CLIENT_UPDATED"),
            stays(),
            becomes("/event", json!("CLIENT_UPDATED")),
        )
        // The stored variants are e-mails.
        .fixed("UpsertMessageTemplateInput.channel", json!("SMS"), "INVALID")
        .row(
            "UpsertMessageTemplateInput.active",
            json!(false),
            stays(),
            becomes("/active", json!(false)),
        )
        .row(
            "UpsertMessageTemplateInput.defaultLanguage",
            json!("FRENCH"),
            stays(),
            becomes("/defaultLanguage", json!("FRENCH")),
        )
        .row(
            "UpsertMessageTemplateInput.variants",
            json!([{ "language": "ENGLISH", "subject": "Z", "text": "z" }]),
            Then::Refused("NULL_LIST"),
            becomes(
                "/variants",
                json!([{ "language": "ENGLISH", "subject": "Z", "text": "z", "html": "H" }]),
            ),
        )
        .row(
            "UpsertMessageTemplateInput.conditions",
            json!({ "states": ["EXITED"] }),
            becomes("/conditions", conditions(json!({}))),
            becomes("/conditions", conditions(json!({ "states": ["EXITED"] }))),
        )
        .plain(
            "UpsertMessageTemplateInput.clientMutationId",
            "/clientMutationId",
            json!("m"),
        );
    let variants =
        json!({ "variants": [{ "language": "ENGLISH", "text": "T" }, { "language": "FRENCH", "text": "t" }] });
    let variant = Rows::of(merged(&own, variants), "/variants/0")
        .demanded(
            "MessageTemplateVariantInput.subject",
            "/variants/0/subject",
            "BLANK",
            json!("Z"),
        )
        .plain("MessageTemplateVariantInput.html", "/variants/0/html", json!("z"));
    [root, variant]
        .into_iter()
        .flat_map(|rows| rows.rows)
        .chain(conditions_rows(&own))
        .collect()
}

/// Conditions with these members, and nothing else.
fn conditions(members: Value) -> Value {
    merged(&json!({ "clientRoles": [], "states": [], "customFields": [] }), members)
}

/// They are replaced as a whole, so that what is absent goes.
fn conditions_rows(own: &Value) -> Vec<Row> {
    let base = merged(own, json!({ "conditions": {} }));
    let row = |field, value, members| Row {
        field,
        base: base.clone(),
        at: "/conditions",
        value,
        absent: becomes("/conditions", conditions(json!({}))),
        null: becomes("/conditions", conditions(json!({}))),
        set: becomes("/conditions", conditions(members)),
    };
    let nick = json!({ "fieldId": "nick", "value": "Z" });
    let fields = json!({ "customFields": [{ "field": { "fieldId": "nick" }, "value": "Z" }] });
    let roles = json!({ "clientRoles": [{ "roleId": "second" }] });
    let by = role_by(
        "/conditions/clientRoles/0",
        "/conditions/clientRoles/0/roleId",
        merged(
            own,
            json!({ "conditions": { "clientRoles": [{}], "states": ["ACTIVE"],
                "customFields": [{ "fieldId": "nick", "value": "Al" }] } }),
        ),
    );
    [
        row(
            "MessageConditionsInput.clientRoles",
            json!([{ "roleId": "second" }]),
            roles,
        ),
        row(
            "MessageConditionsInput.states",
            json!(["EXITED"]),
            json!({ "states": ["EXITED"] }),
        ),
        row("MessageConditionsInput.customFields", json!([nick]), fields),
    ]
    .into_iter()
    .chain(by)
    .collect()
}
