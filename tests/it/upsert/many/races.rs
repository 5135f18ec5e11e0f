//! Two lists at once, with the same clients, ids, values and keys in two orders: neither waits for the other in a
//! circle, which PostgreSQL would end with an error after a second.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use prometheus_client::{encoding::text::encode, registry::Registry};
use reqwest::Method;
use serde_json::{Value, json};

use super::{MANY, named};
use crate::{
    audit::findings,
    harness::{
        TestServer,
        graphql::{define, store_key},
        with,
    },
};

const ROUNDS: usize = 4;
const CLIENTS: usize = 40;

on_postgres!(
    lists_change_the_same_clients_in_two_orders,
    lists_find_the_same_clients_by_a_value_in_two_orders,
    lists_link_each_others_clients,
    lists_choose_the_same_ids_and_values_in_two_orders,
    lists_use_the_same_keys_in_two_orders,
    lists_race_with_changed_ids_and_deletions,
);

/// Sends these lists at once. Returns the results of each; every client is answered.
async fn race(server: &TestServer, lists: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let send = |clients: &Vec<Value>| {
        let variables = json!({ "input": { "clients": clients } });
        async move { server.graphql(MANY, variables).await }
    };
    let answers = join_all(lists.iter().map(send)).await;
    let results = answers.iter().zip(lists).map(|(answer, list)| {
        let results = answer.body["data"]["upsertClients"]["results"].as_array();
        let results = results.unwrap_or_else(|| panic!("{}", answer.text)).clone();
        assert_eq!(results.len(), list.len());
        for result in &results {
            let codes = result["userErrors"].as_array().expect("a list").iter();
            let mut codes = codes.filter_map(|error| error["code"].as_str());
            assert!(
                codes.all(|code| code != "NOT_CARRIED_OUT" && code != "OUTCOME_UNKNOWN"),
                "{}",
                answer.text
            );
        }
        results
    });
    results.collect()
}

/// The same clients in both orders.
fn both_orders(clients: Vec<Value>) -> [Vec<Value>; 2] {
    let other = clients.iter().rev().cloned().collect();
    [clients, other]
}

/// Asserts that the database has refused no statement: it ends a deadlock by refusing one.
pub async fn assert_undisturbed(server: &TestServer) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(server.services.db.metrics()));
    let mut text = String::new();
    encode(&mut text, &registry).expect("the metrics are written");
    let metric = "database_statement_failures_total{";
    let failures: Vec<&str> = text.lines().filter(|line| line.starts_with(metric)).collect();
    let has_none = failures.iter().all(|line| line.ends_with(" 0"));
    assert!(has_none && !failures.is_empty(), "{failures:?}");
    assert_consistent(server).await;
}

