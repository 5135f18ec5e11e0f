//! Unique values under concurrency: of many requests for one value, on several servers, exactly one gets it.

use std::collections::{BTreeMap, BTreeSet};

use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit::findings,
    harness::{TestServer, field},
};

on_both!(
    one_of_many_concurrent_creations_has_the_value,
    one_of_many_concurrent_changes_gets_the_value,
    one_of_many_concurrent_lists_gets_each_value,
    released_value_goes_to_one_of_its_claimants,
    former_id_goes_to_one_of_its_claimants,
);

fn unique(id: &str, kind: Kind) -> CustomFieldInput {
    CustomFieldInput {
        unique: Some(true),
        ..field(id, kind)
    }
}

fn ana(values: Value) -> Value {
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz" }, "customInformation": values })
}

async fn define(server: &TestServer) {
    let fields = vec![unique("tax", Kind::Number), unique("passport", Kind::Text)];
    server.define(fields).await;
}

/// Creates clients with the ids C0, C1 and so on.
async fn create(server: &TestServer, count: usize) {
    for number in 0..count {
        let client = json!({ "id": format!("C{number}"), "firstName": "Ana", "lastName": "Cruz" });
        let answer = server.post("/api/clients", json!({ "client": client })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

/// The owners of each claimed value, after asserting that they are the clients with the value.
async fn owners(server: &TestServer) -> BTreeMap<String, BTreeSet<String>> {
    let snapshot = server.snapshot().await;
    let rows = |table: &str, columns: [usize; 3]| -> BTreeMap<String, BTreeSet<String>> {
        let mut owners = BTreeMap::<String, BTreeSet<String>>::new();
        for row in snapshot.rows(table) {
            let row: Value = serde_json::from_str(row).expect("a row is JSON");
            let [field, value, client] = columns.map(|at| row[at].as_str().unwrap_or_default().to_owned());
            let value = if field == "taxKey" {
                value.trim_start_matches('0').to_owned()
            } else {
                value
            };
            owners.entry(format!("{field} {value}")).or_default().insert(client);
        }
        owners
    };
    let claimed = rows("custom_field_claim", [0, 1, 2]);
    assert!(claimed.values().all(|clients| clients.len() == 1), "{claimed:?}");
    assert_eq!(findings(server).await, [""; 0]);
    claimed
}

async fn one_of_many_concurrent_creations_has_the_value(server: &TestServer) {
    define(server).await;
    let other = server.another(Default::default()).await;
    for round in 1..=10 {
        let attempts = (0..24).map(|writer| {
            let server = if writer % 2 == 0 { server } else { &other };
            let is_rest = writer % 4 < 2;
            let id = if is_rest { "customFieldID" } else { "fieldId" };
            // One number, written in three ways, before or after a value that is free.
            let tax = [format!("{round}"), format!("{round}.0"), format!("0{round}")][writer % 3].clone();
            let mut values = vec![
                json!({ id: "tax", "value": tax }),
                json!({ id: "passport", "value": format!("{round}-{writer}") }),
            ];
            if writer % 5 == 0 {
                values.reverse();
            }
            let body = ana(json!(values));
            async move {
                if is_rest {
                    return server.post("/api/clients", body).await.body["returnCode"].clone();
                }
                let query =
                    "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
                let answer = server.graphql(query, json!({ "input": body })).await;
                answer.body["data"]["upsertClient"]["userErrors"][0]["code"].clone()
            }
        });
        let answers = join_all(attempts).await;
        let (created, refused): (Vec<&Value>, Vec<&Value>) = answers.iter().partition(|code| code.is_null());
        assert_eq!(created.len(), 1, "{answers:?}");
        assert!(
            refused.iter().all(|code| **code == 926 || **code == "TAKEN"),
            "{answers:?}"
        );
    }
    let rows = server.snapshot().await;
    let count = |table| rows.rows(table).len();
    assert_eq!((count("client"), count("custom_field_value")), (10, 20));
    assert_eq!(owners(server).await.len(), 20);
    other.stop().await;
}

/// Gives a client a value of `passport`, by one of five ways. Returns the code of the refusal, or null.
async fn change(server: &TestServer, client: usize, way: usize, value: &str) -> Value {
    let path = format!("/api/clients/C{client}");
    let values = json!([{ "customFieldID": "passport", "value": value }]);
    let input = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": format!("C{client}") },
        "customInformation": [{ "fieldId": "passport", "value": value }] });
    let answer = match way % 5 {
        0 => server.post(&path, json!({ "customInformation": values })).await,
        1 => {
            let path = format!("{path}/custominformation/passport");
            server.send_json(Method::PATCH, &path, json!({ "value": value })).await
        }
        2 => {
            let path = format!("{path}/custominformation");
            server
                .send_json(Method::PATCH, &path, json!({ "customInformation": values }))
                .await
        }
        3 => {
            let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
            let answer = server.graphql(query, json!({ "input": input })).await;
            assert_eq!(answer.body.get("errors"), None, "{}", answer.text);
            return answer.body["data"]["upsertClient"]["userErrors"][0]["code"].clone();
        }
        _ => return upsert_many(server, vec![input]).await[0].clone(),
    };
    answer.body["returnCode"]
        .as_u64()
        .filter(|code| *code != 0)
        .map_or(Value::Null, |code| json!(code))
}

/// The code of each result, or null.
async fn upsert_many(server: &TestServer, clients: Vec<Value>) -> Vec<Value> {
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) {
        results { userErrors { code } } } }";
    let answer = server.graphql(query, json!({ "input": { "clients": clients } })).await;
    let results = answer.body["data"]["upsertClients"]["results"].as_array();
    let results = results.unwrap_or_else(|| panic!("{}", answer.text)).iter();
    results.map(|result| result["userErrors"][0]["code"].clone()).collect()
}

