//! The values of custom fields, and the code of every refusal.

use async_graphql::MaybeUndefined;
use clientele::{
    custom_field::CustomFieldInput,
    definitions::{FieldState, Kind},
};
use serde_json::{Value, json};

use super::{CLIENTS, FIRST, client, create, expanded, refusal, stored, text_field, value};
use crate::harness::{TestServer, field, options};

/// One field of each type.
async fn define_each_type(server: &TestServer) {
    server
        .define(vec![
            field("text", Kind::Text),
            field("long", Kind::LongText),
            CustomFieldInput {
                options: options(&["LOW", "HIGH"]),
                ..field("band", Kind::Selection)
            },
            field("number", Kind::Number),
            field("flag", Kind::Checkbox),
            field("day", Kind::Date),
            field("client", Kind::ClientLink),
            field("user", Kind::UserLink),
            field("group", Kind::GroupLink),
        ])
        .await;
}

fn of(id: &str, value: impl Into<Value>) -> Value {
    json!({ "customInformation": [{ "customFieldID": id, "value": value.into() }] })
}

fn link(id: &str, key: &str) -> Value {
    json!({ "customInformation": [{ "customFieldID": id, "linkedEntityKeyValue": key }] })
}

/// Asserts that the body is refused with this code, and that nothing was written.
async fn refused(server: &TestServer, body: Value, code: u16, status: &str, source: &str) {
    server.refuses(FIRST, body, 400, refusal(code, status, source)).await;
}

on_both!(
    values_are_answered_as_sent_or_in_canonical_form,
    number_is_read_from_the_digits_of_its_text,
    links_are_answered_as_links,
    value_of_a_wrong_type_is_901,
    new_empty_value_is_901,
    missing_required_value_is_902,
    deactivated_required_field_is_not_demanded,
    unknown_field_is_903_or_3600,
    too_long_value_is_904,
    deactivated_field_is_908,
    link_to_an_unknown_client_is_911,
    group_index_on_a_single_set_is_913,
    value_not_matching_the_pattern_is_917,
    duplicate_field_is_918,
);

async fn values_are_answered_as_sent_or_in_canonical_form(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    let long = "x".repeat(2_048);
    let text = "é".repeat(255);
    for (id, sent, answered) in [
        ("text", json!(text), text.as_str()),
        ("text", json!(" x "), " x "),
        ("long", json!(long), long.as_str()),
        ("band", json!("HIGH"), "HIGH"),
        ("number", json!("12.500"), "12.5"),
        ("number", json!(12.50), "12.5"),
        ("number", json!(7), "7"),
        ("number", json!("-0.10"), "-0.1"),
        ("number", json!("007"), "007"),
        ("number", json!("12."), "12"),
        (
            "number",
            json!("123456789012345678901234567890"),
            "123456789012345678901234567890",
        ),
        ("flag", json!("TRUE"), "TRUE"),
        ("flag", json!("false"), "FALSE"),
        ("flag", json!(true), "TRUE"),
        ("day", json!("2024-02-29"), "2024-02-29"),
    ] {
        let body = json!({ "customInformation": [{ "customFieldID": id, "value": sent }] });
        let answer = server.post(FIRST, body).await;
        assert_eq!(
            (answer.status, &answer.body["customInformation"][0]["value"]),
            (200, &json!(answered)),
            "{id} {sent} {}",
            answer.text
        );
        let read = server.get("/api/clients/<key 1>?fullDetails=true").await;
        assert_eq!(
            read.body["customInformation"][0]["value"],
            json!(answered),
            "{id} {sent}"
        );
    }
}

async fn number_is_read_from_the_digits_of_its_text(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    // None of these survives a float.
    for digits in [
        "12345678901234567890.0123456789",
        "0.1000000000000000055511151231",
        "9007199254740993",
    ] {
        let body = format!(r#"{{"customInformation":[{{"customFieldID":"number","value":{digits}}}]}}"#);
        let request = server
            .request(reqwest::Method::POST, FIRST)
            .header("content-type", "application/json")
            .body(body);
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["customInformation"][0]["value"]),
            (200, &json!(digits)),
            "{}",
            answer.text
        );
    }
}

async fn links_are_answered_as_links(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    create(server, json!({})).await;
    for (id, key) in [
        ("client", "<key 2>"),
        ("client", "<key 1>"),
        ("user", "u1"),
        ("group", "abcdefghijklmnopqrstuvwxyzABCDEF"),
    ] {
        let answer = server.post(FIRST, link(id, key)).await;
        let value = &answer.body["customInformation"][0];
        assert_eq!(
            (answer.status, &value["linkedEntityKeyValue"], value.get("value")),
            (200, &json!(key), None),
            "{}",
            answer.text
        );
    }
}

