//! Changes and deletions of single custom values: the others stay as they are.

mod groups;
mod refusals;

use clientele::{
    caller::{
        Permission::{EditClient, ViewClient},
        Rights, Sets,
    },
    custom_field::CustomFieldInput,
    definitions::{FieldState, Kind},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{create, refusal};
use crate::harness::{Answer, TestServer, field, options};

const VALUES: &str = "/api/clients/<key 1>/custominformation";

on_both!(
    value_is_changed_and_created_by_patch,
    value_is_deleted_and_a_missing_one_is_a_success,
    list_changes_only_the_named_values,
    changed_values_keep_their_keys_and_positions,
    missing_required_value_blocks_no_other_change,
    values_of_other_sets_are_neither_changed_nor_deleted,
    patch_is_repeated_under_an_idempotency_key,
    statements_of_a_patch_do_not_depend_on_the_data,
);

fn success() -> Value {
    json!({ "returnCode": 0, "returnStatus": "SUCCESS" })
}

/// Fields of several types in one set, and a client with values of the first three.
async fn prepare(server: &TestServer) {
    server
        .define(vec![
            field("shoe", Kind::Text),
            CustomFieldInput {
                options: options(&["LOW", "HIGH"]),
                ..field("band", Kind::Selection)
            },
            CustomFieldInput {
                required: Some(true),
                ..field("income", Kind::Number)
            },
            CustomFieldInput {
                max_length: async_graphql::MaybeUndefined::Value(3),
                ..field("short", Kind::Text)
            },
            field("friend", Kind::ClientLink),
            field("flag", Kind::Checkbox),
        ])
        .await;
    create(
        server,
        json!({ "customInformation": [
            { "customFieldID": "shoe", "value": "left" },
            { "customFieldID": "band", "value": "LOW" },
            { "customFieldID": "income", "value": "10" },
        ] }),
    )
    .await;
}

async fn patch(server: &TestServer, path: &str, body: Value) -> Answer {
    server.send_json(Method::PATCH, path, body).await
}

async fn delete(server: &TestServer, path: &str) -> Answer {
    server.send(server.request(Method::DELETE, path)).await
}

/// The stored values in order: `shoe=left`.
async fn found(server: &TestServer) -> Vec<String> {
    let answer = server.get("/api/clients/<key 1>?fullDetails=true").await;
    let values = answer.body["customInformation"].as_array().expect("a list").iter();
    let text = |value: &Value| {
        let content = value["value"].as_str().or(value["linkedEntityKeyValue"].as_str());
        let id = value["customFieldID"].as_str().expect("an id");
        format!("{id}={}", content.expect("a text"))
    };
    values.map(text).collect()
}

async fn version(server: &TestServer) -> Value {
    let answer = server
        .graphql("{ clients(first: 1) { nodes { version } } }", json!({}))
        .await;
    answer.body["data"]["clients"]["nodes"][0]["version"].clone()
}

async fn value_is_changed_and_created_by_patch(server: &TestServer) {
    prepare(server).await;
    for (path, body, expected) in [
        (
            "/api/clients/<key 1>/custominformation/shoe",
            json!({ "value": "right" }),
            "shoe=right band=LOW income=10",
        ),
        (
            "/api/clients/<id 1>/custominformation/band/",
            json!({ "value": "HIGH", "customFieldID": "ignored", "unknown": {} }),
            "shoe=right band=HIGH income=10",
        ),
        (
            "/api/clients/<key 1>/custominformation/income/-1?appkey=K",
            json!({ "value": 12.50 }),
            "shoe=right band=HIGH income=12.5",
        ),
        (
            "/api/clients/<key 1>/custominformation/flag",
            json!({ "value": true }),
            "shoe=right band=HIGH income=12.5 flag=TRUE",
        ),
        (
            "/api/clients/<key 1>/custominformation/friend",
            json!({ "linkedEntityKeyValue": "<key 1>" }),
            "shoe=right band=HIGH income=12.5 flag=TRUE friend=<key 1>",
        ),
        // Without a value, a stored one stays.
        (
            "/api/clients/<key 1>/custominformation/shoe",
            json!({}),
            "shoe=right band=HIGH income=12.5 flag=TRUE friend=<key 1>",
        ),
    ] {
        patch(server, path, body).await.is(200, success());
        assert_eq!(found(server).await.join(" "), expected, "{path}");
    }
    assert_eq!(version(server).await, 6);
}

async fn value_is_deleted_and_a_missing_one_is_a_success(server: &TestServer) {
    prepare(server).await;
    delete(server, "/api/clients/<key 1>/custominformation/shoe")
        .await
        .is(200, success());
    assert_eq!(found(server).await, ["band=LOW", "income=10"]);
    delete(server, "/api/clients/<id 1>/custominformation/band/-1/")
        .await
        .is(200, success());
    assert_eq!(found(server).await, ["income=10"]);
    let before = server.snapshot().await;
    for missing in ["shoe", "flag", "friend/-1"] {
        let path = format!("{VALUES}/{missing}");
        delete(server, &path).await.is(200, success());
    }
    assert_eq!(server.snapshot().await, before);

    // A body is ignored, as is the value's definition: a deactivated field's value can be deleted.
    let path = format!("{VALUES}/flag");
    patch(server, &path, json!({ "value": "true" }))
        .await
        .is(200, success());
    let state = Some(FieldState::Deactivated);
    let deactivated = CustomFieldInput {
        state,
        ..field("flag", Kind::Checkbox)
    };
    let income = field("income", Kind::Number);
    server.define(vec![income, deactivated]).await;
    let request = server.request(Method::DELETE, &path).json(&json!({ "value": "x" }));
    server.send(request).await.is(200, success());
    assert_eq!(found(server).await, ["income=10"]);
}

async fn list_changes_only_the_named_values(server: &TestServer) {
    prepare(server).await;
    for (body, expected) in [
        (
            json!({ "customInformation": [{ "customFieldID": "band", "value": "HIGH" }] }),
            "shoe=left band=HIGH income=10",
        ),
        (
            json!({ "client": {}, "customInformation": [
                { "customFieldID": "flag", "value": "false" },
                { "customFieldID": "shoe", "value": "right", "customFieldSetGroupIndex": -1 },
            ] }),
            "shoe=right band=HIGH income=10 flag=FALSE",
        ),
        (
            json!({ "client": null, "addresses": [], "customInformation": [{ "customFieldID": "income" }] }),
            "shoe=right band=HIGH income=10 flag=FALSE",
        ),
        (
            json!({ "customInformation": [] }),
            "shoe=right band=HIGH income=10 flag=FALSE",
        ),
    ] {
        patch(server, VALUES, body.clone()).await.is(200, success());
        assert_eq!(found(server).await.join(" "), expected, "{body}");
    }
    assert_eq!(version(server).await, 3);
}

async fn changed_values_keep_their_keys_and_positions(server: &TestServer) {
    prepare(server).await;
    let keys = |answer: &Answer| -> Vec<Value> {
        let values = answer.body["customInformation"].as_array().expect("a list").iter();
        values
            .map(|value| json!([value["encodedKey"], value["indexInList"]]))
            .collect()
    };
    let before = server.get("/api/clients/<key 1>?fullDetails=true").await;
    let list = json!([
        { "customFieldID": "income", "value": "1" },
        { "customFieldID": "flag", "value": "TRUE" },
        { "customFieldID": "shoe", "value": "both" },
    ]);
    patch(server, VALUES, json!({ "customInformation": list }))
        .await
        .is(200, success());
    let after = server.get("/api/clients/<key 1>?fullDetails=true").await;
    assert_eq!(keys(&after)[..3], keys(&before)[..]);
    assert_eq!(found(server).await, ["shoe=both", "band=LOW", "income=1", "flag=TRUE"]);
}

/// Asserts a refusal, and that nothing was written.
async fn refused(server: &TestServer, request: reqwest::RequestBuilder, status: u16, expected: Value) {
    let before = server.snapshot().await;
    server.send(request).await.is(status, expected);
    assert_eq!(server.snapshot().await, before);
}

async fn missing_required_value_blocks_no_other_change(server: &TestServer) {
    prepare(server).await;
    let required = |id: &str| CustomFieldInput {
        required: Some(true),
        ..field(id, Kind::Text)
    };
    server
        .define(vec![field("shoe", Kind::Text), required("first"), required("second")])
        .await;
    for (id, expected) in [
        ("shoe", "shoe=x"),
        ("first", "shoe=x first=x"),
        ("second", "shoe=x first=x second=x"),
    ] {
        let path = format!("{VALUES}/{id}");
        patch(server, &path, json!({ "value": "x" })).await.is(200, success());
        let found = found(server).await;
        let found: Vec<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|value| value.ends_with("=x"))
            .collect();
        assert_eq!(found.join(" "), expected);
    }
}

