//! Merges that are refused store nothing, and report all their problems.

use async_graphql::resolver_utils::EnumType;
use clientele::{
    caller::{Permission, Rights},
    definitions::Kind,
    upsert::{ClientMember, MOST_MEMBERS, MOST_MERGED},
};
use serde_json::{Value, json};

use super::{change_state, create_with, merge, merged, named, show, two, user_errors, value};
use crate::{
    harness::{
        TestServer, field,
        graphql::{define_role, store_key},
        with,
    },
    lifecycle::set_state,
};

on_both!(
    clients_must_exist_and_differ,
    states_of_both_clients_must_allow_a_merge,
    expected_versions_prevent_lost_changes,
    rules_of_an_upsert_hold_for_the_client,
    all_problems_are_reported_at_once,
    at_most_100_clients_are_merged_into_one,
    lists_and_texts_have_limits,
    merge_requires_its_permission,
);

/// The code and path of each problem. The refusal stores nothing.
async fn problems(server: &TestServer, input: Value) -> Vec<String> {
    let before = server.snapshot().await;
    let answer = merge(server, input).await;
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    let errors = user_errors(&answer, "mergeClients").as_array().expect("a list").iter();
    let text = |error: &Value| {
        let path = error["path"].as_array().expect("a list").iter().skip(1);
        let path: Vec<&str> = path.map(|step| step.as_str().expect("a text")).collect();
        format!("{} {}", error["code"].as_str().expect("a code"), path.join("."))
    };
    errors.map(text).collect()
}

async fn clients_must_exist_and_differ(server: &TestServer) {
    let key = create_with(server, "F", json!({})).await;
    for (from, into, expected) in [
        (
            json!({ "clientId": "none" }),
            json!({ "encodedKey": "none" }),
            &["NOT_FOUND from", "NOT_FOUND into"][..],
        ),
        (
            json!({ "id": "none" }),
            json!({ "id": "none" }),
            &["NOT_FOUND from", "NOT_FOUND into"],
        ),
        (
            json!({ "clientId": "\0" }),
            json!({ "clientId": "F" }),
            &["NOT_FOUND from"],
        ),
        (
            json!({ "clientId": "F" }),
            json!({ "clientId": "none" }),
            &["NOT_FOUND into"],
        ),
        (
            json!({ "clientId": "F" }),
            json!({ "encodedKey": key }),
            &["INVALID into"],
        ),
    ] {
        assert_eq!(problems(server, json!({ "from": from, "into": into })).await, expected);
    }
    let message = "There is no client with this id.";
    let answer = merge(server, two("none", "F")).await;
    assert_eq!(user_errors(&answer, "mergeClients")[0]["message"], message);
}

async fn states_of_both_clients_must_allow_a_merge(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    for (state, of_from, of_into) in [
        ("PENDING_APPROVAL", &["INVALID_TRANSITION from"][..], &[][..]),
        ("REJECTED", &["INVALID_TRANSITION from"], &[]),
        ("BLACKLISTED", &["BLACKLISTED from"], &["BLACKLISTED into"]),
        ("EXITED", &[], &[]),
        ("ACTIVE", &[], &[]),
    ] {
        set_state(server, "F", state, None).await;
        let checked = json!({ "validateOnly": true });
        assert_eq!(
            problems(server, with(two("F", "I"), checked.clone())).await,
            of_from,
            "{state}"
        );
        assert_eq!(problems(server, with(two("I", "F"), checked)).await, of_into, "{state}");
    }
    merged(server, two("F", "I")).await;
    create_with(server, "X", json!({})).await;
    assert_eq!(problems(server, two("F", "I")).await, ["ALREADY_MERGED from"]);
    assert_eq!(problems(server, two("F", "X")).await, ["ALREADY_MERGED from"]);
    assert_eq!(problems(server, two("X", "F")).await, ["ALREADY_MERGED into"]);
    let message = "This client has been merged into another one: name that one, or undo its exit first.";
    let answer = merge(server, two("X", "F")).await;
    assert_eq!(user_errors(&answer, "mergeClients")[0]["message"], message);
}

