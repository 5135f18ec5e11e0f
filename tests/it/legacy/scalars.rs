//! Scalar members: absent keeps the value, null clears it, and read-only members are ignored.

use async_graphql::MaybeUndefined;
use clientele::{
    custom_field::CustomFieldInput,
    definitions::{FieldState, Kind},
};
use serde_json::{Value, json};

use super::{CLIENTS, FIRST, address, client, create, document, expanded, merged, refusal, stored};
use crate::harness::{TestServer, field, options};

/// Every scalar that a caller can write and clear.
fn every_scalar() -> Value {
    json!({
        "middleName": "Good", "homePhone": "1", "emailAddress": "trevor@example.test", "mobilePhone1": "2",
        "mobilePhone2": "3", "birthDate": "1990-04-17", "gender": "MALE", "notes": "n", "assignedUserKey": "u1",
        "assignedBranchKey": "b1", "assignedCentreKey": "c1", "preferredLanguage": "PORTUGESE",
    })
}

fn answered(scalars: Value) -> Value {
    client(merged(scalars, json!({ "birthDate": "1990-04-17T00:00:00+0000" })))
}

on_both!(
    each_scalar_can_be_kept_cleared_and_set,
    empty_text_counts_as_null,
    names_cannot_be_cleared,
    post_changes_neither_id_nor_state,
    members_of_arrays_follow_the_same_rules,
    answer_can_be_sent_back,
);

async fn each_scalar_can_be_kept_cleared_and_set(server: &TestServer) {
    create(server, json!({})).await;
    let whole = every_scalar();
    let body = json!({ "client": whole });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(answered(whole.clone()), json!({})));
    server
        .post(FIRST, json!({ "client": {} }))
        .await
        .is(200, expanded(answered(whole.clone()), json!({})));
    for name in whole.as_object().expect("an object").keys() {
        let mut expected = answered(whole.clone());
        expected.as_object_mut().expect("an object").remove(name);
        if name == "preferredLanguage" {
            expected[name] = json!("ENGLISH");
        }
        server
            .post(FIRST, json!({ "client": { name: null } }))
            .await
            .is(200, expanded(expected, json!({})));
        let back = json!({ "client": { name: whole[name] } });
        server
            .post(FIRST, back)
            .await
            .is(200, expanded(answered(whole.clone()), json!({})));
    }
    stored(server, answered(whole), json!({})).await;
}

async fn empty_text_counts_as_null(server: &TestServer) {
    create(server, json!({})).await;
    for name in [
        "middleName",
        "homePhone",
        "emailAddress",
        "mobilePhone1",
        "mobilePhone2",
        "notes",
        "assignedUserKey",
        "assignedBranchKey",
    ] {
        server.post(FIRST, json!({ "client": every_scalar() })).await;
        let mut expected = answered(every_scalar());
        expected.as_object_mut().expect("an object").remove(name);
        server
            .post(FIRST, json!({ "client": { name: "" } }))
            .await
            .is(200, expanded(expected, json!({})));
    }
}

async fn names_cannot_be_cleared(server: &TestServer) {
    create(server, json!({})).await;
    for name in ["firstName", "lastName"] {
        for blank in [json!(null), json!(""), json!("\t ")] {
            let source = format!("client.{name}: {name} is required and must not be blank.");
            let body = json!({ "client": { name: blank } });
            server
                .refuses(FIRST, body, 400, refusal(4, "INVALID_PARAMETERS", &source))
                .await;
        }
    }
}

async fn post_changes_neither_id_nor_state(server: &TestServer) {
    create(server, json!({})).await;
    let same = expanded(client(json!({})), json!({}));
    for body in [
        json!({ "id": "<id 1>", "state": "INACTIVE" }),
        json!({ "id": null, "state": null, "encodedKey": null }),
        json!({}),
    ] {
        server
            .post(FIRST, json!({ "client": body }))
            .await
            .is(200, same.clone());
    }
    let id = "client.id: id can't be changed once the client exists.";
    server
        .refuses(
            FIRST,
            json!({ "client": { "id": "other" } }),
            400,
            refusal(1906, "FIELD_IS_NOT_EDITABLE", id),
        )
        .await;
    let state = "client.state: state can't be set here: leave it out, or send INACTIVE.";
    for (path, other) in [
        (FIRST, "ACTIVE"),
        (FIRST, "nonsense"),
        (FIRST, ""),
        (CLIENTS, "PENDING_APPROVAL"),
        (CLIENTS, "EXITED"),
    ] {
        let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "state": other } });
        server
            .refuses(path, body, 400, refusal(305, "INVALID_CLIENT_STATE", state))
            .await;
    }
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "state": "INACTIVE" } });
    let second = client(json!({ "encodedKey": "<key 2>", "id": "<id 2>" }));
    server.post(CLIENTS, body).await.is(200, expanded(second, json!({})));
}