async fn values_of_other_sets_are_neither_changed_nor_deleted(server: &TestServer) {
    server.define(vec![field("mine", Kind::Text)]).await;
    let theirs = ["seen", "empty"].map(|id| field(id, Kind::Text)).to_vec();
    server.define_set("seen", theirs).await.expect("sound definitions");
    let hidden = vec![field("hidden", Kind::Text)];
    server.define_set("hidden", hidden).await.expect("sound definitions");
    let value = |id: &str| json!({ "customFieldID": id, "value": "v" });
    create(
        server,
        json!({ "customInformation": [value("hidden"), value("mine"), value("seen")] }),
    )
    .await;
    let sets = |ids: &[&str]| Sets::These(ids.iter().map(|id| (*id).to_owned()).collect());
    let caller = server.as_caller(&Rights {
        view_sets: sets(&["seen"]),
        edit_sets: sets(&["facts"]),
        ..Rights::of([ViewClient, EditClient])
    });
    for (id, set) in [("hidden", "hidden"), ("seen", "seen"), ("empty", "seen")] {
        let path = format!("{VALUES}/{id}");
        let source = format!("customFieldID: You may not change values of the set {set}: leave the field {id} out.");
        let expected = refusal(15, "INVALID_PERMISSIONS", &source);
        let changed = caller.request(Method::PATCH, &path).json(&json!({ "value": "x" }));
        refused(&caller, changed, 403, expected.clone()).await;
        refused(&caller, caller.request(Method::DELETE, &path), 403, expected).await;
    }
    // A value that the caller sees can be sent back.
    patch(&caller, &format!("{VALUES}/seen"), json!({ "value": "v" }))
        .await
        .is(200, success());
    patch(&caller, &format!("{VALUES}/mine"), json!({ "value": "x" }))
        .await
        .is(200, success());
    assert_eq!(found(server).await, ["hidden=v", "mine=x", "seen=v"]);
    delete(&caller, &format!("{VALUES}/mine")).await.is(200, success());
    assert_eq!(found(server).await, ["hidden=v", "seen=v"]);
}

