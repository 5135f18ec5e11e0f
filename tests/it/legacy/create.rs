//! Creation of clients: names, ids and roles.

use clientele::{caller::Caller, custom_field::UpsertClientRole};
use serde_json::json;

use super::{CLIENTS, FIRST, client, create_trevor, expanded, refusal, stored};
use crate::harness::{Settings, TestServer};

on_both!(
    request_without_client_key_creates_a_client,
    both_names_are_required,
    client_id_can_be_chosen,
    client_id_must_not_be_the_key_of_a_client,
    client_id_has_at_most_32_characters_and_is_not_blank,
    generated_ids_follow_the_configured_pattern,
    unknown_and_read_only_members_are_ignored,
    role_must_exist,
    new_default_role_applies_to_clients_without_a_role,
    seeded_clients_follow_the_rules_of_new_ones,
);

async fn request_without_client_key_creates_a_client(server: &TestServer) {
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } });
    server
        .post(CLIENTS, body.clone())
        .await
        .is(200, expanded(client(json!({})), json!({})));
    let second = client(json!({ "encodedKey": "<key 2>", "id": "<id 2>" }));
    server
        .post("/api/clients/", body)
        .await
        .is(200, expanded(second, json!({})));
    stored(server, client(json!({})), json!({})).await;
}

async fn both_names_are_required(server: &TestServer) {
    for (client, name) in [
        (json!({ "lastName": "Linden" }), "firstName"),
        (json!({ "firstName": "Trevor" }), "lastName"),
        (json!({ "firstName": null, "lastName": "Linden" }), "firstName"),
        (json!({ "firstName": "", "lastName": "Linden" }), "firstName"),
        (json!({ "firstName": " \t\u{a0}", "lastName": "Linden" }), "firstName"),
    ] {
        let source = format!("client.{name}: {name} is required and must not be blank.");
        server
            .refuses(
                CLIENTS,
                json!({ "client": client }),
                400,
                refusal(4, "INVALID_PARAMETERS", &source),
            )
            .await;
    }
    let source = "client is missing or empty: put the members of the client into it, such as \
        {\"client\":{\"firstName\":…,\"lastName\":…}}.";
    for body in [
        json!({ "client": {} }),
        json!({ "client": null }),
        json!({ "firstName": "Trevor", "lastName": "Linden" }),
    ] {
        server
            .refuses(CLIENTS, body, 400, refusal(4, "INVALID_PARAMETERS", source))
            .await;
    }
}

async fn client_id_can_be_chosen(server: &TestServer) {
    for id in ["7", "ümläut & space", "abcdefghijklmnopqrstuvwxyz012345"] {
        let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": id } });
        let answer = server.post(CLIENTS, body).await;
        assert_eq!((answer.status, &answer.body["client"]["id"]), (200, &json!(id)));
    }
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": "7" } });
    let source = "client.id: Another client has this id: choose another, or leave it out to have one generated.";
    server
        .refuses(CLIENTS, body, 400, refusal(316, "CLIENT_ID_ALREADY_IN_USE", source))
        .await;
}

async fn client_id_must_not_be_the_key_of_a_client(server: &TestServer) {
    create_trevor(server).await;
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": "<key 1>" } });
    let source = "client.id: Another client has this id: choose another, or leave it out to have one generated.";
    server
        .refuses(CLIENTS, body, 400, refusal(316, "CLIENT_ID_ALREADY_IN_USE", source))
        .await;
}

async fn client_id_has_at_most_32_characters_and_is_not_blank(server: &TestServer) {
    for (id, code, status, source) in [
        (
            "ä".repeat(33),
            3742,
            "INVALID_STRING_VALUE",
            "client.id: id must have at most 32 characters.",
        ),
        (
            " ".to_owned(),
            4,
            "INVALID_PARAMETERS",
            "client.id: id must not be blank: leave it out to have one generated.",
        ),
    ] {
        let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": id } });
        server.refuses(CLIENTS, body, 400, refusal(code, status, source)).await;
    }
}

