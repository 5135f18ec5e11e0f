//! Erasure through both APIs: what it leaves, and repeated requests.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    create,
    deletion::{ERASE, create_full, create_linked, define},
    refusal, success, user_errors,
};
use crate::{
    audit::findings,
    harness::{TestServer, graphql::store_key},
};

on_both!(
    erased_client_leaves_its_key_to_the_links,
    erasure_can_be_repeated,
    erased_requests_leave_nothing_to_compare_guesses_with,
    erasure_of_one_client_covers_lists_and_merges,
    erasure_leaves_a_later_request_under_the_key_of_a_list,
);

async fn erased_client_leaves_its_key_to_the_links(server: &TestServer) {
    define(server).await;
    let boss = create_full(server, "boss").await;
    create_linked(server, "L1", &boss).await;
    let answer = server.graphql(
        ERASE,
        json!({ "input": { "by": { "clientId": "boss" }, "clientMutationId": "m" } }),
    );
    let answer = answer.await;
    let payload = &answer.body["data"]["eraseClient"];
    assert_eq!(
        [
            &payload["erasedClientKey"],
            &payload["erasedAt"],
            &payload["erasedRecords"],
            &payload["deletedMessages"]
        ],
        [&json!("<key 1>"), &json!("<time>"), &json!(1), &json!(1)]
    );
    assert_eq!(
        (&payload["unsentMessages"], &payload["clientMutationId"]),
        (&json!(1), &json!("m"))
    );
    assert!(payload["erasedClientId"].is_string());
    let query = "query { client(by: { clientId: \"L1\" }) { customInformation { linkedKey linkedClient { id } } } }";
    server
        .graphql(query, json!({}))
        .await
        .data(json!({ "client": { "customInformation": [
        { "linkedKey": "<key 1>", "linkedClient": null }] } }));
    // A stored link is accepted unchanged, and isn't by another client.
    let linked = json!({ "customInformation": [{ "customFieldID": "boss", "linkedEntityKeyValue": boss }] });
    assert_eq!(server.post("/api/clients/L1", linked.clone()).await.status, 200);
    create(server, "L2").await;
    let answer = server.post("/api/clients/L2", linked).await;
    assert_eq!((answer.status, &answer.body["returnCode"]), (400, &json!(911)));
    // A client with this key as its id would take over the links.
    let client = json!({ "id": boss, "firstName": "Ines", "lastName": "Okafor" });
    let created = server.post("/api/clients", json!({ "client": client })).await;
    let changed = super::patch(server, "L2", json!({ "id": boss })).await;
    for answer in [created, changed] {
        assert_eq!((answer.status, &answer.body["returnCode"]), (400, &json!(316)));
    }
    let mutation = "mutation($id: String!) { upsertClient(input: { matchOn: CLIENT_ID, client: { clientId: $id \
                    firstName: \"Ines\" lastName: \"Okafor\" } }) { userErrors { code } } }";
    let answer = server.graphql(mutation, json!({ "id": boss })).await;
    answer.data(json!({ "upsertClient": { "userErrors": [{ "code": "TAKEN" }] } }));
    assert_eq!(findings(server).await, [""; 0]);
}

async fn erasure_can_be_repeated(server: &TestServer) {
    let keys = [create_key(server, "A").await, create_key(server, "B").await];
    let with_key = json!({ "input": { "by": { "encodedKey": keys[0] }, "idempotencyKey": "k" } });
    let first = server.graphql(ERASE, with_key.clone()).await;
    assert_eq!(*user_errors(&first, "eraseClient"), json!([]), "{}", first.text);
    let before = server.snapshot().await;
    assert_eq!(server.graphql(ERASE, with_key).await.text, first.text);
    let other = json!({ "input": { "by": { "encodedKey": keys[1] }, "idempotencyKey": "k" } });
    let reused = server.graphql(ERASE, other).await;
    assert_eq!(user_errors(&reused, "eraseClient")[0]["code"], "IDEMPOTENCY_KEY_REUSED");
    // Without a key, the client's own key still names it.
    let first: Value = serde_json::from_str(&first.text).expect("JSON");
    let (first, fields) = (
        &first["data"]["eraseClient"],
        ["erasedClientKey", "erasedAt", "erasedClientId"],
    );
    for (by, key) in [
        (json!({ "encodedKey": first["erasedClientKey"] }), Value::Null),
        (json!({ "id": first["erasedClientId"] }), Value::Null),
        (json!({ "id": first["erasedClientId"] }), json!("k")),
    ] {
        let input = json!({ "input": { "by": by, "idempotencyKey": key } });
        let again = server.graphql(ERASE, input).await;
        let again: Value = serde_json::from_str(&again.text).expect("JSON");
        let again = &again["data"]["eraseClient"];
        assert_eq!(fields.map(|name| &again[name]), fields.map(|name| &first[name]));
        assert_eq!(again["erasedRecords"], i64::from(key == "k"));
    }
    assert_eq!(server.snapshot().await, before, "nothing is done a second time");
}