async fn expected_versions_prevent_lost_changes(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    change_state(server, "I", "ACTIVE").await;
    let wrong = json!({ "expectedFromVersion": 2, "expectedIntoVersion": 1 });
    let expected = [
        "VERSION_CONFLICT expectedFromVersion",
        "VERSION_CONFLICT expectedIntoVersion",
    ];
    assert_eq!(problems(server, with(two("F", "I"), wrong.clone())).await, expected);
    let answer = merge(server, with(two("F", "I"), wrong)).await;
    let payload = &answer.body["data"]["mergeClients"];
    assert_eq!(
        [&payload["conflictingFromVersion"], &payload["conflictingIntoVersion"]],
        [&json!(1), &json!(2)]
    );
    let message = "The stored version is 1, not 2: read the client again and decide anew.";
    assert_eq!(payload["userErrors"][0]["message"], message);
    merged(
        server,
        with(
            two("F", "I"),
            json!({ "expectedFromVersion": 1, "expectedIntoVersion": 2 }),
        ),
    )
    .await;
}

async fn rules_of_an_upsert_hold_for_the_client(server: &TestServer) {
    let required = clientele::custom_field::CustomFieldInput {
        required: Some(true),
        ..field("tax", Kind::Text)
    };
    server.define(vec![field("nick", Kind::Text)]).await;
    create_with(
        server,
        "F",
        json!({ "addresses": [{ "line1": "1" }], "customInformation": [value("nick", "a")] }),
    )
    .await;
    server.define(vec![field("nick", Kind::Text), required]).await;
    let role = json!({ "roleId": "firm", "name": "Firm", "allowsAddresses": false, "requiresIdDocument": true });
    define_role(server, role).await;
    let of_into = json!({ "client": with(named("I", "I"), json!({ "clientRole": { "roleId": "firm" } })),
        "idDocuments": [{ "documentType": "P", "documentId": "1" }], "customInformation": [value("tax", "1")] });
    store_key(server, of_into).await;
    let replace = json!({ "addresses": "REPLACE", "idDocuments": "REPLACE", "customInformation": "REPLACE" });
    assert_eq!(
        problems(server, with(two("F", "I"), replace)).await,
        [
            "REQUIRED idDocuments",
            "NOT_AVAILABLE addresses",
            "REQUIRED customInformation"
        ]
    );
    let email = "UPDATE client SET email_address = 'nowhere', home_phone = NULL WHERE client_id = 'F'";
    server.write(email).await.expect("written");
    let fields = json!({ "fields": ["HOME_PHONE", "EMAIL_ADDRESS"] });
    assert_eq!(
        problems(server, with(two("F", "I"), fields)).await,
        ["NOT_AN_EMAIL_ADDRESS fields.1"]
    );
    let deactivated = clientele::custom_field::CustomFieldInput {
        state: Some(clientele::definitions::FieldState::Deactivated),
        ..field("nick", Kind::Text)
    };
    server.define(vec![deactivated, field("tax", Kind::Text)]).await;
    let add = json!({ "customInformation": "ADD" });
    assert_eq!(
        problems(server, with(two("F", "I"), add.clone())).await,
        ["DEACTIVATED customInformation"]
    );
    let message = "The field nick is deactivated: it takes no new values.";
    let answer = merge(server, with(two("F", "I"), add)).await;
    assert_eq!(user_errors(&answer, "mergeClients")[0]["message"], message);
}

async fn all_problems_are_reported_at_once(server: &TestServer) {
    server.define(vec![field("friend", Kind::ClientLink)]).await;
    let from = create_with(server, "F", json!({})).await;
    let link = json!([{ "fieldId": "friend", "linkedKey": from }]);
    create_with(server, "I", json!({ "customInformation": link })).await;
    set_state(server, "F", "REJECTED", None).await;
    let email = "UPDATE client SET email_address = 'nowhere' WHERE client_id = 'F'";
    server.write(email).await.expect("written");
    assert_eq!(
        problems(server, with(two("F", "I"), json!({ "fields": ["EMAIL_ADDRESS"] }))).await,
        [
            "INVALID_TRANSITION from",
            "STILL_LINKED into",
            "NOT_AN_EMAIL_ADDRESS fields.0"
        ]
    );
    assert_eq!(show(server, "F", "state").await, json!({ "state": "REJECTED" }));
}