async fn value_of_a_wrong_type_is_901(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    const NAME: &str = "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE";
    let number = "customInformation[0].value: The field number takes a decimal number of up to 30 digits.";
    for wrong in [
        "1e5",
        "1,5",
        "+1",
        "x",
        ".",
        "-",
        " 1",
        "1234567890123456789012345678901",
        "١",
    ] {
        refused(server, of("number", wrong), 901, NAME, number).await;
    }
    for wrong in ["yes", "1", "TRUE "] {
        refused(
            server,
            of("flag", wrong),
            901,
            NAME,
            "customInformation[0].value: The field flag takes TRUE or FALSE.",
        )
        .await;
    }
    for wrong in [
        "2023-02-29",
        "2023-1-1",
        "17.04.1990",
        "2023-01-01T00:00:00+0000",
        "0000-01-01",
    ] {
        let source = "customInformation[0].value: The field day takes a date of the form YYYY-MM-DD.";
        refused(server, of("day", wrong), 901, NAME, source).await;
    }
    for wrong in ["low", "MEDIUM", "LOW "] {
        refused(
            server,
            of("band", wrong),
            901,
            NAME,
            "customInformation[0].value: The field band takes one of its options only.",
        )
        .await;
    }
    for id in ["user", "group"] {
        let source = format!(
            "customInformation[0].linkedEntityKeyValue: The field {id} takes a key of 1 to 32 letters and digits."
        );
        for wrong in ["no key", "abcdefghijklmnopqrstuvwxyzABCDEFG"] {
            refused(server, link(id, wrong), 901, NAME, &source).await;
        }
    }
    let source = "customInformation[0].linkedEntityKeyValue: The field text is of type TEXT: send value, not \
        linkedEntityKeyValue.";
    refused(server, link("text", "k1"), 901, NAME, source).await;
    let source =
        "customInformation[0].value: The field user is of type USER_LINK: send linkedEntityKeyValue, not value.";
    refused(server, of("user", "k1"), 901, NAME, source).await;
}

async fn new_empty_value_is_901(server: &TestServer) {
    define_each_type(server).await;
    create(server, of("long", "stays")).await;
    const NAME: &str = "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE";
    let source = "customInformation[0].value: The field text has no value: send value.";
    for none in [
        of("text", ""),
        of("text", Value::Null),
        json!({ "customInformation": [{ "customFieldID": "text" }] }),
    ] {
        refused(server, none, 901, NAME, source).await;
    }
    // A matched value without one stays; null isn't a value.
    let kept = json!({ "customInformation": [{ "customFieldID": "long" }] });
    let answer = server.post(FIRST, kept).await;
    assert_eq!(
        (answer.status, &answer.body["customInformation"][0]["value"]),
        (200, &json!("stays"))
    );
    let source = "customInformation[0].value: The field long has no value: send value.";
    refused(server, of("long", Value::Null), 901, NAME, source).await;
    refused(server, of("long", ""), 901, NAME, source).await;
}

async fn missing_required_value_is_902(server: &TestServer) {
    create(server, json!({})).await;
    server
        .define(vec![
            CustomFieldInput {
                required: Some(true),
                ..field("shoe", Kind::Text)
            },
            field("hat", Kind::Text),
        ])
        .await;
    let missing = refusal(902, "REQUIRED_CUSTOM_FIELD_MISSING", "shoe");
    let names = json!({ "firstName": "Trevor", "lastName": "Linden" });
    for body in [
        json!({ "client": names }),
        json!({ "client": names, "customInformation": [] }),
        json!({ "client": names, "customInformation": [{ "customFieldID": "hat", "value": "h" }] }),
        json!({ "client": names, "customInformation": [{ "customFieldID": "shoe", "value": "" }] }),
        json!({ "client": names, "customInformation": [{ "customFieldID": "shoe" }] }),
    ] {
        server.refuses(CLIENTS, body, 400, missing.clone()).await;
    }
    server
        .refuses(FIRST, json!({ "customInformation": [] }), 400, missing.clone())
        .await;
    server.refuses(FIRST, of("hat", "h"), 400, missing.clone()).await;
    // A change without values does not need one.
    server
        .post(FIRST, json!({ "client": { "notes": "n" } }))
        .await
        .is(200, expanded(client(json!({ "notes": "n" })), json!({})));
    server
        .post(FIRST, json!({ "client": { "notes": null }, "customInformation": null }))
        .await
        .is(200, expanded(client(json!({})), json!({})));
    let mut definition = text_field("shoe");
    definition["isRequired"] = json!(true);
    let values = json!({ "customInformation": [value(2, 0, "shoe", definition, "left")] });
    server
        .post(FIRST, of("shoe", "left"))
        .await
        .is(200, expanded(client(json!({})), values.clone()));
    server.refuses(FIRST, of("shoe", Value::Null), 400, missing).await;
    stored(server, client(json!({})), values).await;
}

