//! Changes and deletions of values in grouped sets.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{create, refusal},
    VALUES, delete, patch, refused, success,
};
use crate::harness::{TestServer, graphql::data};

on_both!(
    value_of_a_group_is_changed_and_a_new_group_begun,
    list_without_indexes_is_one_new_group,
    emptied_group_closes_the_gap,
    bad_group_is_refused,
    required_field_is_demanded_of_a_new_group,
);

/// The grouped set `cards` with the fields `number` and `name`, and a client with two groups of both.
async fn prepare(server: &TestServer, is_required: bool) {
    let fields = json!([
        { "fieldId": "number", "name": "Number", "type": "TEXT", "required": is_required },
        { "fieldId": "name", "name": "Name", "type": "TEXT" },
    ]);
    let input = json!({ "set": { "setId": "cards", "name": "Cards", "usage": "GROUPED" }, "fields": fields });
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        message } } }";
    let found = data(server, query, json!({ "input": input })).await;
    assert_eq!(found, json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    let value = |id: &str, group: i32| {
        let text = format!("{id} {group}");
        json!({ "customFieldID": id, "customFieldSetGroupIndex": group, "value": text })
    };
    let values = json!([
        value("number", 0),
        value("name", 0),
        value("number", 1),
        value("name", 1)
    ]);
    create(server, json!({ "customInformation": values })).await;
}

/// The stored values in order: `number/0=x`.
async fn found(server: &TestServer) -> String {
    let answer = server.get("/api/clients/<key 1>?fullDetails=true").await;
    let values = answer.body["customInformation"].as_array().expect("a list").iter();
    let text = |value: &Value| {
        let (id, text) = (&value["customFieldID"], &value["value"]);
        let (id, text) = (id.as_str().expect("an id"), text.as_str().expect("a text"));
        format!("{id}/{}={text}", value["customFieldSetGroupIndex"])
    };
    values.map(text).collect::<Vec<_>>().join(", ")
}

async fn value_of_a_group_is_changed_and_a_new_group_begun(server: &TestServer) {
    prepare(server, false).await;
    for (path, expected) in [
        (
            "number/1",
            "number/0=number 0, name/0=name 0, number/1=x, name/1=name 1",
        ),
        (
            "name/2",
            "number/0=number 0, name/0=name 0, number/1=x, name/1=name 1, name/2=x",
        ),
        (
            "number/2",
            "number/0=number 0, name/0=name 0, number/1=x, name/1=name 1, name/2=x, number/2=x",
        ),
    ] {
        let path = format!("{VALUES}/{path}");
        patch(server, &path, json!({ "value": "x" })).await.is(200, success());
        assert_eq!(found(server).await, expected);
    }
}

async fn list_without_indexes_is_one_new_group(server: &TestServer) {
    prepare(server, false).await;
    let list = json!({ "customInformation": [
        { "customFieldID": "name", "value": "new" },
        { "customFieldID": "number", "customFieldSetGroupIndex": "0", "value": "changed" },
        { "customFieldID": "number", "customFieldSetGroupIndex": -1, "value": "new" },
    ] });
    patch(server, VALUES, list).await.is(200, success());
    assert_eq!(
        found(server).await,
        "number/0=changed, name/0=name 0, number/1=number 1, name/1=name 1, name/2=new, number/2=new"
    );
}

async fn emptied_group_closes_the_gap(server: &TestServer) {
    prepare(server, false).await;
    patch(server, &format!("{VALUES}/number/2"), json!({ "value": "number 2" }))
        .await
        .is(200, success());
    for (path, expected) in [
        (
            "number/0",
            "name/0=name 0, number/1=number 1, name/1=name 1, number/2=number 2",
        ),
        (
            "number/0",
            "name/0=name 0, number/1=number 1, name/1=name 1, number/2=number 2",
        ),
        ("name/0", "number/0=number 1, name/0=name 1, number/1=number 2"),
        ("name/5", "number/0=number 1, name/0=name 1, number/1=number 2"),
        ("number/1", "number/0=number 1, name/0=name 1"),
    ] {
        delete(server, &format!("{VALUES}/{path}")).await.is(200, success());
        assert_eq!(found(server).await, expected, "{path}");
    }
    // The stored values can be sent back.
    let whole = server.get("/api/clients/<key 1>?fullDetails=true").await.body;
    let before = server.snapshot().await;
    assert_eq!(server.post("/api/clients/<key 1>", whole).await.status, 200);
    assert_eq!(server.snapshot().await, before);
}

async fn bad_group_is_refused(server: &TestServer) {
    prepare(server, false).await;
    let group = "The set of this field is grouped: add the group's index to the path, such as \
        …/custominformation/{customFieldID}/0.";
    for (method, path, code, status, source) in [
        (Method::PATCH, "number", 913, "INCONSISTENT_VALUE_WITH_SET_TYPE", group),
        (
            Method::PATCH,
            "number/-1",
            913,
            "INCONSISTENT_VALUE_WITH_SET_TYPE",
            group,
        ),
        (Method::DELETE, "number", 913, "INCONSISTENT_VALUE_WITH_SET_TYPE", group),
        (
            Method::PATCH,
            "number/3",
            914,
            "GROUPED_INDEXES_NOT_CONSECUTIVE",
            "customFieldSetGroupIndex: The groups of the set cards must have the indexes 0, 1, 2…: 2 is missing.",
        ),
    ] {
        let request = server
            .request(method, &format!("{VALUES}/{path}"))
            .json(&json!({ "value": "x" }));
        refused(server, request, 400, refusal(code, status, source)).await;
    }
    let value = json!({ "customFieldID": "number", "value": "x" });
    let list = json!({ "customInformation": [value, value] });
    let source = "customInformation[1].customFieldID: The field number is named twice in the group 2.";
    let request = server.request(Method::PATCH, VALUES).json(&list);
    refused(
        server,
        request,
        400,
        refusal(918, "DUPLICATE_CUSTOM_FIELD_VALUES", source),
    )
    .await;
}

async fn required_field_is_demanded_of_a_new_group(server: &TestServer) {
    prepare(server, true).await;
    let missing = refusal(902, "REQUIRED_CUSTOM_FIELD_MISSING", "number");
    let path = format!("{VALUES}/name/2");
    let request = server.request(Method::PATCH, &path).json(&json!({ "value": "x" }));
    refused(server, request, 400, missing.clone()).await;
    let request = server.request(Method::DELETE, &format!("{VALUES}/number/0"));
    refused(server, request, 400, missing).await;
    patch(server, &format!("{VALUES}/name/1"), json!({ "value": "x" }))
        .await
        .is(200, success());
    let list = json!({ "customInformation": [
        { "customFieldID": "name", "value": "new" }, { "customFieldID": "number", "value": "new" },
    ] });
    patch(server, VALUES, list).await.is(200, success());
    assert_eq!(
        found(server).await,
        "number/0=number 0, name/0=name 0, number/1=number 1, name/1=x, name/2=new, number/2=new"
    );
}
