//! `validateOnly`: all problems of an input, and nothing stored.

use clientele::caller::{Permission, Rights, Sets};
use serde_json::{Value, json};

use super::{create_trevor, payload, problem, upsert};
use crate::harness::{
    TestServer,
    graphql::{define, define_template},
    with,
};

on_both!(
    checked_input_stores_nothing_and_answers_no_client,
    checked_input_has_the_problems_of_a_change,
    checked_input_does_not_use_its_idempotency_key,
    checking_needs_the_permission_of_the_change,
    taken_values_are_reported_beside_other_problems,
    taken_values_are_not_told_to_callers_who_may_not_set_them,
);

/// The input, only to be checked.
fn checked(input: Value) -> Value {
    with(input, json!({ "validateOnly": true }))
}

fn answer(problems: Value) -> Value {
    json!({ "upsertClient": { "created": false, "clientMutationId": null, "userErrors": problems, "client": null } })
}

async fn checked_input_stores_nothing_and_answers_no_client(server: &TestServer) {
    let variant = json!({ "language": "ENGLISH", "subject": "S", "text": "T" });
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [variant] });
    define_template(server, template).await;
    create_trevor(server).await;
    let before = server.snapshot().await;
    for input in [
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather", "emailAddress": "a@example.test" } }),
        json!({ "client": { "clientId": "C-1", "firstName": "Amara", "lastName": "Bellweather" },
            "matchOn": "CLIENT_ID" }),
        json!({ "client": { "encodedKey": "<key 1>", "notes": "n" }, "addresses": [{ "city": "A" }] }),
        json!({ "client": { "encodedKey": "<key 1>" } }),
    ] {
        upsert(server, checked(input)).await.data(answer(json!([])));
    }
    assert_eq!(server.snapshot().await, before);
}

async fn checked_input_has_the_problems_of_a_change(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "shoe", "name": "Shoe", "type": "NUMBER" }]),
    )
    .await;
    create_trevor(server).await;
    let named = json!({ "firstName": "Amara", "lastName": "Bellweather" });
    let chosen = json!({ "client": with(named.clone(), json!({ "clientId": "C-1" })) });
    assert_eq!(upsert(server, chosen.clone()).await.status, 200);
    for input in [
        json!({ "client": { "firstName": " ", "emailAddress": "nowhere" },
            "customInformation": [{ "fieldId": "shoe", "value": "large" }, { "fieldId": "none", "value": "1" }] }),
        chosen,
        json!({ "client": with(named, json!({ "clientId": "<key 1>" })), "matchOn": "CLIENT_ID" }),
        json!({ "client": { "encodedKey": "<key 1>", "clientId": "other" }, "idDocuments": null }),
        json!({ "client": { "encodedKey": "<key 1>" }, "expectedVersion": 7 }),
        json!({ "client": { "encodedKey": "nothing", "birthDate": "9999-01-01" } }),
        json!({ "client": {}, "matchOn": "CLIENT_ID" }),
    ] {
        let refused = upsert(server, input.clone()).await;
        assert_ne!(refused.body["data"]["upsertClient"]["userErrors"], json!([]));
        let before = server.snapshot().await;
        upsert(server, checked(input)).await.data(refused.body["data"].clone());
        assert_eq!(server.snapshot().await, before);
    }
}

async fn checked_input_does_not_use_its_idempotency_key(server: &TestServer) {
    let input = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" }, "idempotencyKey": "k" });
    upsert(server, checked(input.clone())).await.data(answer(json!([])));
    upsert(server, input.clone()).await.data(payload(true, 1, json!({})));
    let other = with(
        input,
        json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
    );
    upsert(server, checked(other.clone())).await.data(answer(json!([])));
    let message = "An idempotency key is made of printable ASCII characters, at least one: a UUID for example.";
    let malformed = checked(with(other, json!({ "idempotencyKey": "" })));
    let problems = json!([problem("MALFORMED", &["idempotencyKey"], message)]);
    upsert(server, malformed).await.data(answer(problems));
}

async fn checking_needs_the_permission_of_the_change(server: &TestServer) {
    create_trevor(server).await;
    let before = server.snapshot().await;
    let editor = server.as_caller(&Rights::of([Permission::EditClient]));
    let message = "To create a client you need the permission CREATE_CLIENT.";
    let input = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } });
    let answered = upsert(&editor, checked(input)).await;
    answered.data(answer(json!([problem("FORBIDDEN", &[], message)])));
    let input = json!({ "client": { "encodedKey": "<key 1>", "notes": "n" } });
    upsert(&editor, checked(input)).await.data(answer(json!([])));
    assert_eq!(server.snapshot().await, before);
}

