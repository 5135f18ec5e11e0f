//! The characters of texts in GraphQL: each refusal is a user error with the path of its text.

use clientele::custom_field::Kind;
use serde_json::{Value, json};

use super::{create_trevor, upsert};
use crate::harness::{TestServer, field};

/// Characters that no line may have, NUL among them.
const NOT_IN_A_LINE: [char; 5] = ['\0', '\n', '\t', '\u{1b}', '\u{9b}'];
const INVISIBLE: [&str; 8] = [
    " ", "\u{200b}", "\u{feff}", "\u{2060}", "\u{3164}", "\u{ad}", "\u{200e}", "\u{2800}",
];

/// Runs a mutation and asserts that it has one user error, and that nothing is stored.
#[track_caller]
fn refused<'a>(
    server: &'a TestServer,
    (mutation, input_type): (&'a str, &'a str),
    input: Value,
    code: &'a str,
    path: &'a [&'a str],
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let before = server.snapshot().await;
        let query =
            format!("mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}");
        let answer = server.graphql(&query, json!({ "input": input })).await;
        let path: Vec<&str> = ["input"].iter().chain(path).copied().collect();
        let expected = json!([{ "code": code, "path": path }]);
        assert_eq!(
            answer.body["data"][mutation]["userErrors"], expected,
            "{caller}: {input}: {}",
            answer.text
        );
        assert_eq!(server.snapshot().await, before);
    }
}

const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");
const ROLE: (&str, &str) = ("upsertClientRole", "UpsertClientRoleInput");
const SET: (&str, &str) = ("upsertCustomFieldSet", "UpsertCustomFieldSetInput");
const TEMPLATE: (&str, &str) = ("upsertMessageTemplate", "UpsertMessageTemplateInput");

fn role(own: Value) -> Value {
    crate::harness::with(json!({ "roleId": "vip", "name": "VIP" }), own)
}

fn set(own: Value, field: Value) -> Value {
    let option = json!([{ "value": "LOW" }]);
    let whole = json!({ "fieldId": "band", "name": "Band", "type": "SELECTION", "options": option });
    let set = crate::harness::with(json!({ "setId": "facts", "name": "Facts" }), own);
    json!({ "set": set, "fields": [crate::harness::with(whole, field)] })
}

fn template(own: Value, variant: Value) -> Value {
    let whole = json!({ "language": "ENGLISH", "subject": "S", "text": "T" });
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [crate::harness::with(whole, variant)] });
    crate::harness::with(template, own)
}

on_both!(
    control_character_of_a_client_is_refused,
    invisible_names_are_blank,
    control_character_of_a_definition_is_refused,
    reserved_ids_and_ids_with_blanks_at_their_ends_are_refused,
    list_of_addresses_has_a_limit,
    text_that_no_client_has_finds_none,
    stored_definition_that_todays_rules_refuse_can_be_changed,
);