async fn members_of_arrays_follow_the_same_rules(server: &TestServer) {
    let whole = json!({
        "line1": "1", "line2": "2", "city": "3", "region": "4", "postcode": "5", "country": "6",
        "latitude": 12.5, "longitude": -0.25,
    });
    let passport = json!({
        "documentType": "Passport", "documentId": "1", "issuingAuthority": "Office", "validUntil": "2034-01-31",
    });
    create(server, json!({ "addresses": [whole], "idDocuments": [passport] })).await;
    let documents = json!([merged(
        document(2, 0, "1"),
        json!({
            "issuingAuthority": "Office", "validUntil": "2034-01-31T00:00:00+0000",
        })
    )]);
    let collections = json!({ "addresses": [address(3, whole.clone())], "idDocuments": documents });
    stored(server, client(json!({})), collections.clone()).await;
    for body in [
        json!({ "addresses": [{ "encodedKey": "<key 3>" }], "idDocuments": [{ "encodedKey": "<key 2>" }] }),
        collections.clone(),
    ] {
        server
            .post(FIRST, body)
            .await
            .is(200, expanded(client(json!({})), collections.clone()));
    }
    for name in whole.as_object().expect("an object").keys() {
        let mut rest = collections.clone();
        rest["addresses"][0].as_object_mut().expect("an object").remove(name);
        let body = json!({ "addresses": [{ "encodedKey": "<key 3>", name: null }] });
        server
            .post(FIRST, body)
            .await
            .is(200, expanded(client(json!({})), rest));
        server.post(FIRST, collections.clone()).await;
    }
    let body = json!({ "idDocuments": [{ "encodedKey": "<key 2>", "issuingAuthority": "", "validUntil": null }] });
    let bare = merged(collections, json!({ "idDocuments": [document(2, 0, "1")] }));
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), bare.clone()));
    for name in ["documentType", "documentId"] {
        let source = format!("idDocuments[0].{name}: {name} is required and must not be blank.");
        let body = json!({ "idDocuments": [{ "encodedKey": "<key 2>", name: null }] });
        server
            .refuses(FIRST, body, 400, refusal(950, "INVALID_ID_DOCUMENT", &source))
            .await;
    }
    stored(server, client(json!({})), bare).await;
}

async fn answer_can_be_sent_back(server: &TestServer) {
    server
        .define(vec![
            CustomFieldInput {
                options: options(&["LOW", "HIGH"]),
                ..field("band", Kind::Selection)
            },
            CustomFieldInput {
                max_length: MaybeUndefined::Value(10),
                ..field("shoe", Kind::Text)
            },
            field("height", Kind::Number),
            field("friend", Kind::GroupLink),
        ])
        .await;
    create(server, json!({
        "idDocuments": [{ "documentType": "Passport", "documentId": "1" }],
        "addresses": [{ "city": "Exampleton", "latitude": 0.1 }],
        "customInformation": [
            { "customFieldID": "band", "value": "LOW" }, { "customFieldID": "shoe", "value": "ninechars" },
            { "customFieldID": "height", "value": 1.80 }, { "customFieldID": "friend", "linkedEntityKeyValue": "f1" },
        ],
    })).await;
    server.post(FIRST, json!({ "client": every_scalar() })).await;
    let before = server.snapshot().await;
    let whole = server.get("/api/clients/<key 1>?fullDetails=true").await.body;
    let mut answer = whole.clone();
    answer.as_object_mut().expect("an object").remove("groupKeys");
    server.post(FIRST, whole.clone()).await.is(200, answer);
    assert_eq!(server.snapshot().await, before, "nothing changed, nothing is written");

    // Even after the definitions became narrower, were deactivated, or lost the option.
    server
        .define(vec![
            CustomFieldInput {
                options: options(&["HIGH"]),
                ..field("band", Kind::Selection)
            },
            CustomFieldInput {
                max_length: MaybeUndefined::Value(3),
                pattern: MaybeUndefined::Value("###".to_owned()),
                ..field("shoe", Kind::Text)
            },
            CustomFieldInput {
                state: Some(FieldState::Deactivated),
                ..field("height", Kind::Number)
            },
        ])
        .await;
    let before = server.snapshot().await;
    assert_eq!(server.post(FIRST, whole.clone()).await.status, 200);
    assert_eq!(server.snapshot().await, before);
    for (index, value, code) in [(0, "MEDIUM", 901), (1, "abcd", 904), (1, "abc", 917), (2, "1.9", 908)] {
        let mut changed = whole.clone();
        changed["customInformation"][index]["value"] = json!(value);
        let answer = server.post(FIRST, changed).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{}",
            answer.text
        );
    }
    let mut changed = whole;
    changed["customInformation"][3]["linkedEntityKeyValue"] = json!("f2");
    let answer = server.post(FIRST, changed).await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(908)),
        "{}",
        answer.text
    );
    assert_eq!(server.snapshot().await, before);
}
