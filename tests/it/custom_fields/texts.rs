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

/// Definitions with `text` in one member each: the mutation, its input and the member's path.
fn in_one_line(text: &str) -> Vec<((&'static str, &'static str), Value, Vec<&'static str>)> {
    vec![
        (ROLE, role(json!({ "roleId": text })), vec!["roleId"]),
        (ROLE, role(json!({ "name": text })), vec!["name"]),
        (SET, set(json!({ "setId": text }), json!({})), vec!["set", "setId"]),
        (SET, set(json!({ "name": text }), json!({})), vec!["set", "name"]),
        (
            SET,
            set(json!({}), json!({ "fieldId": text })),
            vec!["fields", "0", "fieldId"],
        ),
        (
            SET,
            set(json!({}), json!({ "name": text })),
            vec!["fields", "0", "name"],
        ),
        (
            TEMPLATE,
            template(json!({ "templateId": text }), json!({})),
            vec!["templateId"],
        ),
        (TEMPLATE, template(json!({ "name": text }), json!({})), vec!["name"]),
        (
            TEMPLATE,
            template(json!({}), json!({ "subject": text })),
            vec!["variants", "0", "subject"],
        ),
    ]
}

async fn control_characters_in_definitions_are_refused(server: &TestServer) {
    let code = "INVALID_CHARACTER";
    for character in NOT_IN_A_LINE {
        let text = format!("a{character}b");
        for (mutation, input, path) in in_one_line(&text) {
            refuse(server, mutation, input, code, &path).await;
        }
        let option = set(json!({}), json!({ "options": [{ "value": text }] }));
        refuse(server, SET, option, code, &["fields", "0", "options"]).await;
        let pattern = set(json!({}), json!({ "type": "TEXT", "options": [], "pattern": text }));
        refuse(server, SET, pattern, code, &["fields", "0", "pattern"]).await;
    }
    // Texts of several lines may contain line breaks.
    for escape in ['\0', '\u{1b}', '\u{85}'] {
        let text = format!("a{escape}b");
        refuse(
            server,
            ROLE,
            role(json!({ "description": text })),
            code,
            &["description"],
        )
        .await;
        let description = set(json!({}), json!({ "description": text }));
        refuse(server, SET, description, code, &["fields", "0", "description"]).await;
        for name in ["text", "html"] {
            let input = template(json!({}), json!({ name: text }));
            refuse(server, TEMPLATE, input, code, &["variants", "0", name]).await;
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
        for (mutation, input, path) in in_one_line(blank) {
            refuse(server, mutation, input, "BLANK", &path).await;
        }
        for name in ["text", "html"] {
            let input = template(json!({}), json!({ name: blank }));
            refuse(server, TEMPLATE, input, "BLANK", &["variants", "0", name]).await;
        }
        let option = set(json!({}), json!({ "options": [{ "value": blank }] }));
        refuse(server, SET, option, "DUPLICATE", &["fields", "0", "options"]).await;
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
