//! The permissions of changes of state, and the edits of blacklisted clients.

use clientele::{
    caller::{Caller, Permission, Rights},
    client::ClientParts,
    client_by::ClientBy,
    definitions::Kind,
    enums::ClientState,
    upsert::ChangeClientState,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{change, change_state, create, patch, refusal, send, success, user_errors};
use crate::harness::{TestServer, field, graphql::store_key};

on_both!(
    patch_requires_the_permissions_of_its_members,
    change_without_its_permission_tells_no_state,
    blacklisted_client_can_only_change_its_state,
    change_of_state_shows_no_client_without_view_client,
);

fn forbidden(source: &str) -> Value {
    refusal(15, "INVALID_PERMISSIONS", source)
}

async fn patch_requires_the_permissions_of_its_members(server: &TestServer) {
    create(server, "C").await;
    let as_caller = |permissions: &[Permission]| server.as_caller(&Rights::of(permissions.iter().copied()));
    let editor = as_caller(&[Permission::EditClient]);
    let decider = as_caller(&[Permission::ChangeState]);
    let both = as_caller(&[Permission::EditClient, Permission::ChangeState]);
    let neither = as_caller(&[
        Permission::CreateClient,
        Permission::DeleteClient,
        Permission::ViewClient,
    ]);
    let to_edit = forbidden("To change a client you need the permission EDIT_CLIENT.");
    let to_decide = forbidden("To change the state of a client you need the permission CHANGE_STATE.");
    let nothing = forbidden("This needs the permission EDIT_CLIENT.");
    let (name, state) = (json!({ "firstName": "Ana" }), json!({ "state": "EXITED" }));
    let (all, same) = (
        json!({ "firstName": "Bo", "state": "EXITED" }),
        json!({ "firstName": "Ana", "state": "INACTIVE" }),
    );
    for (caller, client, refused) in [
        (&editor, &name, None),
        (&editor, &json!({}), None),
        (&editor, &state, Some(&to_decide)),
        (&editor, &all, Some(&to_decide)),
        (&editor, &same, None),
        (&decider, &name, Some(&to_edit)),
        (&decider, &json!({}), Some(&to_edit)),
        (&decider, &all, Some(&to_edit)),
        (&decider, &same, Some(&to_edit)),
        (&neither, &name, Some(&nothing)),
        (&neither, &state, Some(&nothing)),
        (&decider, &state, None),
        (&both, &json!({ "state": "INACTIVE" }), None),
        (&both, &all, None),
    ] {
        let before = server.snapshot().await;
        let answer = patch(caller, "C", client.clone()).await;
        match refused {
            None => answer.is(200, success()),
            Some(body) => {
                assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
                answer.is(403, body.clone())
            }
        };
    }
}

async fn change_without_its_permission_tells_no_state(server: &TestServer) {
    create(server, "C").await;
    let editor = server.as_caller(&Rights::of([Permission::EditClient]));
    let to_decide = forbidden("To change the state of a client you need the permission CHANGE_STATE.");
    for state in ["REJECTED", "EXITED"] {
        patch(&editor, "C", json!({ "state": state }))
            .await
            .is(403, to_decide.clone());
    }
    change_state(server, "C", "BLACKLISTED").await;
    let decider = server.as_caller(&Rights::of([Permission::ChangeState]));
    let to_edit = forbidden("To change a client you need the permission EDIT_CLIENT.");
    patch(&decider, "C", json!({ "firstName": "Ana" }))
        .await
        .is(403, to_edit);
}

async fn blacklisted_client_can_only_change_its_state(server: &TestServer) {
    create(server, "C").await;
    let key = server.get("/api/clients/C").await;
    let key = serde_json::from_str::<Value>(&key.text).expect("JSON")["encodedKey"].take();
    change_state(server, "C", "BLACKLISTED").await;
    let before = server.snapshot().await;
    let source = "client: This client is blacklisted and can't be edited: change its state first.";
    let barred = refusal(3741, "BLACKLISTED_CLIENT_NOT_EDITABLE", source);
    let edits = [
        json!({ "client": { "firstName": "Ana" } }),
        json!({ "client": { "firstName": "" } }),
        json!({ "client": { "notes": "n", "state": "BLACKLISTED" } }),
        json!({ "client": { "birthDate": "nonsense" } }),
    ];
    for body in &edits {
        for method in [Method::POST, Method::PATCH] {
            send(server, method, "/api/clients/C", body)
                .await
                .is(400, barred.clone());
        }
    }
    for lists in [
        json!({ "addresses": [{ "line1": "1 Lane" }] }),
        json!({ "idDocuments": [{ "documentType": "Passport", "documentId": "1" }] }),
    ] {
        server.post("/api/clients/C", lists).await.is(400, barred.clone());
    }
    let both = json!({ "state": "INACTIVE", "firstName": "Ana" });
    patch(server, "C", both).await.is(400, barred.clone());
    patch(server, "C", json!({ "id": "D" })).await.is(400, barred);
    let upsert = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { client { version } userErrors { \
        code message path } } }";
    let edit = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "C", "firstName": "Ana" } });
    let message = "This client is blacklisted and can't be edited: change its state first.";
    server
        .graphql(upsert, json!({ "input": edit }))
        .await
        .data(json!({ "upsertClient": { "client": null, "userErrors": [
            { "code": "BLACKLISTED", "message": message, "path": ["input", "client"] }] } }));
    // A submission that changes nothing is not an edit.
    let same =
        json!({ "client": { "encodedKey": key, "firstName": "Trevor", "state": "BLACKLISTED" }, "addresses": [] });
    assert_eq!(server.post("/api/clients/C", same).await.status, 200);
    let same = json!({ "firstName": "Trevor", "state": "BLACKLISTED", "notes": "" });
    patch(server, "C", same).await.is(200, success());
    let impossible = "client.state: A client that is BLACKLISTED can't become ACTIVE, only INACTIVE.";
    let answer = patch(server, "C", json!({ "state": "ACTIVE" })).await;
    answer.is(400, refusal(312, "INVALID_CLIENT_STATE_TRANSITION", impossible));
    assert_eq!(server.snapshot().await, before, "nothing was written");
    let unblock = change(server, json!({ "by": { "clientId": "C" }, "state": "INACTIVE" })).await;
    assert_eq!(*user_errors(&unblock, "changeClientState"), json!([]));
    patch(server, "C", json!({ "firstName": "Ana" }))
        .await
        .is(200, success());
}