async fn deactivated_required_field_is_not_demanded(server: &TestServer) {
    let off = CustomFieldInput {
        required: Some(true),
        state: Some(FieldState::Deactivated),
        ..field("shoe", Kind::Text)
    };
    server.define(vec![off]).await;
    create(server, json!({ "customInformation": [] })).await;
}

async fn unknown_field_is_903_or_3600(server: &TestServer) {
    create(server, json!({})).await;
    for id in ["nonsense", " ", "\0", "Text"] {
        let source = "customInformation[0].customFieldID: There is no custom field with this id.";
        refused(server, of(id, "x"), 903, "INVALID_CUSTOM_FIELD_ID", source).await;
    }
    let source = "customInformation[0].customFieldID: Name the custom field by its id.";
    for body in [
        json!({ "value": "x" }),
        json!({ "customFieldID": "" }),
        json!({ "customFieldID": null, "value": "x" }),
    ] {
        refused(
            server,
            json!({ "customInformation": [body] }),
            3600,
            "EMPTY_CUSTOM_FIELD_ID",
            source,
        )
        .await;
    }
}

async fn too_long_value_is_904(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    const NAME: &str = "MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED";
    for character in ["x", "\u{1f600}"] {
        let source = "customInformation[0].value: The field text takes at most 255 characters.";
        refused(server, of("text", character.repeat(256)), 904, NAME, source).await;
        let source = "customInformation[0].value: The field long takes at most 2048 characters.";
        refused(server, of("long", character.repeat(2_049)), 904, NAME, source).await;
    }
    server
        .define(vec![CustomFieldInput {
            max_length: MaybeUndefined::Value(3),
            ..field("text", Kind::Text)
        }])
        .await;
    assert_eq!(server.post(FIRST, of("text", "äöü")).await.status, 200);
    refused(
        server,
        of("text", "äöüß"),
        904,
        NAME,
        "customInformation[0].value: The field text takes at most 3 characters.",
    )
    .await;
}

async fn deactivated_field_is_908(server: &TestServer) {
    server
        .define(vec![CustomFieldInput {
            state: Some(FieldState::Deactivated),
            ..field("shoe", Kind::Text)
        }])
        .await;
    create(server, json!({})).await;
    let source = "customInformation[0].value: The field shoe is deactivated: it takes no new values.";
    refused(server, of("shoe", "left"), 908, "CUSTOM_FIELD_DEACTIVATED", source).await;
}

async fn link_to_an_unknown_client_is_911(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    let source = "customInformation[0].linkedEntityKeyValue: The field client links to a client, and there is none \
        with this key.";
    for key in ["absent", "<id 1>", "no key"] {
        refused(
            server,
            link("client", key),
            911,
            "INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY",
            source,
        )
        .await;
    }
}

async fn group_index_on_a_single_set_is_913(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    let with = |index: Value| {
        json!({ "customInformation": [{ "customFieldID": "text", "value": "x",
        "customFieldSetGroupIndex": index }] })
    };
    let source = "customInformation[0].customFieldSetGroupIndex: The set of text isn't grouped: leave \
        customFieldSetGroupIndex out.";
    for index in [json!(0), json!("0"), json!(5), json!("17")] {
        refused(server, with(index), 913, "INCONSISTENT_VALUE_WITH_SET_TYPE", source).await;
    }
    let values = json!({ "customInformation": [value(2, 0, "text", text_field("text"), "x")] });
    for index in [json!(-1), json!("-1"), json!(null)] {
        server
            .post(FIRST, with(index))
            .await
            .is(200, expanded(client(json!({})), values.clone()));
    }
}

async fn value_not_matching_the_pattern_is_917(server: &TestServer) {
    let pattern = MaybeUndefined::Value("@#-$".to_owned());
    server
        .define(vec![CustomFieldInput {
            pattern,
            ..field("code", Kind::Text)
        }])
        .await;
    create(server, json!({})).await;
    let source = "customInformation[0].value: The field code takes text of the form @#-$, where # is a digit, @ a \
        letter and $ either.";
    for wrong in ["A1-", "11-A", "A1-AA", "A1 A", "a1-\u{20}"] {
        refused(
            server,
            of("code", wrong),
            917,
            "INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN",
            source,
        )
        .await;
    }
    for right in ["A1-Z", "z9-9"] {
        assert_eq!(server.post(FIRST, of("code", right)).await.status, 200);
    }
}

async fn duplicate_field_is_918(server: &TestServer) {
    define_each_type(server).await;
    create(server, json!({})).await;
    let body = json!({ "customInformation": [
        { "customFieldID": "text", "value": "x" }, { "customFieldID": "text", "value": "x",
            "customFieldSetGroupIndex": -1 },
    ] });
    let source = "customInformation[1].customFieldID: The field text is named twice.";
    refused(server, body, 918, "DUPLICATE_CUSTOM_FIELD_VALUES", source).await;
}