async fn control_character_of_a_client_is_refused(server: &TestServer) {
    server.define(vec![field("shoe", Kind::Text)]).await;
    create_trevor(server).await;
    for character in NOT_IN_A_LINE {
        let text = format!("a{character}b");
        for name in [
            "firstName",
            "middleName",
            "lastName",
            "homePhone",
            "mobilePhone1",
            "mobilePhone2",
        ] {
            let client = crate::harness::with(json!({ "firstName": "A", "lastName": "B" }), json!({ name: text }));
            let input = json!({ "client": client });
            refused(server, CLIENT, input, "INVALID_CHARACTER", &["client", name]).await;
        }
        let client = json!({ "firstName": "A", "lastName": "B" });
        let new = |own: Value| crate::harness::with(json!({ "client": client }), own);
        let id = json!({ "client": { "firstName": "A", "lastName": "B", "clientId": text } });
        refused(server, CLIENT, id, "INVALID_CHARACTER", &["client", "clientId"]).await;
        for name in ["documentType", "documentId", "issuingAuthority"] {
            let document =
                crate::harness::with(json!({ "documentType": "P", "documentId": "1" }), json!({ name: text }));
            let input = new(json!({ "idDocuments": [document] }));
            refused(server, CLIENT, input, "INVALID_CHARACTER", &["idDocuments", "0", name]).await;
        }
        for name in ["line1", "line2", "city", "region", "postcode", "country"] {
            let input = new(json!({ "addresses": [{ name: text }] }));
            refused(server, CLIENT, input, "INVALID_CHARACTER", &["addresses", "0", name]).await;
        }
        let input = new(json!({ "customInformation": [{ "fieldId": "shoe", "value": text }] }));
        refused(
            server,
            CLIENT,
            input,
            "INVALID_CHARACTER",
            &["customInformation", "0", "value"],
        )
        .await;
    }
    let input = json!({ "client": { "firstName": "A", "lastName": "B", "notes": "a\r\n\tb" } });
    assert_eq!(
        upsert(server, input).await.body["data"]["upsertClient"]["client"]["notes"],
        "a\r\n\tb"
    );
    let input = json!({ "client": { "firstName": "A", "lastName": "B", "notes": "a\u{1b}b" } });
    refused(server, CLIENT, input, "INVALID_CHARACTER", &["client", "notes"]).await;
}

async fn invisible_names_are_blank(server: &TestServer) {
    for blank in INVISIBLE {
        for name in ["firstName", "lastName"] {
            let client = crate::harness::with(json!({ "firstName": "A", "lastName": "B" }), json!({ name: blank }));
            refused(server, CLIENT, json!({ "client": client }), "BLANK", &["client", name]).await;
        }
        let client = json!({ "firstName": "A", "lastName": "B", "clientId": blank });
        for match_on in ["ENCODED_KEY", "CLIENT_ID"] {
            let input = json!({ "client": client, "matchOn": match_on });
            refused(server, CLIENT, input, "BLANK", &["client", "clientId"]).await;
        }
        refused(server, ROLE, role(json!({ "roleId": blank })), "BLANK", &["roleId"]).await;
        refused(server, ROLE, role(json!({ "name": blank })), "BLANK", &["name"]).await;
        refused(
            server,
            SET,
            set(json!({ "setId": blank }), json!({})),
            "BLANK",
            &["set", "setId"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({ "name": blank }), json!({})),
            "BLANK",
            &["set", "name"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({}), json!({ "fieldId": blank })),
            "BLANK",
            &["fields", "0", "fieldId"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({}), json!({ "name": blank })),
            "BLANK",
            &["fields", "0", "name"],
        )
        .await;
        let option = json!({ "options": [{ "value": blank }] });
        refused(
            server,
            SET,
            set(json!({}), option),
            "DUPLICATE",
            &["fields", "0", "options"],
        )
        .await;
        refused(
            server,
            TEMPLATE,
            template(json!({ "templateId": blank }), json!({})),
            "BLANK",
            &["templateId"],
        )
        .await;
        refused(
            server,
            TEMPLATE,
            template(json!({ "name": blank }), json!({})),
            "BLANK",
            &["name"],
        )
        .await;
        for name in ["subject", "text", "html"] {
            let input = template(json!({}), json!({ name: blank }));
            refused(server, TEMPLATE, input, "BLANK", &["variants", "0", name]).await;
        }
    }
}