async fn one_of_many_concurrent_changes_gets_the_value(server: &TestServer) {
    define(server).await;
    create(server, 20).await;
    let other = server.another(Default::default()).await;
    for round in 0..6 {
        let value = format!("P{round}");
        let attempts = (0..20).map(|client| {
            let server = if client % 2 == 0 { server } else { &other };
            change(server, client, client / 2 + round, &value)
        });
        let codes = join_all(attempts).await;
        let (stored, refused): (Vec<&Value>, Vec<&Value>) = codes.iter().partition(|code| code.is_null());
        assert_eq!(stored.len(), 1, "{codes:?}");
        assert!(
            refused.iter().all(|code| **code == 926 || **code == "TAKEN"),
            "{codes:?}"
        );
        let owners = owners(server).await;
        assert!(owners.contains_key(&format!("passportKey {value}")), "{owners:?}");
    }
    other.stop().await;
}

async fn one_of_many_concurrent_lists_gets_each_value(server: &TestServer) {
    define(server).await;
    let other = server.another(Default::default()).await;
    for round in 0..3 {
        let lists = (0..6).map(|list: usize| {
            let server = if list.is_multiple_of(2) { server } else { &other };
            let client = |value: usize| {
                let passport = json!({ "fieldId": "passport", "value": format!("{round} {value}") });
                ana(json!([passport, { "fieldId": "tax", "value": format!("{round}{value}{list}") }]))
            };
            // Each list has its own order.
            let clients = (0..12)
                .map(|value| client((value * [1, 5, 7, 11][list % 4] + list) % 12))
                .collect();
            upsert_many(server, clients)
        });
        let codes: Vec<Value> = join_all(lists).await.into_iter().flatten().collect();
        let stored = codes.iter().filter(|code| code.is_null()).count();
        assert_eq!(stored, 12, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == "TAKEN").count(), 60, "{codes:?}");
    }
    let owners = owners(server).await;
    assert_eq!(owners.len(), 3 * 12 * 2);
    assert_eq!(server.snapshot().await.rows("client").len(), 36);
    other.stop().await;
}

async fn released_value_goes_to_one_of_its_claimants(server: &TestServer) {
    define(server).await;
    create(server, 9).await;
    let other = server.another(Default::default()).await;
    for round in 0..12 {
        let value = format!("P{round}");
        assert_eq!(change(server, 8, 0, &value).await, Value::Null);
        let path = "/api/clients/C8/custominformation/passport";
        let release = async {
            match round % 3 {
                0 => server.send(server.request(Method::DELETE, path)).await,
                1 => {
                    server
                        .send_json(Method::PATCH, path, json!({ "value": format!("free {round}") }))
                        .await
                }
                _ => server.post("/api/clients/C8", json!({ "customInformation": [] })).await,
            }
        };
        let claims = (0..8).map(|client| {
            let server = if client % 2 == 0 { server } else { &other };
            change(server, client, client + round, &value)
        });
        let (released, codes) = tokio::join!(release, join_all(claims));
        assert_eq!(released.status, 200, "{}", released.text);
        let stored = codes.iter().filter(|code| code.is_null()).count();
        assert!(stored <= 1, "{codes:?}");
        assert!(
            codes
                .iter()
                .all(|code| code.is_null() || *code == 926 || *code == "TAKEN"),
            "{codes:?}"
        );
        let is_owned = owners(server).await.contains_key(&format!("passportKey {value}"));
        assert_eq!(is_owned, stored == 1);
        if !is_owned {
            assert_eq!(change(server, 0, round, &value).await, Value::Null, "it is free");
        }
    }
    other.stop().await;
}

/// Gives a client another id. Returns the return code.
async fn rename(server: &TestServer, from: String, id: &str) -> Value {
    let body = json!({ "client": { "id": id } });
    let answer = server
        .send_json(Method::PATCH, &format!("/api/clients/{from}"), body)
        .await;
    answer.body["returnCode"].clone()
}

async fn former_id_goes_to_one_of_its_claimants(server: &TestServer) {
    create(server, 9).await;
    let other = server.another(Default::default()).await;
    for round in 0..8 {
        let (former, new) = (format!("R{round}"), format!("S{round}"));
        let client = json!({ "id": former, "firstName": "Ana", "lastName": "Cruz" });
        assert_eq!(
            server.post("/api/clients", json!({ "client": client })).await.status,
            200
        );
        let claims = (0..4).map(|number| {
            let server = if number % 2 == 0 { server } else { &other };
            rename(server, format!("C{}", (round + number) % 9), &former)
        });
        let (renamed, codes) = tokio::join!(rename(server, former.clone(), &new), join_all(claims));
        assert_eq!(renamed, 0);
        let stored = codes.iter().filter(|code| **code == 0).count();
        assert!(
            stored <= 1 && codes.iter().all(|code| *code == 0 || *code == 316),
            "{codes:?}"
        );
        // The winner gets its own id back.
        if let Some(winner) = codes.iter().position(|code| *code == 0) {
            assert_eq!(rename(server, former, &format!("C{}", (round + winner) % 9)).await, 0);
        }
    }
    other.stop().await;
}
