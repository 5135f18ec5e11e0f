//! Selection of the client that a request changes: by path, key or both.

use clientele::api::{self, rest::RestSettings};
use serde_json::json;

use super::{CLIENTS, FIRST, address, client, create, create_trevor, expanded, refusal, stored};
use crate::harness::{Settings, TestServer};

const WRONG_KEY: &str =
    "client.encodedKey: There is no client with this key: correct encodedKey, or leave it out, as the path names one.";
const UNKNOWN_KEY: &str = "client.encodedKey: There is no client with this key: leave encodedKey out to create one.";
const UNKNOWN_ID: &str = "There is no client with this id or key.";

on_both!(
    path_or_key_or_both_select_the_client,
    unknown_path_unknown_key_and_two_clients_have_an_order,
    short_id_takes_precedence_over_a_key,
    arrays_alone_change_only_these_arrays,
    strict_server_requires_the_key_in_the_body,
);

async fn path_or_key_or_both_select_the_client(server: &TestServer) {
    create_trevor(server).await;
    let ways = [
        ("/api/clients/<id 1>", json!("<key 1>")),
        ("/api/clients/<key 1>", json!("<key 1>")),
        ("/api/clients/<id 1>", json!(null)),
        ("/api/clients/<key 1>/", json!(null)),
        (CLIENTS, json!("<key 1>")),
    ];
    for (round, (path, key)) in ways.into_iter().enumerate() {
        let notes = format!("round {round}");
        let body = json!({ "client": { "encodedKey": key, "notes": notes } });
        server
            .post(path, body)
            .await
            .is(200, expanded(client(json!({ "notes": notes })), json!({})));
    }
    stored(server, client(json!({ "notes": "round 4" })), json!({})).await;
    assert_eq!(server.snapshot().await.rows("client").len(), 1);
}

async fn unknown_path_unknown_key_and_two_clients_have_an_order(server: &TestServer) {
    create_trevor(server).await;
    create_trevor(server).await;
    let with = |key: &str| json!({ "client": { "encodedKey": key, "firstName": "" } });
    let unknown_id = refusal(301, "INVALID_CLIENT_ID", UNKNOWN_ID);
    for path in [
        "/api/clients/absent",
        "/api/clients/%00",
        "/api/clients/%20",
        "/api/clients/0123456789012345678901234567890123456789",
    ] {
        server.refuses(path, with("<key 2>"), 404, unknown_id.clone()).await;
        server.get(path).await.is(404, unknown_id.clone());
    }
    for key in ["absent", "", "\0", "<id 1>"] {
        server
            .refuses(FIRST, with(key), 404, refusal(302, "INVALID_CLIENT_KEY", WRONG_KEY))
            .await;
        server
            .refuses(CLIENTS, with(key), 404, refusal(302, "INVALID_CLIENT_KEY", UNKNOWN_KEY))
            .await;
    }
    let source = "client.encodedKey: The path and the encodedKey name two different clients: correct encodedKey, or \
        leave it out.";
    server
        .refuses(
            FIRST,
            with("<key 2>"),
            400,
            refusal(25, "INCONSISTENT_IDENTIFIER_WITH_JSON", source),
        )
        .await;
}

async fn short_id_takes_precedence_over_a_key(server: &TestServer) {
    // An id that looks like a key, chosen before any client could have that key.
    let id = "0123456789abcdef0123456789abcdef";
    server
        .post(
            CLIENTS,
            json!({ "client": { "firstName": "Trevor", "lastName": "Linden", "id": id } }),
        )
        .await;
    server
        .get(&format!("/api/clients/{id}"))
        .await
        .is(200, client(json!({ "id": id })));
}

async fn arrays_alone_change_only_these_arrays(server: &TestServer) {
    create_trevor(server).await;
    let body = json!({ "addresses": [{ "city": "Exampleton" }] });
    let city = json!({ "addresses": [address(2, json!({ "city": "Exampleton" }))] });
    server
        .post(FIRST, body.clone())
        .await
        .is(200, expanded(client(json!({})), city.clone()));
    stored(server, client(json!({})), city).await;
    // Without a path id it is the creation of a client without a name.
    let source = "client is missing or empty: put the members of the client into it, such as \
        {\"client\":{\"firstName\":…,\"lastName\":…}}.";
    server
        .refuses(CLIENTS, body, 400, refusal(4, "INVALID_PARAMETERS", source))
        .await;
}

async fn strict_server_requires_the_key_in_the_body(server: &TestServer) {
    create(server, json!({})).await;
    let legacy = RestSettings {
        require_encoded_key: true,
        ..RestSettings::default()
    };
    let doors = api::Settings {
        legacy,
        ..api::Settings::default()
    };
    let strict = server
        .another(Settings {
            doors,
            ..Settings::default()
        })
        .await;
    let source = "client.encodedKey: A change must carry the client's encodedKey.";
    let answer = refusal(302, "INVALID_CLIENT_KEY", source);
    strict
        .refuses(FIRST, json!({ "client": { "notes": "x" } }), 404, answer.clone())
        .await;
    strict.refuses(FIRST, json!({ "addresses": [] }), 404, answer).await;
    let unknown = refusal(301, "INVALID_CLIENT_ID", UNKNOWN_ID);
    strict
        .refuses("/api/clients/absent", json!({ "client": {} }), 404, unknown)
        .await;
    let notes = client(json!({ "notes": "x" }));
    let body = json!({ "client": { "encodedKey": "<key 1>", "notes": "x" } });
    strict.post(FIRST, body).await.is(200, expanded(notes, json!({})));
    let created = client(json!({ "encodedKey": "<key 2>", "id": "<id 2>" }));
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } });
    strict.post(CLIENTS, body).await.is(200, expanded(created, json!({})));
    strict.stop().await;
}