/// Selects every kind of field of a client.
const READ_BY_CHANGE: &str = "mutation($input: ChangeClientStateInput!) { changeClientState(input: $input) { client {
    clientId firstName birthDate version addresses { line1 } idDocuments { documentId }
    customInformation { value linkedClient { firstName } } messages { totalCount } history { totalCount } }
    conflictingVersion userErrors { code } } }";

async fn change_of_state_shows_no_client_without_view_client(server: &TestServer) {
    server
        .define(vec![field("nick", Kind::Text), field("boss", Kind::ClientLink)])
        .await;
    create(server, "boss").await;
    let boss = server.get("/api/clients/boss").await;
    let boss = serde_json::from_str::<Value>(&boss.text).expect("JSON")["encodedKey"].take();
    let key = store_key(
        server,
        json!({ "client": { "clientId": "C", "firstName": "Trevor", "lastName": "Linden" },
            "addresses": [{ "line1": "1 Lane" }],
            "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "boss", "linkedKey": boss }] }),
    );
    let key = key.await;
    let decider = server.as_caller(&Rights::of([Permission::ChangeState]));
    let hidden = (
        &json!("FORBIDDEN"),
        &json!("This needs the permission VIEW_CLIENT."),
        &json!(["changeClientState", "client"]),
    );
    for (state, own) in [
        // Nothing changes.
        ("INACTIVE", json!({})),
        ("EXITED", json!({})),
        ("INACTIVE", json!({ "idempotencyKey": "k" })),
        ("INACTIVE", json!({ "idempotencyKey": "k" })),
    ] {
        let input = crate::harness::with(json!({ "by": { "clientId": "C" }, "state": state }), own);
        let answer = decider.graphql(READ_BY_CHANGE, json!({ "input": input })).await;
        let payload = json!({ "client": null, "conflictingVersion": null, "userErrors": [] });
        assert_eq!(answer.body["data"]["changeClientState"], payload, "{}", answer.text);
        let error = &answer.body["errors"][0];
        assert_eq!(
            (&error["extensions"]["code"], &error["message"], &error["path"]),
            hidden
        );
        for personal in ["Trevor", "1 Lane", "Al\"", "Linden"] {
            assert!(!answer.text.contains(personal), "{}", answer.text);
        }
        let stored = server.get("/api/clients/C").await;
        assert_eq!(stored.body["state"], state);
    }
    // With the permission, the same request shows the client.
    let viewer = server.as_caller(&Rights::of([Permission::ChangeState, Permission::ViewClient]));
    let query = "mutation($input: ChangeClientStateInput!) { changeClientState(input: $input) { client { firstName \
        customInformation { value linkedClient { clientId } } } userErrors { code } } }";
    let input = json!({ "by": { "encodedKey": key }, "state": "INACTIVE" });
    viewer.graphql(query, json!({ "input": input })).await.data(
        json!({ "changeClientState": { "userErrors": [], "client": { "firstName": "Trevor", "customInformation": [
            { "value": "Al", "linkedClient": null }, { "value": null, "linkedClient": { "clientId": "boss" } }] } } }),
    );
    // The domain returns nothing either.
    let caller = Caller {
        rights: Rights::of([Permission::ChangeState]).into(),
        ..Caller::operator()
    };
    let input = ChangeClientState {
        by: ClientBy::EncodedKey(key),
        state: ClientState::Active,
        reason: None,
        expected_version: None,
        idempotency_key: None,
    };
    let now = std::time::SystemTime::now().into();
    let clients = &server.services.clients;
    let changed = clients.change_state(&caller, &input, ClientParts::ALL, now).await;
    assert!(matches!(changed, Ok(Ok(None))), "{changed:?}");
}
