//! Lists under an idempotency key: another list is refused, and a repetition completes a list that was too large.

use serde_json::{Value, json};

use super::{many, named, refused, results, stored};
use crate::harness::{
    TestServer,
    graphql::{data, define, store_key},
    with,
};

on_both!(
    another_list_under_the_key_is_refused_as_a_whole,
    key_of_a_list_that_stored_nothing_stays_free,
    repetition_completes_a_list_that_was_too_large,
    repetition_shows_each_client_with_its_own_definitions,
    statements_of_a_repetition_do_not_depend_on_definitions,
    erased_client_of_a_list_is_not_stored_again,
);

/// The payload of a list that was refused as a whole.
fn reused() -> Value {
    let message = "This idempotency key has been used for another request: give each request a key of its own.";
    json!({ "upsertClients": { "clientMutationId": null, "results": [], "userErrors": [
        { "code": "IDEMPOTENCY_KEY_REUSED", "message": message, "path": ["input", "idempotencyKey"] }] } })
}

async fn another_list_under_the_key_is_refused_as_a_whole(server: &TestServer) {
    let under = |clients: Value| json!({ "clients": clients, "idempotencyKey": "k" });
    let list = json!([named("A", "Amara"), named("B", " "), named("C", "Chidi")]);
    assert_eq!(many(server, under(list.clone())).await.status, 200);
    let before = server.snapshot().await;
    for other in [
        json!([named("A", "Amara"), named("B", "Bela"), named("C", "Chidi")]),
        json!([
            named("A", "Amara"),
            named("B", " "),
            named("C", "Chidi"),
            named("D", "Dana")
        ]),
        json!([named("A", "Amara")]),
    ] {
        many(server, under(other)).await.data(reused());
        assert_eq!(server.snapshot().await, before);
    }
    let own = with(named("D", "Dana"), json!({ "idempotencyKey": "k2" }));
    let input = json!({ "clients": [own], "idempotencyKey": "k2" });
    many(server, input).await.data(results(json!([refused(
        "IDEMPOTENCY_KEY_REUSED",
        &["0", "idempotencyKey"]
    )])));
    assert_eq!(server.snapshot().await, before);
    // The other mutation shares the keys.
    let single = with(named("A", "Amara"), json!({ "idempotencyKey": "k" }));
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";
    let answer = data(server, query, json!({ "input": single })).await;
    let problem = json!([{ "code": "IDEMPOTENCY_KEY_REUSED", "path": ["input", "idempotencyKey"] }]);
    assert_eq!(answer["upsertClient"]["userErrors"], problem);
    let single = with(named("E", "Elif"), json!({ "idempotencyKey": "one" }));
    data(server, query, json!({ "input": single })).await;
    let before = server.snapshot().await;
    many(server, json!({ "clients": list, "idempotencyKey": "one" }))
        .await
        .data(reused());
    assert_eq!(server.snapshot().await, before);
}

async fn key_of_a_list_that_stored_nothing_stays_free(server: &TestServer) {
    let before = server.snapshot().await;
    let input = json!({ "clients": [named("A", " "), named("B", " ")], "idempotencyKey": "k" });
    let blank = |index: &str| refused("BLANK", &[index, "client", "firstName"]);
    many(server, input).await.data(results(json!([blank("0"), blank("1")])));
    assert_eq!(server.snapshot().await, before);
    let input = json!({ "clients": [named("A", "Amara"), named("B", " ")], "idempotencyKey": "k" });
    let answer = results(json!([stored(true, "A", 1, "Amara"), blank("1")]));
    many(server, input.clone()).await.data(answer.clone());
    // The key of the refused client isn't used either.
    let keys = server.snapshot().await;
    assert_eq!(
        keys.rows("idempotency_record").len(),
        2,
        "the list and its first client"
    );
    many(server, input).await.data(answer);
}

const LARGE: &str = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { \
    results { created client { version notes } userErrors { code } } } }";

