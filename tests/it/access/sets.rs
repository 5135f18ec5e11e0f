//! Replacement of custom values by callers who may edit only some sets: other values keep their content and position.

use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use serde_json::{Value, json};

use super::{problems, upsert, values::ana, with_sets};
use crate::harness::{
    TestServer, field,
    graphql::{data, define, store},
};

/// Fields a1 and a2 of the set `mine`, b1 and b2 of the set `theirs`; and a client with these values in this order.
async fn stored(server: &TestServer, order: &[&str]) {
    for (set, fields) in [("mine", ["a1", "a2", "a3"]), ("theirs", ["b1", "b2", "b3"])] {
        let fields = fields.map(|id| field(id, Kind::Text)).to_vec();
        server.define_set(set, fields).await.expect("sound definitions");
    }
    let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "c", "firstName": "Amara",
        "lastName": "Bellweather" }, "customInformation": listed(order) });
    store(server, input, "version").await;
}

/// `a1=x` says that; `a1` says `v`.
fn listed(values: &[&str]) -> Value {
    let value = |text: &&str| {
        let (id, value) = text.split_once('=').unwrap_or((text, "v"));
        json!({ "fieldId": id, "value": value })
    };
    values.iter().map(value).collect()
}

async fn replace(server: &TestServer, values: &[&str]) -> Value {
    let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "c" }, "customInformation": listed(values) });
    problems(&upsert(server, input).await, "upsertClient")
}

/// The values as they are stored: `a1=x`, in the order of their positions, which are 0, 1, 2….
async fn found(server: &TestServer) -> Vec<String> {
    let answer = server.get("/api/clients/c?fullDetails=true").await;
    let values = answer.body["customInformation"].as_array().expect("a list").iter();
    let text = |value: &Value| {
        format!(
            "{}={}",
            value["customFieldID"].as_str().expect("an id"),
            value["value"].as_str().expect("a text")
        )
    };
    values.map(text).collect()
}

/// Each value's field with its key.
async fn keys(server: &TestServer) -> Value {
    data(
        server,
        "{ client(by: { clientId: \"c\" }) { customInformation { encodedKey field { fieldId } } } }",
        json!({}),
    )
    .await
}

on_both!(
    protected_values_keep_their_position_and_others_fill_in,
    naming_a_protected_value_is_forbidden,
    protected_required_values_are_not_demanded,
    callers_of_different_sets_keep_each_others_values,
    defining_a_set_requires_permission_to_edit_its_values,
);

async fn protected_values_keep_their_position_and_others_fill_in(server: &TestServer) {
    for (before, sent, after) in [
        (
            &["a1", "b1", "a2"][..],
            &["a1=x", "a2=y"][..],
            &["a1=x", "b1=v", "a2=y"][..],
        ),
        (&["a1", "b1", "a2"], &["a2", "a1"], &["a2=v", "b1=v", "a1=v"]),
        (&["a1", "b1", "a2"], &["a3"], &["a3=v", "b1=v"]),
        // Kept values move up, so that no position is free.
        (&["a1", "b1", "a2", "b2"], &[], &["b1=v", "b2=v"]),
        (&["a1", "a2", "b1"], &["a2"], &["a2=v", "b1=v"]),
        (
            &["b1", "b2"],
            &["a1", "a2", "a3"],
            &["b1=v", "b2=v", "a1=v", "a2=v", "a3=v"],
        ),
        (&["a1", "b1"], &["a3", "a2", "a1"], &["a3=v", "b1=v", "a2=v", "a1=v"]),
    ] {
        for view in [&["theirs"][..], &[]] {
            stored(server, before).await;
            let before_keys = keys(server).await.to_string();
            let caller = server.as_caller(&with_sets(view, &["mine"]));
            assert_eq!(replace(&caller, sent).await, json!([]));
            assert_eq!(found(server).await, after, "{before:?} {sent:?}");
            // Values that the caller may not edit keep their keys.
            for value in keys(server).await["client"]["customInformation"]
                .as_array()
                .expect("a list")
            {
                if value["field"]["fieldId"].as_str().expect("an id").starts_with('b') {
                    assert!(
                        before_keys.contains(value["encodedKey"].as_str().expect("a key")),
                        "{value}"
                    );
                }
            }
            // Sending back the visible values changes nothing, and neither does sending all values.
            let snapshot = server.snapshot().await;
            let seen = found(&caller).await;
            assert_eq!(
                replace(&caller, &seen.iter().map(String::as_str).collect::<Vec<_>>()).await,
                json!([])
            );
            assert_eq!(replace(server, after).await, json!([]));
            assert_eq!(server.snapshot().await, snapshot, "{seen:?}");
            let whole = caller.get("/api/clients/c?fullDetails=true").await;
            let body: Value = serde_json::from_str(&whole.text).expect("JSON");
            assert_eq!(caller.post("/api/clients/c", body).await.status, 200);
            assert_eq!(server.snapshot().await, snapshot, "{seen:?}");
        }
    }
}