/// Asserts that the rows of clients belong together.
async fn assert_consistent(server: &TestServer) {
    let snapshot = server.snapshot().await;
    let column = |table: &str, at: usize| -> Vec<String> {
        let rows = snapshot.rows(table).into_iter().map(|row| {
            let row: Value = serde_json::from_str(row).expect("a row is JSON");
            row[at].as_str().expect("a text").to_owned()
        });
        rows.collect()
    };
    let clients = BTreeSet::from_iter(column("client", 0));
    assert_eq!(BTreeSet::from_iter(column("client_id_claim", 1)), clients);
    let [claimed, ids] =
        [("client_id_claim", 0), ("client", 1)].map(|(table, at)| BTreeSet::from_iter(column(table, at)));
    assert_eq!(claimed, ids);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn lists_change_the_same_clients_in_two_orders(server: &TestServer) {
    let mut keys = Vec::new();
    for n in 0..CLIENTS {
        keys.push(store_key(server, named(&format!("C{n}"), "Chidi")).await);
    }
    for round in 0..ROUNDS {
        let by_key = |(n, key): (usize, &String)| {
            let own = format!("F{round} {n}");
            json!({ "client": { "encodedKey": key, "firstName": own } })
        };
        let by_key: Vec<Value> = keys.iter().enumerate().map(by_key).collect();
        let by_id: Vec<Value> = (0..CLIENTS)
            .map(|n| named(&format!("C{n}"), &format!("G{round}")))
            .collect();
        let [one, two] = both_orders(by_key);
        let [three, four] = both_orders(by_id);
        for results in race(server, &[one, two, three, four]).await {
            assert!(
                results.iter().all(|result| result["userErrors"] == json!([])),
                "{results:?}"
            );
        }
    }
    assert_undisturbed(server).await;
}

async fn lists_find_the_same_clients_by_a_value_in_two_orders(server: &TestServer) {
    let fields = json!([{ "fieldId": "crm", "name": "CRM", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
    for round in 0..ROUNDS {
        let matched = |n: usize| {
            json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "crm", "value": n.to_string() },
                "client": { "firstName": format!("F{round}"), "lastName": "Bellweather" } })
        };
        // In the first round both create them.
        for results in race(server, &both_orders((0..CLIENTS).map(matched).collect())).await {
            assert!(
                results.iter().all(|result| result["userErrors"] == json!([])),
                "{results:?}"
            );
        }
    }
    assert_eq!(server.snapshot().await.rows("client").len(), CLIENTS);
    assert_undisturbed(server).await;
}

async fn lists_link_each_others_clients(server: &TestServer) {
    let fields = json!([{ "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" }]);
    define(server, "facts", fields).await;
    let mut keys = Vec::new();
    for n in 0..CLIENTS {
        keys.push(store_key(server, named(&format!("C{n}"), "Chidi")).await);
    }
    for round in 0..ROUNDS {
        let linked = |n: usize| {
            let boss = &keys[(n + round + 1) % CLIENTS];
            with(
                named(&format!("C{n}"), "Chidi"),
                json!({ "customInformation": [
                { "fieldId": "boss", "linkedKey": boss }] }),
            )
        };
        let (even, odd): (Vec<usize>, Vec<usize>) = (0..CLIENTS).partition(|n| n % 2 == 0);
        let [one, two] = both_orders(even.into_iter().map(linked).collect());
        let [three, four] = both_orders(odd.into_iter().map(linked).collect());
        for results in race(server, &[one, two, three, four]).await {
            assert!(
                results.iter().all(|result| result["userErrors"] == json!([])),
                "{results:?}"
            );
        }
    }
    assert_undisturbed(server).await;
}

async fn lists_choose_the_same_ids_and_values_in_two_orders(server: &TestServer) {
    let fields = json!([{ "fieldId": "crm", "name": "CRM", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
    for round in 0..ROUNDS {
        let with_value = |n: usize| {
            json!({ "client": { "firstName": "F", "lastName": "Bellweather" },
                "customInformation": [{ "fieldId": "crm", "value": format!("{round} {n}") }] })
        };
        let with_id = |n: usize| {
            json!({ "client": { "clientId": format!("{round} {n}"), "firstName": "F",
                "lastName": "Bellweather" } })
        };
        let mut clients: Vec<Value> = (0..CLIENTS).map(with_value).collect();
        clients.extend((0..CLIENTS / 2).map(with_id));
        let [one, two]: [Vec<Value>; 2] = race(server, &both_orders(clients)).await.try_into().expect("two lists");
        for (result, other) in one.iter().zip(two.iter().rev()) {
            let created = [result, other].map(|result| result["created"] == true);
            assert!(created[0] != created[1], "one of them gets it: {result} {other}");
        }
    }
    assert_undisturbed(server).await;
}

async fn lists_use_the_same_keys_in_two_orders(server: &TestServer) {
    for round in 0..ROUNDS {
        let keyed = |n: usize| {
            let client = json!({ "client": { "firstName": format!("F{n}"), "lastName": "Bellweather" } });
            with(client, json!({ "idempotencyKey": format!("{round} {n}") }))
        };
        let lists = both_orders((0..CLIENTS).map(keyed).collect());
        let [one, two]: [Vec<Value>; 2] = race(server, &lists).await.try_into().expect("two lists");
        assert!(
            one.iter().eq(two.iter().rev()),
            "both are answered alike: {one:?} {two:?}"
        );
    }
    assert_eq!(server.snapshot().await.rows("client").len(), ROUNDS * CLIENTS);
    assert_undisturbed(server).await;
}

async fn lists_race_with_changed_ids_and_deletions(server: &TestServer) {
    for round in 0..ROUNDS {
        let clients: Vec<Value> = (0..CLIENTS)
            .map(|n| named(&format!("C{n}"), &format!("F{round}")))
            .collect();
        race(server, std::slice::from_ref(&clients)).await;
        let rename = |n: usize| {
            let body = json!({ "client": { "id": format!("N{round} {n}") } });
            let request = server.request(Method::PATCH, &format!("/api/clients/C{n}")).json(&body);
            async move { server.send(request).await.status }
        };
        let delete = |n: usize| {
            let request = server.request(Method::DELETE, &format!("/api/clients/C{n}"));
            async move { server.send(request).await.status }
        };
        let lists = both_orders(clients);
        let changes = join_all((0..CLIENTS / 4).map(rename));
        let deletions = join_all((CLIENTS / 4..CLIENTS / 2).map(delete));
        let (results, renamed, deleted) = tokio::join!(race(server, &lists), changes, deletions);
        assert_eq!(renamed, [200; CLIENTS / 4]);
        assert_eq!(deleted, [200; CLIENTS / 4]);
        for results in results {
            assert!(
                results.iter().all(|result| result["userErrors"] == json!([])),
                "{results:?}"
            );
        }
    }
    assert_consistent(server).await;
}