async fn at_most_100_clients_are_merged_into_one(server: &TestServer) {
    let from = create_with(server, "F", json!({})).await;
    for id in ["I", "G"] {
        create_with(server, id, json!({})).await;
    }
    server.seed(MOST_MERGED as u32 - 1).await;
    // 50 of them were merged into the next one, and the others into `from`.
    let refer = format!(
        "UPDATE client SET state = 'EXITED', merged_into_key = CASE WHEN client_id < 'SEED00000050' \
         THEN (SELECT encoded_key FROM client WHERE client_id = 'SEED00000050') ELSE '{from}' END \
         WHERE client_id LIKE 'SEED%'"
    );
    server.write(&refer).await.expect("written");
    merged(server, two("F", "I")).await;
    assert_eq!(problems(server, two("G", "I")).await, ["TOO_MANY into"]);
    let message = "At most 100 clients can be merged into one client, with those that were merged into them: delete \
        some of them first.";
    let answer = merge(server, two("G", "I")).await;
    assert_eq!(user_errors(&answer, "mergeClients")[0]["message"], message);
    // Those of the client to merge count, too.
    assert_eq!(problems(server, two("I", "G")).await, ["TOO_MANY into"]);
}

async fn lists_and_texts_have_limits(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    let all: Vec<&str> = ClientMember::items().iter().map(|item| item.name).collect();
    assert_eq!(all.len(), MOST_MEMBERS);
    let fields = |fields: &[&str]| with(two("F", "I"), json!({ "fields": fields, "validateOnly": true }));
    assert_eq!(problems(server, fields(&all)).await, [""; 0]);
    let too_many = [&all[..], &all[..1]].concat();
    assert_eq!(problems(server, fields(&too_many)).await, ["TOO_MANY fields"]);
    let twice = ["NOTES", "FIRST_NAME", "NOTES", "FIRST_NAME", "NOTES"];
    assert_eq!(
        problems(server, fields(&twice)).await,
        ["DUPLICATE fields.2", "DUPLICATE fields.3", "DUPLICATE fields.4"]
    );
    let answer = merge(server, fields(&twice)).await;
    assert_eq!(
        user_errors(&answer, "mergeClients")[0]["message"],
        "NOTES is listed twice: list each field once."
    );
    let reason = |length: usize| json!({ "reason": "é".repeat(length), "validateOnly": true });
    assert_eq!(problems(server, with(two("F", "I"), reason(2_000))).await, [""; 0]);
    assert_eq!(
        problems(server, with(two("F", "I"), reason(2_001))).await,
        ["TOO_LONG reason"]
    );
    let nulls = json!({ "reason": null, "expectedFromVersion": null, "expectedIntoVersion": null,
        "idempotencyKey": null, "validateOnly": true });
    assert_eq!(
        problems(server, with(two("F", "I"), nulls)).await,
        [""; 0],
        "null is as if absent"
    );
    let both = json!({ "reason": "a\0", "idempotencyKey": "" });
    let expected = ["INVALID_CHARACTER reason", "MALFORMED idempotencyKey"];
    assert_eq!(problems(server, with(two("F", "I"), both)).await, expected);
}

async fn merge_requires_its_permission(server: &TestServer) {
    create_with(server, "F", json!({})).await;
    create_with(server, "I", json!({})).await;
    let before = server.snapshot().await;
    let others = Permission::ALL
        .into_iter()
        .filter(|permission| *permission != Permission::MergeClients);
    let caller = server.as_caller(&Rights::of(others));
    let answer = merge(&caller, two("F", "I")).await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN",
        "{}",
        answer.text
    );
    assert_eq!(server.snapshot().await, before);
}