async fn naming_a_protected_value_is_forbidden(server: &TestServer) {
    stored(server, &["a1", "b1"]).await;
    let forbidden = json!([["FORBIDDEN", ["input", "customInformation", "1", "fieldId"]]]);
    let before = server.snapshot().await;
    for view in [&["theirs"][..], &[]] {
        let caller = server.as_caller(&with_sets(view, &["mine"]));
        for value in ["b1=x", "b2=v", "b3=", "b1="] {
            assert_eq!(replace(&caller, &["a1", value]).await, forbidden, "{view:?} {value}");
        }
        let answer = caller
            .post(
                "/api/clients/c",
                json!({ "customInformation": [{ "customFieldID": "b1", "value": "x" }] }),
            )
            .await;
        answer.is(
            403,
            json!({ "returnCode": 15, "returnStatus": "INVALID_PERMISSIONS",
            "errorSource": "customInformation[0].customFieldID: You may not change values of the set theirs: leave the \
                field b1 out." }),
        );
    }
    // A caller who may view the value can send it back; others get the same answer for every value.
    let (sees, blind) = (
        server.as_caller(&with_sets(&["theirs"], &["mine"])),
        server.as_caller(&with_sets(&[], &["mine"])),
    );
    assert_eq!(replace(&sees, &["b1", "a1"]).await, json!([]));
    let mut answers = Vec::new();
    for value in [
        json!({ "value": "v" }),
        json!({ "value": "x" }),
        json!({ "value": null }),
        json!({}),
        json!({ "linkedKey": "k" }),
        json!({ "groupIndex": 3 }),
        json!({ "value": "é".repeat(300) }),
    ] {
        for id in ["b1", "b2"] {
            let mut value = value.clone();
            value["fieldId"] = json!(id);
            let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "c" }, "customInformation": [value] });
            answers.push(upsert(&blind, input).await.text.replace(id, "id"));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

async fn protected_required_values_are_not_demanded(server: &TestServer) {
    let required = |id| CustomFieldInput {
        required: Some(true),
        ..field(id, Kind::Text)
    };
    server
        .define_set("mine", vec![required("a1")])
        .await
        .expect("sound definitions");
    server
        .define_set("theirs", vec![required("b1")])
        .await
        .expect("sound definitions");
    let caller = server.as_caller(&with_sets(&[], &["mine"]));
    let new = |values: &[&str]| {
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" },
        "customInformation": listed(values) })
    };
    assert_eq!(
        problems(&upsert(&caller, new(&["a1"])).await, "upsertClient"),
        json!([])
    );
    assert_eq!(
        problems(&upsert(&caller, new(&[])).await, "upsertClient"),
        json!([["REQUIRED", ["input", "customInformation"]]])
    );
    assert_eq!(
        problems(
            &upsert(
                &server.as_caller(&with_sets(&[], &[])),
                json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } })
            )
            .await,
            "upsertClient"
        ),
        json!([])
    );
    assert_eq!(
        problems(&upsert(server, new(&[])).await, "upsertClient")
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

async fn callers_of_different_sets_keep_each_others_values(server: &TestServer) {
    stored(server, &["a1", "b1"]).await;
    let (mine, theirs) = (
        server.as_caller(&with_sets(&[], &["mine"])),
        server.as_caller(&with_sets(&[], &["theirs"])),
    );
    let both = (0..10).map(|n| {
        let (mine, theirs) = (&mine, &theirs);
        async move {
            let (a, b) = (format!("a2={n}"), format!("b2={n}"));
            let (a, b) = ([a.as_str()], [b.as_str()]);
            tokio::join!(replace(mine, &a), replace(theirs, &b))
        }
    });
    for answer in futures_util::future::join_all(both).await {
        assert_eq!(answer, (json!([]), json!([])));
    }
    let mut left = found(server).await;
    left.sort();
    assert!(
        left.len() == 2 && left[0].starts_with("a2=") && left[1].starts_with("b2="),
        "{left:?}"
    );
}

async fn defining_a_set_requires_permission_to_edit_its_values(server: &TestServer) {
    ana(server).await;
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code path message } } }";
    let input = |fields: Value| json!({ "input": { "set": { "setId": "secret", "name": "S" }, "fields": fields } });
    let before = server.snapshot().await;
    // A used field would be deactivated or its type refused; the answer does not reveal that it is used.
    for view in [&["secret"][..], &[]] {
        let caller = server.as_caller(&with_sets(view, &["open"]));
        for fields in [
            json!([]),
            json!([{ "fieldId": "code", "name": "C", "type": "DATE" }]),
            json!([{ "fieldId": "new", "name": "N", "type": "TEXT" }]),
        ] {
            let answer = caller.graphql(query, input(fields)).await;
            answer.data(json!({ "upsertCustomFieldSet": { "userErrors": [{ "code": "FORBIDDEN",
                "path": ["input", "set", "setId"],
                "message": "You may not change values of this set, nor its definition." }] } }));
        }
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    // Every caller can create a set; later changes require rights to it.
    let caller = server.as_caller(&with_sets(&[], &["open", "secret"]));
    define(
        &caller,
        "secret",
        json!([{ "fieldId": "code", "name": "The code", "type": "TEXT" }]),
    )
    .await;
    define(&caller, "new", json!([{ "fieldId": "n", "name": "N", "type": "TEXT" }])).await;
    let again = caller
        .graphql(query, json!({ "input": { "set": { "setId": "new", "name": "New" } } }))
        .await;
    assert_eq!(
        problems(&again, "upsertCustomFieldSet"),
        json!([["FORBIDDEN", ["input", "set", "setId"]]])
    );
}
