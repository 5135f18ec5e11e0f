//! Clients of one list that concern each other: what a refused client has claimed is free for the next one.

use serde_json::{Value, json};

use super::{many, named, refused, results, stored};
use crate::harness::{
    TestServer,
    graphql::{data, define, store, store_key},
    with,
};

on_both!(
    claims_of_a_refused_client_are_free_for_the_next,
    released_value_is_claimed_by_the_next_client,
    refused_client_leaves_no_claim_behind,
    id_changed_between_two_inputs_names_no_client,
    blacklisted_client_is_refused_among_others,
);

async fn define_passport(server: &TestServer) {
    let fields = json!([{ "fieldId": "passport", "name": "Passport", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
}

fn with_passport(client: Value, value: &str) -> Value {
    with(
        client,
        json!({ "customInformation": [{ "fieldId": "passport", "value": value }] }),
    )
}

fn chosen(id: &str, first: &str) -> Value {
    json!({ "client": { "clientId": id, "firstName": first, "lastName": "Bellweather" } })
}

async fn claims_of_a_refused_client_are_free_for_the_next(server: &TestServer) {
    define_passport(server).await;
    store(server, chosen("TAKEN", "Amara"), "version").await;
    let input = json!({ "clients": [
        with_passport(chosen("TAKEN", "Xenia"), "P"),
        with_passport(chosen("Y", "Yara"), "P"),
        with_passport(chosen("Z", "Zoe"), "P"),
        chosen("Z", "Zita"),
    ] });
    many(server, input).await.data(results(json!([
        refused("TAKEN", &["0", "client", "clientId"]),
        stored(true, "Y", 1, "Yara"),
        refused("TAKEN", &["2", "customInformation", "0", "value"]),
        stored(true, "Z", 1, "Zita"),
    ])));
}

async fn released_value_is_claimed_by_the_next_client(server: &TestServer) {
    define_passport(server).await;
    let key = store_key(server, with_passport(chosen("A", "Amara"), "P")).await;
    let release = json!({ "client": { "encodedKey": key }, "customInformation": [] });
    let input = json!({ "clients": [
        with_passport(chosen("B", "Bela"), "P"), release, with_passport(chosen("C", "Chidi"), "P"),
    ] });
    many(server, input).await.data(results(json!([
        refused("TAKEN", &["0", "customInformation", "0", "value"]),
        stored(false, "A", 2, "Amara"),
        stored(true, "C", 1, "Chidi"),
    ])));
}

async fn refused_client_leaves_no_claim_behind(server: &TestServer) {
    define_passport(server).await;
    // It has claimed the id and one value when the other value turns out to be taken.
    let fields = json!([{ "fieldId": "card", "name": "Card", "type": "TEXT", "unique": true }]);
    define(server, "cards", fields).await;
    let card = json!([{ "fieldId": "card", "value": "1" }]);
    store(
        server,
        with(chosen("A", "Amara"), json!({ "customInformation": card })),
        "version",
    )
    .await;
    let both = json!([{ "fieldId": "passport", "value": "P" }, { "fieldId": "card", "value": "1" }]);
    let input = json!({ "clients": [with(chosen("B", "Bela"), json!({ "customInformation": both })),
        chosen("C", "Chidi")] });
    many(server, input).await.data(results(json!([
        refused("TAKEN", &["0", "customInformation", "1", "value"]),
        stored(true, "C", 1, "Chidi"),
    ])));
    store(server, with_passport(chosen("B", "Bela"), "P"), "version").await;
    assert_eq!(server.snapshot().await.rows("client_id_claim").len(), 3);
}

/// A legacy request changes the id between two lists that name the client by it.
async fn id_changed_between_two_inputs_names_no_client(server: &TestServer) {
    many(server, json!({ "clients": [named("A", "Amara")] })).await;
    let patched = server
        .request(reqwest::Method::PATCH, "/api/clients/A")
        .json(&json!({ "client": { "id": "B" } }));
    assert_eq!(server.send(patched).await.status, 200);
    let input = json!({ "clients": [named("B", "Bela"), named("A", "Ada")] });
    many(server, input).await.data(results(json!([
        stored(false, "B", 3, "Bela"),
        stored(true, "A", 1, "Ada")
    ])));
}

async fn blacklisted_client_is_refused_among_others(server: &TestServer) {
    many(server, json!({ "clients": [named("A", "Amara"), named("B", "Bela")] })).await;
    let query = "mutation { changeClientState(input: { by: { clientId: \"B\" }, state: BLACKLISTED, reason: \"r\" }) { \
        userErrors { code } } }";
    let changed = data(server, query, json!({})).await;
    assert_eq!(changed, json!({ "changeClientState": { "userErrors": [] } }));
    let clients = json!([named("A", "Ada"), named("B", "Bruna"), named("C", "Chidi")]);
    let before = server.snapshot().await;
    let checked = json!({ "created": false, "clientMutationId": null, "conflictingVersion": null, "client": null,
        "userErrors": [] });
    let barred = refused("BLACKLISTED", &["1", "client"]);
    let input = json!({ "clients": clients, "validateOnly": true });
    many(server, input)
        .await
        .data(results(json!([checked, barred, checked])));
    assert_eq!(server.snapshot().await, before);
    many(server, json!({ "clients": clients })).await.data(results(json!([
        stored(false, "A", 2, "Ada"),
        barred,
        stored(true, "C", 1, "Chidi"),
    ])));
}
