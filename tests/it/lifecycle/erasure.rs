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
    let fingerprints: BTreeMap<String, usize> = snapshot.rows("idempotency_record").into_iter().map(entry).collect();
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

/// The key of an idempotency entry and the length of its fingerprint.
fn entry(row: &str) -> (String, usize) {
    let row: Value = serde_json::from_str(row).expect("a row is JSON");
    let text = |at: usize| row[at].as_str().expect("a text").to_owned();
    (text(1), text(2).len())
}

async fn erasure_of_one_client_covers_lists_and_merges(server: &TestServer) {
    let names = |id: &str| json!({ "clientId": id, "firstName": "Trevor", "lastName": "Linden" });
    let list = |ids: &[&str], key: &str| {
        let clients: Vec<Value> = ids.iter().map(|id| json!({ "client": names(id) })).collect();
        json!({ "input": { "clients": clients, "idempotencyKey": key } })
    };
    let many = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { userErrors { code } } }";
    let merge = "mutation($input: MergeClientsInput!) { mergeClients(input: $input) { userErrors { code } } }";
    for (ids, key) in [(["A", "B"], "list"), (["C", "D"], "other")] {
        let stored = server.graphql(many, list(&ids, key)).await;
        stored.data(json!({ "upsertClients": { "userErrors": [] } }));
    }
    let merged = |from: &str, into: &str| json!({ "input": { "from": { "clientId": from }, "into": { "clientId": into }, "idempotencyKey": from } });
    for (from, into) in [("A", "B"), ("C", "D")] {
        let answer = server.graphql(merge, merged(from, into)).await;
        answer.data(json!({ "mergeClients": { "userErrors": [] } }));
    }
    let by = json!({ "input": { "by": { "clientId": "A" } } });
    let erased = server.graphql(ERASE, by).await;
    assert_eq!(*user_errors(&erased, "eraseClient"), json!([]));
    let before = server.snapshot().await;
    let lengths: BTreeMap<String, usize> = before.rows("idempotency_record").into_iter().map(entry).collect();
    let kept = [
        ("A", 0),
        ("A\n0", 0),
        ("C", 64),
        ("C\n0", 0),
        ("list", 0),
        ("list\n0", 0),
        ("list\n1", 64),
        ("other", 64),
        ("other\n0", 64),
        ("other\n1", 64),
    ];
    assert_eq!(
        lengths,
        BTreeMap::from(kept.map(|(key, length)| (key.to_owned(), length)))
    );
    let erased = json!([{ "code": "OUTCOME_ERASED" }]);
    for (ids, key, errors) in [(["A", "B"], "list", erased), (["C", "D"], "other", json!([]))] {
        let again = server.graphql(many, list(&ids, key)).await;
        again.data(json!({ "upsertClients": { "userErrors": errors } }));
        let again = server.graphql(merge, merged(ids[0], ids[1])).await;
        again.data(json!({ "mergeClients": { "userErrors": errors } }));
    }
    assert_eq!(server.snapshot().await, before);
}
