//! Changes and deletions of single custom values that are refused.

use clientele::definitions::Kind;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{create, refusal},
    VALUES, delete, patch, prepare, refused, success,
};
use crate::harness::{TestServer, field};

on_both!(
    bad_value_by_patch_has_the_code_of_its_fault,
    bad_list_by_patch_is_refused,
    bad_deletion_is_refused,
    list_by_patch_has_a_limit,
    client_has_a_limit_of_values,
);

async fn bad_value_by_patch_has_the_code_of_its_fault(server: &TestServer) {
    prepare(server).await;
    for (field, body, code, status, source) in [
        (
            "nothing",
            json!({ "value": "x" }),
            903,
            "INVALID_CUSTOM_FIELD_ID",
            "customFieldID: There is no custom field with this id.",
        ),
        (
            "%00",
            json!({ "value": "x" }),
            903,
            "INVALID_CUSTOM_FIELD_ID",
            "customFieldID: There is no custom field with this id.",
        ),
        (
            "shoe",
            json!({ "value": null }),
            901,
            "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "value: The field shoe has no value: send value, or remove the value with DELETE.",
        ),
        (
            "flag",
            json!({}),
            901,
            "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "value: The field flag has no value: send value, or remove the value with DELETE.",
        ),
        (
            "income",
            json!({ "value": "" }),
            902,
            "REQUIRED_CUSTOM_FIELD_MISSING",
            "income",
        ),
        (
            "band",
            json!({ "value": "MEDIUM" }),
            901,
            "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "value: The field band takes one of its options only.",
        ),
        (
            "short",
            json!({ "value": "four" }),
            904,
            "MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED",
            "value: The field short takes at most 3 characters.",
        ),
        (
            "friend",
            json!({ "linkedEntityKeyValue": "nothing" }),
            911,
            "INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY",
            "linkedEntityKeyValue: The field friend links to a client, and there is none with this key.",
        ),
        (
            "shoe/0",
            json!({ "value": "x" }),
            913,
            "INCONSISTENT_VALUE_WITH_SET_TYPE",
            "The set of this field isn't grouped: leave the group's index out of the path, which is then \
             …/custominformation/{customFieldID}.",
        ),
        (
            "shoe/first",
            json!({ "value": "x" }),
            4,
            "INVALID_PARAMETERS",
            "The group index in the path must be an integer.",
        ),
        (
            "shoe",
            json!({ "value": ["x"] }),
            4,
            "INVALID_PARAMETERS",
            "value: value must be a text, a number or a boolean.",
        ),
        (
            "shoe",
            json!({ "value": "a\u{0}" }),
            3742,
            "INVALID_STRING_VALUE",
            "value: The field shoe must not contain the character U+0000.",
        ),
        (
            "shoe",
            json!([]),
            26,
            "INVALID_JSON_SYNTAX",
            "The body must be a JSON object.",
        ),
        (
            "shoe?limit=1&value=x",
            json!({ "value": "x" }),
            27,
            "PARAMETER_NOT_ALLOWED",
            "value isn't allowed with a JSON body.",
        ),
    ] {
        let request = server.request(Method::PATCH, &format!("{VALUES}/{field}")).json(&body);
        refused(server, request, 400, refusal(code, status, source)).await;
    }
    let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
    for path in [
        "/api/clients/NOPE/custominformation/shoe",
        "/api/clients/%FF/custominformation/shoe",
    ] {
        let request = server.request(Method::PATCH, path).json(&json!({ "value": "x" }));
        refused(server, request, 404, unknown.clone()).await;
    }
    let path = format!("{VALUES}/shoe");
    let request = server.request(Method::PATCH, &path);
    let missing = refusal(30, "MISSING_ENTITY_JSON", "There is no body: send JSON.");
    refused(server, request, 400, missing).await;
    let request = server.request(Method::PATCH, &path).form(&[("value", "x")]);
    let form = refusal(30, "MISSING_ENTITY_JSON", "Send the body as application/json.");
    refused(server, request, 400, form).await;
    let request = server
        .request(Method::PATCH, &path)
        .body(r#"{"value":"a","value":"b"}"#);
    let twice = refusal(
        26,
        "INVALID_JSON_SYNTAX",
        "value: the member is given twice. Send it once.",
    );
    refused(server, request, 400, twice).await;
    let answer = server.send(server.request(Method::PUT, &path)).await;
    answer.is(
        405,
        refusal(5, "METHOD_NOT_IMPLEMENTED", "This route takes PATCH, DELETE."),
    );
}

async fn bad_list_by_patch_is_refused(server: &TestServer) {
    prepare(server).await;
    let list = |values: Value| json!({ "customInformation": values });
    for (body, code, status, source) in [
        (
            json!({}),
            4,
            "INVALID_PARAMETERS",
            "customInformation is required: the values to change.",
        ),
        (
            list(Value::Null),
            4,
            "INVALID_PARAMETERS",
            "customInformation is required: the values to change.",
        ),
        (
            list(json!({})),
            4,
            "INVALID_PARAMETERS",
            "customInformation must be a list.",
        ),
        (
            json!({ "client": { "firstName": "A" }, "customInformation": [] }),
            4,
            "INVALID_PARAMETERS",
            "This route changes custom values only: leave client out, or send it empty.",
        ),
        (
            list(json!([{ "customFieldID": "shoe", "value": "x" }, { "customFieldID": "band", "value": "x" }])),
            901,
            "INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE",
            "customInformation[1].value: The field band takes one of its options only.",
        ),
        (
            list(json!([{ "customFieldID": "flag", "value": "TRUE" }, { "value": "x" }])),
            3600,
            "EMPTY_CUSTOM_FIELD_ID",
            "customInformation[1].customFieldID: Name the custom field by its id.",
        ),
        (
            list(json!([{ "customFieldID": "shoe", "value": "x" }, { "customFieldID": "shoe", "value": "y" }])),
            918,
            "DUPLICATE_CUSTOM_FIELD_VALUES",
            "customInformation[1].customFieldID: The field shoe is named twice.",
        ),
        (
            list(json!([{ "customFieldID": "flag", "value": "TRUE" }, { "customFieldID": "flag", "value": "TRUE" }])),
            918,
            "DUPLICATE_CUSTOM_FIELD_VALUES",
            "customInformation[1].customFieldID: The field flag is named twice.",
        ),
        (
            list(json!([{ "customFieldID": "shoe", "value": "x", "customFieldSetGroupIndex": 0 }])),
            913,
            "INCONSISTENT_VALUE_WITH_SET_TYPE",
            "customInformation[0].customFieldSetGroupIndex: The set of shoe isn't grouped: leave \
             customFieldSetGroupIndex out.",
        ),
    ] {
        let request = server.request(Method::PATCH, VALUES).json(&body);
        refused(server, request, 400, refusal(code, status, source)).await;
    }
}

async fn bad_deletion_is_refused(server: &TestServer) {
    prepare(server).await;
    for (path, http, code, status, source) in [
        (
            "<key 1>/custominformation/nothing",
            400,
            903,
            "INVALID_CUSTOM_FIELD_ID",
            "customFieldID: There is no custom field with this id.",
        ),
        (
            "<key 1>/custominformation/income",
            400,
            902,
            "REQUIRED_CUSTOM_FIELD_MISSING",
            "income",
        ),
        (
            "<key 1>/custominformation/shoe/3",
            400,
            913,
            "INCONSISTENT_VALUE_WITH_SET_TYPE",
            "The set of this field isn't grouped: leave the group's index out of the path, which is then \
             …/custominformation/{customFieldID}.",
        ),
        (
            "<key 1>/custominformation/shoe/99999999999",
            400,
            4,
            "INVALID_PARAMETERS",
            "The group index in the path must be an integer.",
        ),
        (
            "<key 1>/custominformation/shoe?value=x",
            400,
            27,
            "PARAMETER_NOT_ALLOWED",
            "value isn't allowed with a custom field's id.",
        ),
        (
            "NOPE/custominformation/shoe",
            404,
            301,
            "INVALID_CLIENT_ID",
            "There is no client with this id or key.",
        ),
    ] {
        let request = server.request(Method::DELETE, &format!("/api/clients/{path}"));
        refused(server, request, http, refusal(code, status, source)).await;
    }
    let answer = delete(server, VALUES).await;
    answer.is(405, refusal(5, "METHOD_NOT_IMPLEMENTED", "This route takes PATCH."));
}

async fn list_by_patch_has_a_limit(server: &TestServer) {
    prepare(server).await;
    let list = |length: usize| json!({ "customInformation": vec![json!({ "customFieldID": "" }); length] });
    let answer = patch(server, VALUES, list(1_000)).await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(3600)),
        "{}",
        answer.text
    );
    let source = "customInformation must have at most 1000 entries.";
    let request = server.request(Method::PATCH, VALUES).json(&list(1_001));
    refused(server, request, 400, refusal(4, "INVALID_PARAMETERS", source)).await;
}

async fn client_has_a_limit_of_values(server: &TestServer) {
    for set in 0..5 {
        let fields = (0..201).map(|number| field(&format!("f{set}x{number}"), Kind::Text));
        server
            .define_set(&format!("s{set}"), fields.collect())
            .await
            .expect("sound definitions");
    }
    let ids = (0..201).flat_map(|number| (0..5).map(move |set| format!("f{set}x{number}")));
    let ids: Vec<String> = ids.collect();
    let value = |id: &String| json!({ "customFieldID": id, "value": "v" });
    let most: Vec<Value> = ids[..999].iter().map(value).collect();
    create(server, json!({ "customInformation": most })).await;
    let last = |at: usize| format!("{VALUES}/{}", ids[at]);
    patch(server, &last(999), json!({ "value": "v" }))
        .await
        .is(200, success());
    let source = "customInformation: A client has at most 1000 values of custom fields.";
    let request = server
        .request(Method::PATCH, &last(1_000))
        .json(&json!({ "value": "v" }));
    refused(server, request, 400, refusal(4, "INVALID_PARAMETERS", source)).await;
    patch(server, &last(0), json!({ "value": "changed" }))
        .await
        .is(200, success());
}