async fn generated_ids_follow_the_configured_pattern(server: &TestServer) {
    let settings: clientele::client::ClientSettings =
        serde_json::from_value(json!({ "id_pattern": "C-##", "first_state": "PENDING_APPROVAL" }))
            .expect("sound settings");
    let server = server
        .another(Settings {
            clients: settings,
            ..Settings::default()
        })
        .await;
    let answer = server
        .post(
            CLIENTS,
            json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } }),
        )
        .await;
    let id = answer.body["client"]["id"].as_str().unwrap_or_default();
    let digits = id.strip_prefix("C-").unwrap_or_default();
    assert!(
        digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        "{id}"
    );
    // A client that waits for its approval has no date of it.
    let mut expected = client(json!({ "state": "PENDING_APPROVAL", "id": id }));
    expected.as_object_mut().expect("an object").remove("approvedDate");
    answer.is(200, expanded(expected, json!({})));
    server.stop().await;
}

async fn unknown_and_read_only_members_are_ignored(server: &TestServer) {
    let body = json!({
        "client": {
            "firstName": "Trevor", "lastName": "Linden", "appkey": "x", "loanCycle": "many", "groupLoanCycle": {},
            "creationDate": 5, "lastModifiedDate": [], "approvedDate": false,
                "activationDate": "1999-01-01T00:00:00+0000",
            "closedDate": "never", "encodedKey": null, "id": null, "state": null, "tasks": [{}],
        },
        "groupKeys": ["x"], "appkey": "x",
    });
    server
        .post(CLIENTS, body)
        .await
        .is(200, expanded(client(json!({})), json!({})));
}

async fn role_must_exist(server: &TestServer) {
    let role =
        |key| json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "clientRole": { "encodedKey": key } } });
    let source = "client.clientRole.encodedKey: There is no client role of this name.";
    for key in ["absent", ""] {
        server
            .refuses(CLIENTS, role(key), 400, refusal(306, "INVALID_CLIENT_ROLE_KEY", source))
            .await;
    }
    let guarantor = UpsertClientRole {
        role_id: "guarantor".to_owned(),
        encoded_key: async_graphql::MaybeUndefined::Value("guarantorKey".to_owned()),
        name: async_graphql::MaybeUndefined::Value("Guarantor".to_owned()),
        is_default: None,
        ..UpsertClientRole::default()
    };
    server
        .services
        .custom_fields
        .upsert_role(&Caller::operator(), &guarantor, std::time::SystemTime::now().into())
        .await
        .expect("the database answers")
        .expect("a sound role");
    let own = json!({ "clientRole": { "encodedKey": "guarantorKey" } });
    server
        .post(CLIENTS, role("guarantorKey"))
        .await
        .is(200, expanded(client(own.clone()), json!({})));
    stored(server, client(own), json!({})).await;
    // Null sets the default again.
    let body = json!({ "client": { "clientRole": null } });
    server
        .post(FIRST, body)
        .await
        .is(200, expanded(client(json!({})), json!({})));
}

async fn new_default_role_applies_to_clients_without_a_role(server: &TestServer) {
    let member = UpsertClientRole {
        role_id: "member".to_owned(),
        encoded_key: async_graphql::MaybeUndefined::Value("memberKey".to_owned()),
        name: async_graphql::MaybeUndefined::Value("Member".to_owned()),
        is_default: Some(true),
        ..UpsertClientRole::default()
    };
    server
        .services
        .custom_fields
        .upsert_role(&Caller::operator(), &member, std::time::SystemTime::now().into())
        .await
        .expect("the database answers")
        .expect("a sound role");
    let expected = client(json!({ "clientRole": { "encodedKey": "memberKey" } }));
    let request = server.request(reqwest::Method::POST, "/api/clients?firstName=Trevor&lastName=Linden");
    server.send(request).await.is(200, expected);
}

async fn seeded_clients_follow_the_rules_of_new_ones(server: &TestServer) {
    server.seed(24).await;
    for number in 0..24 {
        let mut client = server
            .get(&format!("/api/clients/SEED{number:08}?fullDetails=true"))
            .await
            .body;
        client["client"]["encodedKey"] = json!(null);
        client["client"]["id"] = json!(format!("copy {number}"));
        // Only an update can have the state of another client.
        client["client"]["state"] = json!(null);
        for list in ["idDocuments", "addresses"] {
            for member in client[list].as_array_mut().expect("a list") {
                member["encodedKey"] = json!(null);
            }
        }
        let answer = server.post(CLIENTS, client).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