async fn repetition_completes_a_list_that_was_too_large(server: &TestServer) {
    let notes = "n".repeat(60_000);
    let new = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather", "notes": notes } });
    let key = store_key(server, new).await;
    let change = |n: usize| json!({ "client": { "encodedKey": key, "firstName": format!("F{n}") } });
    let clients: Vec<Value> = (0..200).map(change).collect();
    let input = json!({ "input": { "clients": clients, "idempotencyKey": "k" } });
    let results = |answer: Value| answer["upsertClients"]["results"].as_array().expect("a list").clone();
    let is_left = |result: &Value| result["userErrors"] == json!([{ "code": "NOT_CARRIED_OUT" }]);
    let first = results(data(server, LARGE, input.clone()).await);
    let done = first.iter().filter(|result| !is_left(result)).count();
    assert!((100..180).contains(&done), "{done}");
    let second = results(data(server, LARGE, input.clone()).await);
    assert_eq!(second.len(), 200);
    for (index, result) in second.iter().enumerate() {
        assert_eq!(result["userErrors"], json!([]), "{index}");
        // Those that are carried out now are shown first.
        let is_shown = result["client"]["version"] == index + 2;
        assert!(
            is_shown || index < done && result["client"] == Value::Null,
            "{index}: {}",
            result["client"]["version"]
        );
    }
    let shown = second.iter().filter(|result| result["client"] != Value::Null).count();
    assert!((100..200).contains(&shown), "{shown}");
    // Less of each client has room for all.
    let query = LARGE.replace(" notes", "");
    let third = results(data(server, &query, input).await);
    for (index, result) in third.iter().enumerate() {
        let expected = json!({ "created": false, "client": { "version": index + 2 }, "userErrors": [] });
        assert_eq!(*result, expected);
    }
}

/// Stores one client with values of each of the fields under the key `k`, changing the definitions in between.
async fn repeated_after_changes(server: &TestServer) -> Value {
    let fields = |name: &str| {
        json!([{ "fieldId": "nick", "name": name, "type": "TEXT" },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" }])
    };
    define(server, "facts", fields("Nick 1")).await;
    let boss = store_key(server, named("boss", "Bela")).await;
    let client = |id: &str, key: &str| {
        let values = json!([{ "fieldId": "nick", "value": id }, { "fieldId": "boss", "linkedKey": boss }]);
        with(
            named(id, "Amara"),
            json!({ "customInformation": values, "idempotencyKey": key }),
        )
    };
    let clients: Vec<Value> = (1..=4).map(|n| client(&format!("C{n}"), &format!("k{n}"))).collect();
    for n in 1..=4_usize {
        define(server, "facts", fields(&format!("Nick {n}"))).await;
        let input = json!({ "clients": [clients[n - 1]] });
        assert_eq!(many(server, input).await.status, 200);
    }
    define(server, "facts", fields("Nick")).await;
    json!({ "input": { "clients": clients } })
}

const SHOWN: &str = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results {
    userErrors { code }
    client { clientId customInformation { value field { name } linkedClient { clientId } } } } } }";

async fn repetition_shows_each_client_with_its_own_definitions(server: &TestServer) {
    let input = repeated_after_changes(server).await;
    let before = server.snapshot().await;
    let answer = data(server, SHOWN, input).await;
    let shown = |n: usize| {
        json!({ "userErrors": [], "client": { "clientId": format!("C{n}"), "customInformation": [
            { "value": format!("C{n}"), "field": { "name": format!("Nick {n}") }, "linkedClient": null },
            { "value": null, "field": { "name": "Boss" }, "linkedClient": { "clientId": "boss" } }] } })
    };
    let expected: Vec<Value> = (1..=4).map(shown).collect();
    assert_eq!(answer["upsertClients"]["results"], json!(expected));
    assert_eq!(server.snapshot().await, before);
}

async fn statements_of_a_repetition_do_not_depend_on_definitions(server: &TestServer) {
    let input = repeated_after_changes(server).await;
    // The definitions are read once.
    data(server, SHOWN, input.clone()).await;
    let mut one = input.clone();
    one["input"]["clients"] = json!([input["input"]["clients"][0]]);
    for input in [input, one] {
        server.statements();
        data(server, SHOWN, input).await;
        let all = server.statements();
        // Each stored outcome is read by itself; the linked clients are loaded together.
        let loads = all.iter().filter(|sql| sql.contains("(c.encoded_key, c.client_id"));
        assert_eq!(loads.count(), 1, "{all:#?}");
    }
}

async fn erased_client_of_a_list_is_not_stored_again(server: &TestServer) {
    let input = json!({ "clients": [named("A", "Amara"), named("B", "Bela"), named("C", "Chidi")],
        "idempotencyKey": "k" });
    assert_eq!(many(server, input.clone()).await.status, 200);
    let query = "mutation { eraseClient(input: { by: { clientId: \"B\" } }) { userErrors { code } } }";
    let erased = data(server, query, json!({})).await;
    assert_eq!(erased, json!({ "eraseClient": { "userErrors": [] } }));
    let before = server.snapshot().await;
    many(server, input).await.data(results(json!([
        stored(true, "A", 1, "Amara"),
        refused("OUTCOME_ERASED", &["1", "idempotencyKey"]),
        stored(true, "C", 1, "Chidi"),
    ])));
    assert_eq!(server.snapshot().await, before);
}
