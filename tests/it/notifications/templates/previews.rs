//! Previews: placeholders, languages and escaping.

use serde_json::{Value, json};

use super::upsert;
use crate::harness::{
    TestServer,
    graphql::{data, define, store},
};

const PREVIEW: &str = "query($template: String!, $client: ClientBy!, $language: Language) {
    previewMessage(templateId: $template, client: $client, language: $language) { matches language recipient subject \
    text html } }";

async fn preview(server: &TestServer, variables: Value) -> Value {
    data(server, PREVIEW, variables).await["previewMessage"].take()
}

/// The e-mail that `text` becomes for a client.
async fn says(server: &TestServer, text: &str, client: &Value) -> String {
    let template = json!({ "templateId": "say", "name": "Say", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": format!("[{text}]") }] });
    upsert(server, template).await;
    let said = preview(server, json!({ "template": "say", "client": client })).await;
    let said = said["text"].as_str().expect("a text");
    said[1..said.len() - 1].to_owned()
}

on_both!(
    each_placeholder_has_its_value,
    preview_uses_the_client_language_and_escapes_only_html,
    preview_takes_one_statement_and_writes_nothing,
);

async fn each_placeholder_has_its_value(server: &TestServer) {
    let kinds = [
        "TEXT",
        "LONG_TEXT",
        "NUMBER",
        "CHECKBOX",
        "DATE",
        "CLIENT_LINK",
        "USER_LINK",
        "GROUP_LINK",
    ];
    let mut fields: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({ "fieldId": kind, "name": kind, "type": kind }))
        .collect();
    fields.push(json!({ "fieldId": "a b|c.d", "name": "Choice", "type": "SELECTION",
        "options": [{ "value": "L {CLIENT_ID}" }] }));
    define(server, "facts", json!(fields)).await;
    let bob = store(
        server,
        json!({ "client": { "clientId": "bob", "firstName": "Bob", "lastName": "B" } }),
        "encodedKey",
    )
    .await;
    let key = bob["encodedKey"].as_str().expect("a key");
    let ana = json!({ "client": { "clientId": "ana", "firstName": "Ana Maria", "middleName": "de", "lastName": "Cruz",
            "emailAddress": "ana@example.test", "mobilePhone1": "+1 1", "mobilePhone2": "+1 2" },
        "idDocuments": [{ "documentType": "Passport", "documentId": "X1", "issuingAuthority": "Town",
            "validUntil": "2034-01-31" },
            { "documentType": "Card", "documentId": "C2" }],
        "customInformation": [{ "fieldId": "TEXT", "value": "x {CLIENT_NAME} {{ 1 }}" },
            { "fieldId": "LONG_TEXT", "value": "a\nb" },
            { "fieldId": "NUMBER", "value": "12.50" }, { "fieldId": "CHECKBOX", "value": "true" },
                { "fieldId": "DATE", "value": "2020-02-29" },
            { "fieldId": "CLIENT_LINK", "linkedKey": key }, { "fieldId": "USER_LINK", "linkedKey": "u1" },
            { "fieldId": "GROUP_LINK", "linkedKey": "g1" }, { "fieldId": "a b|c.d", "value": "L {CLIENT_ID}" }] });
    store(server, ana, "version").await;
    let (ana, bob) = (json!({ "clientId": "ana" }), json!({ "encodedKey": key }));
    for (placeholder, of_ana, of_bob) in [
        ("{CLIENT_NAME}", "Ana Maria de Cruz", "Bob B"),
        ("{RECIPIENT_NAME}", "Ana Maria de Cruz", "Bob B"),
        ("{CLIENT_ID}", "ana", "bob"),
        ("{CLIENT_FIRST_NAMES}", "Ana Maria", "Bob"),
        ("{CLIENT_MIDDLE_NAMES}", "de", ""),
        ("{CLIENT_LAST_NAME}", "Cruz", "B"),
        ("{RECIPIENT_EMAIL_ADDRESS}", "ana@example.test", ""),
        ("{RECIPIENT_MOBILE_PHONE}", "+1 1", ""),
        ("{ID_DOCUMENT_TYPE}", "Passport", ""),
        ("{ID_DOCUMENT_NUMBER}", "X1", ""),
        ("{ID_DOCUMENT_ISSUING_AUTHORITY}", "Town", ""),
        ("{ID_DOCUMENT_EXPIRY_DATE}", "2034-01-31", ""),
        // A value is never rendered as a template.
        ("{CF:TEXT}", "x {CLIENT_NAME} {{ 1 }}", ""),
        ("{CF:LONG_TEXT}", "a\nb", ""),
        ("{CF:NUMBER}", "12.5", ""),
        ("{CF:CHECKBOX}", "TRUE", ""),
        ("{CF:DATE}", "2020-02-29", ""),
        ("{CF:CLIENT_LINK}", key, ""),
        ("{CF:USER_LINK}", "u1", ""),
        ("{CF:GROUP_LINK}", "g1", ""),
        ("{CF:a b|c.d}", "L {CLIENT_ID}", ""),
        (
            "{{CLIENT_ID}} { } {% x %}\r\n\n",
            "{ana} { } {% x %}\r\n\n",
            "{bob} { } {% x %}\r\n\n",
        ),
    ] {
        assert_eq!(says(server, placeholder, &ana).await, of_ana, "{placeholder}");
        assert_eq!(says(server, placeholder, &bob).await, of_bob, "{placeholder}");
    }
    for (placeholder, form) in [
        ("{CURRENT_DATE}", "0000-00-00"),
        ("{CURRENT_DATE_TIME}", "0000-00-00 00:00:00 UTC"),
    ] {
        let said = says(server, placeholder, &ana).await;
        assert_eq!(said.replace(|digit: char| digit.is_ascii_digit(), "0"), form, "{said}");
    }
    // The field goes, the placeholder is an empty text from then on.
    store(
        server,
        json!({ "client": { "encodedKey": key }, "customInformation": [{ "fieldId": "USER_LINK",
        "linkedKey": "u2" }] }),
        "version",
    )
    .await;
    assert_eq!(says(server, "{CF:USER_LINK}", &bob).await, "u2");
    for client in [json!({ "clientId": "ana" }), json!({ "clientId": "bob" })] {
        let found = data(
            server,
            "query($by: ClientBy!) { client(by: $by) { encodedKey } }",
            json!({ "by": client }),
        )
        .await;
        store(
            server,
            json!({ "client": found["client"], "customInformation": [] }),
            "version",
        )
        .await;
    }
    define(server, "facts", json!([])).await;
    assert_eq!(
        preview(server, json!({ "template": "say", "client": bob })).await["text"],
        "[]"
    );
}

async fn preview_uses_the_client_language_and_escapes_only_html(server: &TestServer) {
    upsert(
        server,
        json!({ "templateId": "mail", "name": "Mail", "event": "CLIENT_UPDATED", "channel": "EMAIL",
        "active": false,
        "variants": [
            { "language": "GERMAN", "subject": "An {CLIENT_LAST_NAME}", "text": "{CLIENT_FIRST_NAMES}",
                "html": "<i title='{CLIENT_FIRST_NAMES}'>&amp;</i>\n" },
            { "language": "FRENCH", "subject": "A", "text": "B" }] }),
    )
    .await;
    upsert(
        server,
        json!({ "templateId": "sms", "name": "Text", "event": "CLIENT_UPDATED", "channel": "SMS",
        "variants": [{ "language": "FRENCH", "text": "{CLIENT_FIRST_NAMES} {RECIPIENT_MOBILE_PHONE}" }] }),
    )
    .await;
    let client = json!({ "client": { "clientId": "c", "firstName": "<b>\"'&/", "lastName": "A B",
        "preferredLanguage": "GERMAN",
        "emailAddress": "c@example.test", "mobilePhone2": "+1 2" } });
    store(server, client, "version").await;
    // Names were stored with control characters under earlier rules.
    let control = if server.backend == crate::harness::Backend::Sqlite {
        "char"
    } else {
        "chr"
    };
    let sql = format!("UPDATE client SET last_name = 'A' || {control}(133) || {control}(10) || 'B'");
    server.write(&sql).await.expect("a sound statement");
    let german = json!({ "matches": true, "language": "GERMAN", "recipient": "c@example.test", "subject": "An A  B",
        "text": "<b>\"'&/", "html": "<i title='&lt;b&gt;&quot;&#x27;&amp;&#x2f;'>&amp;</i>\n" });
    let french = json!({ "matches": true, "language": "FRENCH", "recipient": "c@example.test", "subject": "A",
        "text": "B", "html": null });
    let client = json!({ "clientId": "c" });
    for (language, expected) in [
        (Value::Null, &german),
        (json!("FRENCH"), &french),
        (json!("BURMESE"), &german),
    ] {
        let variables = json!({ "template": "mail", "client": client, "language": language });
        assert_eq!(preview(server, variables).await, *expected);
    }
    let sms = json!({ "matches": true, "language": "FRENCH", "recipient": "+1 2", "subject": null,
        "text": "<b>\"'&/ +1 2", "html": null });
    assert_eq!(
        preview(server, json!({ "template": "sms", "client": client })).await,
        sms
    );
    for (template, client) in [
        ("gone", client),
        ("mail", json!({ "clientId": "gone" })),
        ("mail", json!({ "id": "gone" })),
        ("a\u{0}", json!({ "encodedKey": "\u{0}" })),
    ] {
        assert_eq!(
            preview(server, json!({ "template": template, "client": client })).await,
            Value::Null
        );
    }
}

async fn preview_takes_one_statement_and_writes_nothing(server: &TestServer) {
    store(
        server,
        json!({ "client": { "clientId": "c", "firstName": "Amara", "lastName": "Bellweather" } }),
        "version",
    )
    .await;
    says(server, "{CLIENT_NAME}", &json!({ "clientId": "c" })).await;
    let before = server.snapshot().await;
    server.statements();
    let unreachable = json!({ "matches": true, "language": "ENGLISH", "recipient": null, "subject": "S",
        "text": "[Amara Bellweather]", "html": null });
    assert_eq!(
        preview(server, json!({ "template": "say", "client": { "clientId": "c" } })).await,
        unreachable
    );
    assert_eq!(server.statements().len(), 1);
    assert_eq!(server.snapshot().await, before);
}