async fn create_key(server: &TestServer, id: &str) -> String {
    let client = json!({ "clientId": id, "firstName": "Trevor", "lastName": "Linden" });
    store_key(server, json!({ "client": client })).await
}

async fn erased_requests_leave_nothing_to_compare_guesses_with(server: &TestServer) {
    let rest = |method: Method, path: &str, key: &'static str, body: Value| {
        let request = server.request(method, path).header("Idempotency-Key", key);
        server.send(request.json(&body))
    };
    let names = json!({ "id": "C-1", "firstName": "Trevor", "lastName": "Linden" });
    let create = json!({ "client": names });
    rest(Method::POST, "/api/clients", "create", create.clone()).await;
    let patched = json!({ "client": { "birthDate": "1990-04-17" } });
    rest(Method::PATCH, "/api/clients/C-1", "patch", patched.clone()).await;
    let state = json!({ "by": { "clientId": "C-1" }, "state": "EXITED", "idempotencyKey": "state" });
    assert_eq!(
        *user_errors(&super::change(server, state).await, "changeClientState"),
        json!([])
    );
    rest(Method::DELETE, "/api/clients/C-1", "delete", Value::Null)
        .await
        .is(200, success());
    // Another client, whose requests stay as they are.
    let other = json!({ "client": { "id": "C-2", "firstName": "Ana", "lastName": "Cruz" } });
    let stored = rest(Method::POST, "/api/clients", "other", other.clone()).await;
    let by = |by: Value, key: &str| json!({ "input": { "by": by, "idempotencyKey": key } });
    let erased = server
        .graphql(ERASE, by(json!({ "encodedKey": "<key 1>" }), "by key"))
        .await;
    assert_eq!(*user_errors(&erased, "eraseClient"), json!([]));
    create_key(server, "C-3").await;
    let by_id = by(json!({ "clientId": "C-3" }), "by id");
    let erased = server.graphql(ERASE, by_id.clone()).await;
    assert_eq!(*user_errors(&erased, "eraseClient"), json!([]));
    let snapshot = server.snapshot().await;
    let entries = snapshot.rows("idempotency_record").into_iter().map(entry);
    let fingerprints: BTreeMap<String, usize> = entries.map(|(key, fingerprint)| (key, fingerprint.len())).collect();
    let kept = [
        ("by id", 0),
        ("by key", 64),
        ("create", 0),
        ("delete", 0),
        ("other", 64),
        ("patch", 0),
        ("state", 0),
    ];
    assert_eq!(
        fingerprints,
        BTreeMap::from(kept.map(|(key, length)| (key.to_owned(), length)))
    );
    // Whatever is sent under these keys, nothing is carried out again, and the answer doesn't depend on it.
    let sentence = "The request with this idempotency key was carried out, and its result is no longer available: \
                    it is not carried out again.";
    let refused = refusal(4, "INVALID_PARAMETERS", sentence);
    for (key, method, path, body) in [
        ("create", Method::POST, "/api/clients", &create),
        ("create", Method::POST, "/api/clients", &other),
        ("patch", Method::PATCH, "/api/clients/C-1", &patched),
        ("patch", Method::PATCH, "/api/clients/C-2", &patched),
        ("state", Method::POST, "/api/clients", &create),
        ("delete", Method::DELETE, "/api/clients/C-1", &Value::Null),
        ("delete", Method::DELETE, "/api/clients/C-2", &Value::Null),
        ("by id", Method::POST, "/api/clients", &create),
    ] {
        rest(method, path, key, body.clone()).await.is(422, refused.clone());
    }
    for input in [by_id, by(json!({ "clientId": "C-2" }), "by id")] {
        let again = server.graphql(ERASE, input).await;
        let problem = &user_errors(&again, "eraseClient")[0];
        assert_eq!(
            (&problem["code"], &problem["message"]),
            (&json!("OUTCOME_ERASED"), &json!(sentence))
        );
    }
    assert_eq!(
        rest(Method::POST, "/api/clients", "other", other).await.text,
        stored.text
    );
    assert_eq!(server.snapshot().await, snapshot);
    assert_eq!(findings(server).await, [""; 0]);
}

/// The key of an idempotency entry and its fingerprint.
fn entry(row: &str) -> (String, String) {
    let row: Value = serde_json::from_str(row).expect("a row is JSON");
    let text = |at: usize| row[at].as_str().expect("a text").to_owned();
    (text(1), text(2))
}

