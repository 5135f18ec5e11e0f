//! Validation of templates.

use serde_json::{Value, json};

use super::{refused, upsert, welcome};
use crate::harness::{
    TestServer,
    graphql::{define, define_role},
    with,
};

/// A new e-mail template with one English variant.
fn email(members: Value) -> Value {
    let variant = with(json!({ "language": "ENGLISH", "subject": "S", "text": "T" }), members);
    json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL", "variants": [variant] })
}

on_both!(
    all_problems_of_a_template_are_reported_at_once,
    stored_template_limits_its_changes,
    unknown_placeholder_is_reported_with_name_and_position,
    misspelt_placeholder_is_refused_with_the_right_one,
    text_may_keep_the_placeholder_of_a_deleted_field,
);

async fn all_problems_of_a_template_are_reported_at_once(server: &TestServer) {
    upsert(server, welcome()).await;
    define(
        server,
        "facts",
        json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" }]),
    )
    .await;
    define_role(server, json!({ "roleId": "vip", "name": "VIP" })).await;
    refused(
        server,
        json!({ "templateId": "" }),
        &[
            ("BLANK", "templateId"),
            ("BLANK", "name"),
            ("BLANK", "event"),
            ("BLANK", "channel"),
            ("BLANK", "variants"),
        ],
    )
    .await;
    let wrong = json!({ "templateId": "t".repeat(33), "encodedKey": "welcomeKey", "name": " ",
        "event": "CLIENT_CREATED", "channel": "EMAIL",
        "defaultLanguage": "RUSSIAN",
        "variants": [
            { "language": "ENGLISH", "text": " " },
            { "language": "ENGLISH", "subject": "S", "text": "again" },
            { "language": "FRENCH", "subject": "a\nb", "text": "{ABSENT}", "html": "\u{1}" },
            { "language": "GERMAN", "subject": "{CLIENT_NAME", "text": "{CF:age} {CF:gone}", "html": "{A}\n {A}{B}" },
            { "language": "SPANISH", "subject": "s".repeat(256), "text": "t".repeat(100_001),
                "html": "h".repeat(100_001) },
            { "language": "GEORGIAN", "subject": "", "text": "{CLIENT_ID}".repeat(501) }],
        "conditions": { "clientRoles": [{ "roleId": "vip" }, { "roleId": "absent" }, { "encodedKey": "absent" }],
            "states": ["ACTIVE"],
            "customFields": [{ "fieldId": "gone", "value": "x" }, { "fieldId": "age", "value": "x" },
                { "fieldId": "age", "value": "" }] } });
    refused(
        server,
        wrong,
        &[
            ("TOO_LONG", "templateId"),
            ("TAKEN", "encodedKey"),
            ("BLANK", "name"),
            ("BLANK", "variants.0.subject"),
            ("BLANK", "variants.0.text"),
            ("DUPLICATE", "variants.1.language"),
            ("INVALID_CHARACTER", "variants.2.subject"),
            ("INVALID_CHARACTER", "variants.2.html"),
            ("UNKNOWN_PLACEHOLDER", "variants.2.text"),
            ("UNKNOWN_PLACEHOLDER", "variants.3.html"),
            ("UNKNOWN_PLACEHOLDER", "variants.3.html"),
            ("UNKNOWN_PLACEHOLDER", "variants.3.text"),
            ("TOO_LONG", "variants.4.subject"),
            ("TOO_LONG", "variants.4.html"),
            ("TOO_LONG", "variants.4.text"),
            ("BLANK", "variants.5.subject"),
            ("TOO_MANY", "variants.5.text"),
            ("INVALID", "defaultLanguage"),
            ("NOT_FOUND", "conditions.clientRoles.1.roleId"),
            ("NOT_FOUND", "conditions.clientRoles.2.encodedKey"),
            ("NOT_FOUND", "conditions.customFields.0.fieldId"),
            ("NOT_A_NUMBER", "conditions.customFields.1.value"),
            ("DUPLICATE", "conditions.customFields.2.fieldId"),
            ("BLANK", "conditions.customFields.2.value"),
        ],
    )
    .await;
    let sms = json!({ "templateId": "s", "name": "S", "event": "CLIENT_CREATED", "channel": "SMS", "variants": [
        { "language": "ENGLISH", "subject": "S", "text": "t".repeat(1_601), "html": "h" }] });
    refused(
        server,
        sms,
        &[
            ("INVALID", "variants.0.subject"),
            ("INVALID", "variants.0.html"),
            ("TOO_LONG", "variants.0.text"),
        ],
    )
    .await;
    for (variants, code) in [(Value::Null, "NULL_LIST"), (json!([]), "BLANK")] {
        refused(
            server,
            json!({ "templateId": "welcome", "variants": variants }),
            &[(code, "variants")],
        )
        .await;
    }
    let many: Value = (0..101).map(|_| json!("ACTIVE")).collect();
    refused(
        server,
        json!({ "templateId": "welcome", "conditions": { "states": many } }),
        &[("TOO_MANY", "conditions.states")],
    )
    .await;
}

