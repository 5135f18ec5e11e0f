//! Characters in texts of definitions: client roles, custom field sets and message templates.

use serde_json::{Value, json};

use crate::{
    harness::{Backend, TestServer, graphql::refuse, with},
    upsert::texts::{INVISIBLE, NOT_IN_A_LINE},
};

const ROLE: (&str, &str) = ("upsertClientRole", "UpsertClientRoleInput");
const SET: (&str, &str) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
const TEMPLATE: (&str, &str) = ("upsertMessageTemplate", "UpsertMessageTemplateInput");

fn role(own: Value) -> Value {
    with(json!({ "roleId": "vip", "name": "VIP" }), own)
}

fn set(own: Value, field: Value) -> Value {
    let option = json!([{ "value": "LOW" }]);
    let whole = json!({ "fieldId": "band", "name": "Band", "type": "SELECTION", "options": option });
    let set = with(json!({ "setId": "facts", "name": "Facts" }), own);
    json!({ "set": set, "fields": [with(whole, field)] })
}

fn template(own: Value, variant: Value) -> Value {
    let whole = json!({ "language": "ENGLISH", "subject": "S", "text": "T" });
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [with(whole, variant)] });
    with(template, own)
}

on_both!(
    control_characters_in_definitions_are_refused,
    invisible_names_of_definitions_are_blank,
    stored_definition_with_invalid_text_can_be_changed,
);

async fn control_characters_in_definitions_are_refused(server: &TestServer) {
    for character in NOT_IN_A_LINE {
        let text = format!("a{character}b");
        let code = "INVALID_CHARACTER";
        refuse(server, ROLE, role(json!({ "roleId": text })), code, &["roleId"]).await;
        refuse(server, ROLE, role(json!({ "name": text })), code, &["name"]).await;
        refuse(
            server,
            SET,
            set(json!({ "setId": text }), json!({})),
            code,
            &["set", "setId"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({ "name": text }), json!({})),
            code,
            &["set", "name"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({}), json!({ "fieldId": text })),
            code,
            &["fields", "0", "fieldId"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({}), json!({ "name": text })),
            code,
            &["fields", "0", "name"],
        )
        .await;
        let option = json!({ "options": [{ "value": text }] });
        refuse(server, SET, set(json!({}), option), code, &["fields", "0", "options"]).await;
        let pattern = json!({ "type": "TEXT", "options": [], "pattern": text });
        refuse(server, SET, set(json!({}), pattern), code, &["fields", "0", "pattern"]).await;
        refuse(
            server,
            TEMPLATE,
            template(json!({ "templateId": text }), json!({})),
            code,
            &["templateId"],
        )
        .await;
        refuse(
            server,
            TEMPLATE,
            template(json!({ "name": text }), json!({})),
            code,
            &["name"],
        )
        .await;
        let subject = template(json!({}), json!({ "subject": text }));
        refuse(server, TEMPLATE, subject, code, &["variants", "0", "subject"]).await;
    }
    // Texts of several lines may contain line breaks.
    for escape in ['\0', '\u{1b}', '\u{85}'] {
        let text = format!("a{escape}b");
        refuse(
            server,
            ROLE,
            role(json!({ "description": text })),
            "INVALID_CHARACTER",
            &["description"],
        )
        .await;
        let input = set(json!({}), json!({ "description": text }));
        refuse(server, SET, input, "INVALID_CHARACTER", &["fields", "0", "description"]).await;
        for name in ["text", "html"] {
            let input = template(json!({}), json!({ name: text }));
            refuse(server, TEMPLATE, input, "INVALID_CHARACTER", &["variants", "0", name]).await;
        }
    }
    let input = role(json!({ "description": "a\r\n\tb" }));
    let query =
        "mutation($input: UpsertClientRoleInput!) { upsertClientRole(input: $input) { clientRole { description } } }";
    let answer = server.graphql(query, json!({ "input": input })).await;
    answer.data(json!({ "upsertClientRole": { "clientRole": { "description": "a\r\n\tb" } } }));
}

async fn invisible_names_of_definitions_are_blank(server: &TestServer) {
    for blank in INVISIBLE {
        refuse(server, ROLE, role(json!({ "roleId": blank })), "BLANK", &["roleId"]).await;
        refuse(server, ROLE, role(json!({ "name": blank })), "BLANK", &["name"]).await;
        refuse(
            server,
            SET,
            set(json!({ "setId": blank }), json!({})),
            "BLANK",
            &["set", "setId"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({ "name": blank }), json!({})),
            "BLANK",
            &["set", "name"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({}), json!({ "fieldId": blank })),
            "BLANK",
            &["fields", "0", "fieldId"],
        )
        .await;
        refuse(
            server,
            SET,
            set(json!({}), json!({ "name": blank })),
            "BLANK",
            &["fields", "0", "name"],
        )
        .await;
        let option = json!({ "options": [{ "value": blank }] });
        refuse(
            server,
            SET,
            set(json!({}), option),
            "DUPLICATE",
            &["fields", "0", "options"],
        )
        .await;
        refuse(
            server,
            TEMPLATE,
            template(json!({ "templateId": blank }), json!({})),
            "BLANK",
            &["templateId"],
        )
        .await;
        refuse(
            server,
            TEMPLATE,
            template(json!({ "name": blank }), json!({})),
            "BLANK",
            &["name"],
        )
        .await;
        for name in ["subject", "text", "html"] {
            let input = template(json!({}), json!({ name: blank }));
            refuse(server, TEMPLATE, input, "BLANK", &["variants", "0", name]).await;
        }
    }
}

async fn stored_definition_with_invalid_text_can_be_changed(server: &TestServer) {
    let run = async |(mutation, input_type): (&str, &str), input: Value| {
        let query =
            format!("mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}");
        let answer = server.graphql(&query, json!({ "input": input })).await;
        answer.data(json!({ mutation: { "userErrors": [] } }));
    };
    run(ROLE, role(json!({}))).await;
    run(SET, set(json!({}), json!({}))).await;
    run(TEMPLATE, template(json!({}), json!({}))).await;
    let escape = if server.backend == Backend::Sqlite {
        "char(27)"
    } else {
        "chr(27)"
    };
    for sql in [
        format!("UPDATE client_role SET role_id = {escape}, name = {escape} WHERE role_id = 'vip'"),
        format!("UPDATE custom_field_set SET set_id = {escape}, name = {escape}"),
        format!("UPDATE custom_field SET field_id = {escape}, name = {escape}"),
        format!("UPDATE custom_field_option SET value = {escape}"),
        format!("UPDATE message_template SET template_id = {escape}, name = {escape}"),
        format!("UPDATE message_variant SET subject = {escape}"),
    ] {
        server.write(&sql).await.expect("a sound statement");
    }
    let escape = "\u{1b}";
    run(
        ROLE,
        json!({ "roleId": escape, "name": escape, "description": "changed" }),
    )
    .await;
    let option = json!([{ "value": escape }, { "value": "HIGH" }]);
    let field = json!({ "fieldId": escape, "name": escape, "description": "changed", "options": option });
    run(
        SET,
        json!({ "set": { "setId": escape, "name": escape }, "fields": [field] }),
    )
    .await;
    let variant = json!({ "language": "ENGLISH", "subject": escape, "text": "changed" });
    run(
        TEMPLATE,
        json!({ "templateId": escape, "name": escape, "active": false, "variants": [variant] }),
    )
    .await;
}