async fn control_character_of_a_definition_is_refused(server: &TestServer) {
    for character in NOT_IN_A_LINE {
        let text = format!("a{character}b");
        let code = "INVALID_CHARACTER";
        refused(server, ROLE, role(json!({ "roleId": text })), code, &["roleId"]).await;
        refused(server, ROLE, role(json!({ "name": text })), code, &["name"]).await;
        refused(
            server,
            SET,
            set(json!({ "setId": text }), json!({})),
            code,
            &["set", "setId"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({ "name": text }), json!({})),
            code,
            &["set", "name"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({}), json!({ "fieldId": text })),
            code,
            &["fields", "0", "fieldId"],
        )
        .await;
        refused(
            server,
            SET,
            set(json!({}), json!({ "name": text })),
            code,
            &["fields", "0", "name"],
        )
        .await;
        let option = json!({ "options": [{ "value": text }] });
        refused(server, SET, set(json!({}), option), code, &["fields", "0", "options"]).await;
        let pattern = json!({ "type": "TEXT", "options": [], "pattern": text });
        refused(server, SET, set(json!({}), pattern), code, &["fields", "0", "pattern"]).await;
        refused(
            server,
            TEMPLATE,
            template(json!({ "templateId": text }), json!({})),
            code,
            &["templateId"],
        )
        .await;
        refused(
            server,
            TEMPLATE,
            template(json!({ "name": text }), json!({})),
            code,
            &["name"],
        )
        .await;
        let subject = template(json!({}), json!({ "subject": text }));
        refused(server, TEMPLATE, subject, code, &["variants", "0", "subject"]).await;
    }
    // What is read in more than one line may have line breaks.
    for escape in ['\0', '\u{1b}', '\u{85}'] {
        let text = format!("a{escape}b");
        refused(
            server,
            ROLE,
            role(json!({ "description": text })),
            "INVALID_CHARACTER",
            &["description"],
        )
        .await;
        let input = set(json!({}), json!({ "description": text }));
        refused(server, SET, input, "INVALID_CHARACTER", &["fields", "0", "description"]).await;
        for name in ["text", "html"] {
            let input = template(json!({}), json!({ name: text }));
            refused(server, TEMPLATE, input, "INVALID_CHARACTER", &["variants", "0", name]).await;
        }
    }
    let input = role(json!({ "description": "a\r\n\tb" }));
    let query =
        "mutation($input: UpsertClientRoleInput!) { upsertClientRole(input: $input) { clientRole { description } } }";
    let answer = server.graphql(query, json!({ "input": input })).await;
    answer.data(json!({ "upsertClientRole": { "clientRole": { "description": "a\r\n\tb" } } }));
}

async fn reserved_ids_and_ids_with_blanks_at_their_ends_are_refused(server: &TestServer) {
    for (id, code) in [
        (".", "TAKEN"),
        ("..", "TAKEN"),
        ("search", "TAKEN"),
        (" a", "INVALID"),
        ("a\u{200b}", "INVALID"),
    ] {
        let input = json!({ "client": { "firstName": "A", "lastName": "B", "clientId": id } });
        refused(server, CLIENT, input, code, &["client", "clientId"]).await;
    }
}

async fn list_of_addresses_has_a_limit(server: &TestServer) {
    let input = |count| json!({ "client": { "firstName": "A", "lastName": "B" }, "addresses": vec![json!({}); count] });
    refused(server, CLIENT, input(201), "TOO_MANY", &["addresses"]).await;
    assert_eq!(
        upsert(server, input(200)).await.body["data"]["upsertClient"]["userErrors"],
        json!([])
    );
}

async fn text_that_no_client_has_finds_none(server: &TestServer) {
    create_trevor(server).await;
    for text in ["\0", "a\0", "\u{1b}", "\u{2029}"] {
        for member in [
            "firstNameStartsWith",
            "lastNameStartsWith",
            "emailAddress",
            "phone",
            "documentId",
        ] {
            let query = "query($filter: ClientFilter) { clients(filter: $filter) { nodes { clientId } } }";
            let answer = server.graphql(query, json!({ "filter": { member: text } })).await;
            answer.data(json!({ "clients": { "nodes": [] } }));
        }
    }
}

async fn stored_definition_that_todays_rules_refuse_can_be_changed(server: &TestServer) {
    let run = async |(mutation, input_type): (&str, &str), input: Value| {
        let query =
            format!("mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ userErrors {{ code path }} }} }}");
        let answer = server.graphql(&query, json!({ "input": input })).await;
        answer.data(json!({ mutation: { "userErrors": [] } }));
    };
    run(ROLE, role(json!({}))).await;
    run(SET, set(json!({}), json!({}))).await;
    run(TEMPLATE, template(json!({}), json!({}))).await;
    let escape = if server.backend == crate::harness::Backend::Sqlite {
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