async fn stored_template_limits_its_changes(server: &TestServer) {
    upsert(server, welcome()).await;
    refused(
        server,
        json!({ "templateId": "welcome", "encodedKey": "other", "channel": "SMS" }),
        &[("INVALID", "encodedKey"), ("INVALID", "channel")],
    )
    .await;
    // The default language keeps its variant, or is another one.
    let english = json!([{ "language": "ENGLISH", "text": "T" }]);
    refused(
        server,
        json!({ "templateId": "welcome", "variants": english }),
        &[("INVALID", "defaultLanguage")],
    )
    .await;
    refused(
        server,
        json!({ "templateId": "welcome", "defaultLanguage": "GERMAN" }),
        &[("INVALID", "defaultLanguage")],
    )
    .await;
    // A stored subject doesn't fit a text message, unless it is taken away.
    let sms = |subject: Value| {
        json!({ "templateId": "welcome", "channel": "SMS", "defaultLanguage": "ENGLISH",
        "variants": [{ "language": "ENGLISH", "subject": subject, "text": "T", "html": null }] })
    };
    refused(server, sms(json!("S")), &[("INVALID", "variants.0.subject")]).await;
    assert_eq!(
        upsert(server, sms(Value::Null)).await["variants"][0]["subject"],
        Value::Null
    );
    refused(
        server,
        json!({ "templateId": "welcome", "variants": [{ "language": "ENGLISH", "text": "{ABSENT}" }] }),
        &[("UNKNOWN_PLACEHOLDER", "variants.0.text")],
    )
    .await;
}

async fn unknown_placeholder_is_reported_with_name_and_position(server: &TestServer) {
    let problems = refused(
        server,
        email(
            json!({ "subject": "{WHO}", "text": "é {CLIENT_NAME}\n\n  {NO_ONE} {NO_ONE} \
        {CF:gone}", "html": "{{ x }} {_}" }),
        ),
        &[
            ("UNKNOWN_PLACEHOLDER", "variants.0.subject"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.html"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
        ],
    )
    .await;
    assert_eq!(
        problems,
        [
            "The placeholder {WHO} in line 1, column 1 doesn't exist.",
            "The placeholder {_} in line 1, column 9 doesn't exist.",
            "The placeholder {NO_ONE} in line 3, column 3 doesn't exist.",
            "The placeholder {CF:gone} in line 3, column 21 doesn't exist."
        ]
    );
    let long = format!("{{{}}}", "A".repeat(90_000));
    let problems = refused(
        server,
        email(json!({ "text": long })),
        &[("UNKNOWN_PLACEHOLDER", "variants.0.text")],
    )
    .await;
    assert!(problems[0].len() < 200, "{}", problems[0]);
}

async fn misspelt_placeholder_is_refused_with_the_right_one(server: &TestServer) {
    let age = json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" }]);
    define(server, "facts", age).await;
    let problems = refused(
        server,
        email(
            json!({ "subject": "Dear {client_name}", "text": "{CLIENT_NAMES}\n{ CLIENT_ID } {cf:age} {CF:Age}",
            "html": "<style>p { color: red }</style>{{client_id}} {client_id}" }),
        ),
        &[
            ("UNKNOWN_PLACEHOLDER", "variants.0.subject"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.html"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
            ("UNKNOWN_PLACEHOLDER", "variants.0.text"),
        ],
    )
    .await;
    let sentence = |key: &str, line: u32, column: u32, meant: &str| {
        format!("The placeholder {{{key}}} in line {line}, column {column} doesn't exist. Did you mean {{{meant}}}?")
    };
    assert_eq!(
        problems,
        [
            sentence("client_name", 1, 6, "CLIENT_NAME"),
            sentence("client_id", 1, 33, "CLIENT_ID"),
            sentence("CLIENT_NAMES", 1, 1, "CLIENT_NAME"),
            sentence(" CLIENT_ID ", 2, 1, "CLIENT_ID"),
            sentence("cf:age", 2, 15, "CF:age"),
            sentence("CF:Age", 2, 24, "CF:age"),
        ]
    );
    // Other braces are text.
    let text = "{ } {a} {name} { color: red } {cf:gone} {names of clients} {";
    upsert(server, email(json!({ "text": text }))).await;
    let many = json!({ "text": "{client_id}".repeat(501) });
    let problems = refused(server, email(many), &[("TOO_MANY", "variants.0.text")]).await;
    let message = "text has 501 placeholders, including texts in braces that look like one: at most 500 are allowed.";
    assert_eq!(problems, [message]);
}

async fn text_may_keep_the_placeholder_of_a_deleted_field(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" }]),
    )
    .await;
    let mut template = email(json!({ "text": "{CF:age}" }));
    template["conditions"] = json!({ "customFields": [{ "fieldId": "age", "value": "7.0" }] });
    let stored = upsert(server, template).await;
    assert_eq!(
        stored["conditions"]["customFields"],
        json!([{ "field": { "fieldId": "age" }, "value": "7" }])
    );
    define(server, "facts", json!([])).await;
    let kept = upsert(server, email(json!({ "text": "{CF:age}", "subject": "Changed" }))).await;
    assert_eq!(
        kept["conditions"]["customFields"],
        json!([{ "field": null, "value": "7" }])
    );
    refused(
        server,
        email(json!({ "text": "{CF:age}!" })),
        &[("UNKNOWN_PLACEHOLDER", "variants.0.text")],
    )
    .await;
}