async fn erasure_of_one_client_covers_lists_and_merges(server: &TestServer) {
    let names = |id: &str| json!({ "clientId": id, "firstName": "Trevor", "lastName": "Linden" });
    let list = |ids: &[&str], key: &str| {
        let mut clients: Vec<Value> = ids.iter().map(|id| json!({ "client": names(id) })).collect();
        clients[0]["idempotencyKey"] = json!(format!("own {}", ids[0]));
        json!({ "input": { "clients": clients, "idempotencyKey": key } })
    };
    let many = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { userErrors { code } } }";
    let merge = "mutation($input: MergeClientsInput!) { mergeClients(input: $input) { userErrors { code } } }";
    let merged = |from: &str, into: &str| {
        let by = |id: &str| json!({ "clientId": id });
        json!({ "input": { "from": by(from), "into": by(into), "idempotencyKey": format!("merge {from}") } })
    };
    for (ids, key) in [(["A", "B"], "list 1"), (["C", "D"], "list 2"), (["E", "F"], "list 3")] {
        let stored = server.graphql(many, list(&ids, key)).await;
        stored.data(json!({ "upsertClients": { "userErrors": [] } }));
    }
    // Without the key of its own, the client of list 3 is recognised, and isn't carried out again.
    let again = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) {
        results { client { clientId } userErrors { code } } userErrors { code } } }";
    let result = |id: &str| json!({ "client": { "clientId": id }, "userErrors": [] });
    let erased = json!([{ "code": "OUTCOME_ERASED" }]);
    let gone = json!({ "client": null, "userErrors": erased });
    let mut without = list(&["E", "F"], "list 3");
    without["input"]["clients"][0]["idempotencyKey"] = Value::Null;
    let before = server.snapshot().await;
    let answer = server.graphql(again, without).await;
    answer.data(json!({ "upsertClients": { "results": [gone, result("F")], "userErrors": [] } }));
    assert_eq!(server.snapshot().await, before);
    for (from, into) in [("A", "B"), ("C", "D")] {
        let answer = server.graphql(merge, merged(from, into)).await;
        answer.data(json!({ "mergeClients": { "userErrors": [] } }));
    }
    for id in ["A", "F"] {
        let erased = server
            .graphql(ERASE, json!({ "input": { "by": { "clientId": id } } }))
            .await;
        assert_eq!(*user_errors(&erased, "eraseClient"), json!([]));
    }
    let before = server.snapshot().await;
    let fingerprints: BTreeMap<String, String> = before.rows("idempotency_record").into_iter().map(entry).collect();
    let kept: Vec<&str> = fingerprints
        .iter()
        .filter(|(_, fingerprint)| !fingerprint.is_empty())
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(
        kept,
        ["list 1\n1", "list 2", "list 2\n1", "merge C", "own C", "own E"],
        "{fingerprints:?}"
    );
    assert_ne!(fingerprints["list 2\n1"], fingerprints["list 2"]);
    for (ids, key, results) in [
        (["A", "B"], "list 1", json!([gone, result("B")])),
        (["C", "D"], "list 2", json!([result("C"), result("D")])),
        (["E", "F"], "list 3", json!([result("E"), gone])),
    ] {
        let answer = server.graphql(again, list(&ids, key)).await;
        answer.data(json!({ "upsertClients": { "results": results, "userErrors": [] } }));
    }
    for (from, into, errors) in [("A", "B", erased), ("C", "D", json!([]))] {
        let again = server.graphql(merge, merged(from, into)).await;
        again.data(json!({ "mergeClients": { "userErrors": errors } }));
    }
    assert_eq!(server.snapshot().await, before);
}

async fn erasure_leaves_a_later_request_under_the_key_of_a_list(server: &TestServer) {
    let many = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { userErrors { code } } }";
    let list = |ids: &[&str]| {
        let names = |id: &&str| json!({ "client": { "clientId": id, "firstName": "Trevor", "lastName": "Linden" } });
        let clients: Vec<Value> = ids.iter().map(names).collect();
        json!({ "input": { "clients": clients, "idempotencyKey": "list" } })
    };
    let stored = json!({ "upsertClients": { "userErrors": [] } });
    server.graphql(many, list(&["A", "B"])).await.data(stored.clone());
    let expire = "UPDATE idempotency_record SET expires_at = '2026-01-01T00:00:00.000000Z' WHERE key LIKE 'list%'";
    server.write(expire).await.expect("the statement is sound");
    server.graphql(many, list(&["C"])).await.data(stored.clone());
    let erased = server
        .graphql(ERASE, json!({ "input": { "by": { "clientId": "B" } } }))
        .await;
    assert_eq!(*user_errors(&erased, "eraseClient"), json!([]));
    server.graphql(many, list(&["C"])).await.data(stored);
}
