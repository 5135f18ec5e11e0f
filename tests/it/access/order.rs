//! The permissions to create and to change clients, and the position of their error among other problems.

use clientele::caller::{Permission::*, Rights};
use reqwest::Method;
use serde_json::{Value, json};

use super::{problems, upsert, with_sets};
use crate::harness::{TestServer, graphql::define};

async fn known(server: &TestServer) -> Value {
    let client = json!({ "client": { "id": "known", "firstName": "Amara", "lastName": "Bellweather" } });
    let answer = server.post("/api/clients", client).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["client"]["encodedKey"].clone()
}

on_both!(
    legacy_permission_error_has_a_fixed_position,
    upsert_outcome_decides_the_required_permission,
    racing_creations_do_not_become_forbidden_changes,
    value_of_a_forbidden_set_is_refused_in_value_order,
);

async fn legacy_permission_error_has_a_fixed_position(server: &TestServer) {
    let key = known(server).await;
    let role = json!({ "encodedKey": "absent" });
    for (rights, path, body, status, code) in [
        // Without both permissions the body is not parsed.
        (&[][..], "/api/clients", "{", 403, 15),
        (&[ViewClient], "/api/clients/absent?x=1", "\u{0}", 403, 15),
        (&[CreateClient], "/api/clients/known", "{", 400, 26),
        (
            &[CreateClient],
            "/api/clients/known?firstName=A",
            "{\"client\":{}}",
            400,
            27,
        ),
        // An unknown client is reported before the missing permission.
        (&[CreateClient], "/api/clients/absent", "{\"client\":{}}", 404, 301),
        (
            &[CreateClient],
            "/api/clients/known",
            "{\"client\":{\"encodedKey\":\"absent\"}}",
            404,
            302,
        ),
        (
            &[CreateClient],
            "/api/clients/known",
            "{\"client\":{\"lastName\":\"\"}}",
            400,
            4,
        ),
        (
            &[CreateClient],
            "/api/clients/known",
            &format!("{{\"client\":{{\"clientRole\":{role}}}}}"),
            403,
            15,
        ),
        (
            &[CreateClient],
            "/api/clients/known",
            "{\"client\":{},\"idDocuments\":[{}]}",
            403,
            15,
        ),
        (
            &[EditClient],
            "/api/clients",
            "{\"client\":{\"firstName\":\"Amara\"}}",
            400,
            4,
        ),
        (
            &[EditClient],
            "/api/clients",
            &format!("{{\"client\":{{\"firstName\":\"Amara\",\"lastName\":\"Bellweather\",\"clientRole\":{role}}}}}"),
            403,
            15,
        ),
        (
            &[EditClient],
            "/api/clients/known",
            &format!("{{\"client\":{{\"clientRole\":{role}}}}}"),
            400,
            306,
        ),
        // The answer reveals nothing stored: no id, no state, and no id in use.
        (
            &[CreateClient],
            "/api/clients/known",
            "{\"client\":{\"id\":\"other\"}}",
            403,
            15,
        ),
        (
            &[CreateClient],
            "/api/clients/known",
            "{\"client\":{\"state\":\"ACTIVE\"}}",
            403,
            15,
        ),
        (
            &[EditClient],
            "/api/clients",
            "{\"client\":{\"id\":\"known\",\"firstName\":\"Amara\",\"lastName\":\"Bellweather\"}}",
            403,
            15,
        ),
    ] {
        let caller = server.as_caller(&Rights::of(rights.iter().copied()));
        let before = server.snapshot().await;
        let request = caller
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = caller.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (status, &json!(code)),
            "{path} {body}: {}",
            answer.text
        );
        assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    }
    let _ = key;
}

async fn upsert_outcome_decides_the_required_permission(server: &TestServer) {
    let key = known(server).await;
    let key = key.as_str().expect("a key");
    let (creates, edits) = (
        server.as_caller(&Rights::of([CreateClient])),
        server.as_caller(&Rights::of([EditClient])),
    );
    let new = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } });
    let found = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "known", "notes": "n" } });
    let before = server.snapshot().await;
    let forbidden = json!([["FORBIDDEN", ["input"]]]);
    assert_eq!(problems(&upsert(&edits, new.clone()).await, "upsertClient"), forbidden);
    assert_eq!(
        problems(&upsert(&creates, found.clone()).await, "upsertClient"),
        forbidden
    );
    // It reveals neither the version nor the owner of the documents.
    let probing = json!({ "client": { "encodedKey": key, "clientId": "other" }, "expectedVersion": 9,
        "idDocuments": [{ "encodedKey": "x" }] });
    assert_eq!(problems(&upsert(&creates, probing).await, "upsertClient"), forbidden);
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    assert_eq!(problems(&upsert(&creates, new).await, "upsertClient"), json!([]));
    assert_eq!(problems(&upsert(&edits, found).await, "upsertClient"), json!([]));
}

async fn racing_creations_do_not_become_forbidden_changes(server: &TestServer) {
    let creates = server.as_caller(&Rights::of([CreateClient]));
    let input = |n: usize| {
        json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "raced",
        "firstName": format!("A{n}"), "lastName": "Bellweather" } })
    };
    let answers = futures_util::future::join_all((0..8).map(|n| upsert(&creates, input(n)))).await;
    let created = answers
        .iter()
        .filter(|answer| answer.body["data"]["upsertClient"]["created"] == true);
    assert_eq!(created.count(), 1);
    let refused = answers
        .iter()
        .filter(|answer| problems(answer, "upsertClient") == json!([["FORBIDDEN", ["input"]]]));
    assert_eq!(refused.count(), 7);
    assert_eq!(server.snapshot().await.rows("client").len(), 1);
}

async fn value_of_a_forbidden_set_is_refused_in_value_order(server: &TestServer) {
    known(server).await;
    define(
        server,
        "secret",
        json!([{ "fieldId": "code", "name": "Code", "type": "TEXT" }]),
    )
    .await;
    let caller = server.as_caller(&with_sets(&[], &[]));
    for (body, code) in [
        (
            json!({ "idDocuments": [{}], "customInformation": [{ "customFieldID": "code", "value": "x" }] }),
            950,
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "code", "value": "x" }] }),
            15,
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "none", "value": "x" },
                { "customFieldID": "code", "value": "x" }] }),
            903,
        ),
    ] {
        let answer = caller.post("/api/clients/known", body.clone()).await;
        assert_eq!(answer.body["returnCode"], code, "{body}: {}", answer.text);
    }
}