async fn patch_is_repeated_under_an_idempotency_key(server: &TestServer) {
    prepare(server).await;
    let path = format!("{VALUES}/shoe");
    let send = |method: Method, body: Value| {
        let request = server
            .request(method, &path)
            .header("idempotency-key", "k-1")
            .json(&body);
        server.send(request)
    };
    send(Method::PATCH, json!({ "value": "a" })).await.is(200, success());
    patch(server, &path, json!({ "value": "b" })).await.is(200, success());
    send(Method::PATCH, json!({ "value": "a" })).await.is(200, success());
    assert_eq!(found(server).await[0], "shoe=b");
    for (method, body) in [
        (Method::PATCH, json!({ "value": "c" })),
        (Method::DELETE, json!({ "value": "a" })),
    ] {
        let answer = send(method, body).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (422, &json!(4)),
            "{}",
            answer.text
        );
    }
    let answer = server
        .send(server.request(Method::DELETE, &path).header("idempotency-key", ""))
        .await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(4)),
        "{}",
        answer.text
    );
    assert_eq!(found(server).await[0], "shoe=b");
}

async fn statements_of_a_patch_do_not_depend_on_the_data(server: &TestServer) {
    let fields = (0..50).map(|number| field(&format!("f{number}"), Kind::Text));
    server.define(fields.collect()).await;
    create(server, json!({})).await;
    let path = format!("{VALUES}/f0");
    patch(server, &path, json!({ "value": "a" })).await.is(200, success());
    server.statements();
    patch(server, &path, json!({ "value": "b" })).await.is(200, success());
    let few = server.statements();
    let values = (0..50).map(|number| json!({ "customFieldID": format!("f{number}"), "value": "v" }));
    let values: Vec<Value> = values.collect();
    server
        .post("/api/clients/<key 1>", json!({ "customInformation": values }))
        .await;
    server.statements();
    patch(server, &path, json!({ "value": "c" })).await.is(200, success());
    assert_eq!(server.statements(), few);
}