/// Two unique fields in sets of their own, and a client with both values.
async fn define_unique(server: &TestServer) -> Value {
    for (set, field) in [("papers", "passport"), ("secrets", "pin")] {
        let fields = json!([{ "fieldId": field, "name": field, "type": "TEXT", "unique": true }]);
        define(server, set, fields).await;
    }
    let values = json!([{ "fieldId": "passport", "value": "X1" }, { "fieldId": "pin", "value": "7" }]);
    let client = json!({ "clientId": "OTHER", "firstName": "Amara", "lastName": "Bellweather" });
    let stored = upsert(server, json!({ "client": client, "customInformation": values })).await;
    assert_eq!(stored.status, 200);
    values
}

async fn taken_values_are_reported_beside_other_problems(server: &TestServer) {
    let values = define_unique(server).await;
    let taken = |index: &str, field: &str| {
        let message = format!("Another client has this value of the field {field}, which must be unique.");
        problem("TAKEN", &["customInformation", index, "value"], &message)
    };
    let blank = problem(
        "BLANK",
        &["client", "firstName"],
        "firstName is required and must not be blank.",
    );
    let message = "Another client has this clientId: choose another, or leave it out to have one generated. To change \
        that client, send matchOn: CLIENT_ID.";
    let used = problem("TAKEN", &["client", "clientId"], message);
    for (client, first) in [
        (json!({ "firstName": " ", "lastName": "L" }), blank.clone()),
        (json!({ "clientId": "OTHER", "firstName": "F", "lastName": "L" }), used),
    ] {
        let input = json!({ "client": client, "customInformation": values });
        let before = server.snapshot().await;
        let problems = json!([first, taken("0", "passport"), taken("1", "pin")]);
        upsert(server, checked(input.clone()))
            .await
            .data(answer(problems.clone()));
        // The change itself is refused with the same problems.
        upsert(server, input).await.data(answer(problems));
        assert_eq!(server.snapshot().await, before);
    }
    // In the order of the list, not of the fields.
    let reversed = json!([values[1], values[0]]);
    let input = json!({ "client": { "firstName": " ", "lastName": "L" }, "customInformation": reversed });
    let problems = json!([blank, taken("0", "pin"), taken("1", "passport")]);
    upsert(server, input).await.data(answer(problems));
    // A value with another problem isn't looked up: it must be changed anyway.
    let grouped = json!([values[1], { "fieldId": "passport", "value": "X1", "groupIndex": 0 }, values[1]]);
    let input = json!({ "client": { "firstName": "F", "lastName": "L" }, "customInformation": grouped });
    let answer_of_grouped = upsert(server, input).await;
    let errors = &answer_of_grouped.body["data"]["upsertClient"]["userErrors"];
    let errors = errors.as_array().cloned().unwrap_or_default();
    assert_eq!(
        errors
            .iter()
            .map(|error| json!([error["code"], error["path"]]))
            .collect::<Vec<_>>(),
        [
            json!(["GROUP_INDEX", ["input", "customInformation", "1", "groupIndex"]]),
            json!(["DUPLICATE", ["input", "customInformation", "2", "fieldId"]]),
            json!(["TAKEN", ["input", "customInformation", "0", "value"]]),
        ]
    );
    // The client's own values aren't taken.
    let own = json!({ "client": { "clientId": "OTHER", "firstName": " " }, "matchOn": "CLIENT_ID",
        "customInformation": values });
    let blank = problem(
        "BLANK",
        &["client", "firstName"],
        "firstName is required and must not be blank.",
    );
    upsert(server, checked(own)).await.data(answer(json!([blank])));
}

async fn taken_values_are_not_told_to_callers_who_may_not_set_them(server: &TestServer) {
    let values = define_unique(server).await;
    let mut rights = Rights::of([Permission::CreateClient]);
    rights.edit_sets = Sets::These(["papers".to_owned()].into());
    let writer = server.as_caller(&rights);
    let input = json!({ "client": { "firstName": " ", "lastName": "L" }, "customInformation": values });
    let found = upsert(&writer, checked(input.clone())).await;
    let found = found.body["data"]["upsertClient"]["userErrors"]
        .as_array()
        .expect("a list")
        .clone();
    let codes: Vec<_> = found.iter().map(|error| (&error["code"], &error["path"][2])).collect();
    assert!(codes.contains(&(&json!("TAKEN"), &json!("0"))), "{codes:?}");
    assert!(!codes.contains(&(&json!("TAKEN"), &json!("1"))), "{codes:?}");
    let reader = server.as_caller(&Rights::of([Permission::EditClient]));
    let found = upsert(&reader, checked(input)).await;
    assert!(!found.text.contains("TAKEN"), "{}", found.text);
}
