//! Pages of clients: every order, both directions, and stable cursors.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, store},
};

/// Names that collations order differently: case, accents, digraphs, private use, supplementary planes, prefixes.
const NAMES: [&str; 14] = [
    "a",
    "B",
    "b",
    "ab",
    "É",
    "e\u{301}",
    "Zz",
    "ß",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{1f600}",
    "\u{10ffff}",
    "-",
];
const PAGE: &str = "query($order: ClientOrder, $first: Int, $after: String, $last: Int, $before: String) {
    clients(orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { encodedKey } } nodes { encodedKey }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

/// Clients with each name twice, one of them changed later, in the expected order of each sort key.
async fn named_clients(server: &TestServer) -> Vec<Value> {
    for first in ["Z", "a"] {
        for last in NAMES {
            store(
                server,
                json!({ "client": { "firstName": first, "lastName": last } }),
                "encodedKey",
            )
            .await;
        }
    }
    let members = "encodedKey firstName lastName createdAt updatedAt";
    let all = data(server, &format!("{{ clients {{ nodes {{ {members} }} }} }}"), json!({})).await;
    let first = json!({ "client": { "encodedKey": all["clients"]["nodes"][3]["encodedKey"], "notes": "changed" } });
    store(server, first, "encodedKey").await;
    let all = data(server, &format!("{{ clients {{ nodes {{ {members} }} }} }}"), json!({})).await;
    all["clients"]["nodes"].as_array().expect("a list").clone()
}

fn expected(clients: &[Value], field: &str, direction: &str) -> Vec<Value> {
    // Strings of Rust compare by code point.
    let part = |client: &Value, name: &str| client[name].as_str().unwrap_or_default().to_owned();
    let mut sorted = clients.to_vec();
    sorted.sort_by_key(|client| match field {
        "NAME" => [
            part(client, "lastName"),
            part(client, "firstName"),
            part(client, "encodedKey"),
        ],
        "UPDATED_AT" => [
            padded(&part(client, "updatedAt")),
            part(client, "encodedKey"),
            String::new(),
        ],
        _ => [
            padded(&part(client, "createdAt")),
            part(client, "encodedKey"),
            String::new(),
        ],
    });
    if direction == "DESC" {
        sorted.reverse();
    }
    sorted.into_iter().map(|client| client["encodedKey"].clone()).collect()
}

/// An instant with all its fraction digits, so that it compares as text.
fn padded(instant: &str) -> String {
    let (second, fraction) = instant
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((instant.trim_end_matches('Z'), ""));
    format!("{second}.{fraction:0<6}")
}

async fn page(server: &TestServer, variables: Value) -> Value {
    data(server, PAGE, variables).await["clients"].take()
}

fn keys(page: &Value) -> Vec<Value> {
    let edges = page["edges"].as_array().expect("a list");
    let keys: Vec<Value> = edges.iter().map(|edge| edge["node"]["encodedKey"].clone()).collect();
    let nodes: Vec<Value> = page["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| node["encodedKey"].clone())
        .collect();
    assert_eq!(keys, nodes);
    let ends = [edges.first(), edges.last()].map(|edge| edge.map_or(Value::Null, |edge| edge["cursor"].clone()));
    assert_eq!(
        [&page["pageInfo"]["startCursor"], &page["pageInfo"]["endCursor"]],
        [&ends[0], &ends[1]]
    );
    keys
}

async fn forward(server: &TestServer, order: &Value, size: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = page(server, json!({ "order": order, "first": size, "after": after })).await;
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !found.is_empty());
        found.extend(keys(&page));
        if page["pageInfo"]["hasNextPage"] == false {
            return found;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn backward(server: &TestServer, order: &Value, size: usize) -> Vec<Value> {
    let (mut found, mut before) = (Vec::new(), Value::Null);
    loop {
        let page = page(server, json!({ "order": order, "last": size, "before": before })).await;
        assert_eq!(page["pageInfo"]["hasNextPage"], !found.is_empty());
        found.splice(0..0, keys(&page));
        if page["pageInfo"]["hasPreviousPage"] == false {
            return found;
        }
        before = page["pageInfo"]["startCursor"].clone();
    }
}

async fn refused(server: &TestServer, variables: Value) -> Value {
    let answer = server.graphql(PAGE, variables).await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
        "{}",
        answer.text
    );
    answer.body["errors"][0]["message"].clone()
}

on_both!(
    paging_visits_every_client_once_in_code_point_order,
    cursors_stay_valid_when_clients_come_and_go,
    page_arguments_out_of_bounds_are_refused,
    first_example_of_playground_lists_newest_clients,
);

async fn paging_visits_every_client_once_in_code_point_order(server: &TestServer) {
    let clients = named_clients(server).await;
    for field in ["CREATED_AT", "UPDATED_AT", "NAME"] {
        for direction in ["ASC", "DESC"] {
            let order = json!({ "field": field, "direction": direction });
            let expected = expected(&clients, field, direction);
            for size in [1, 2, 3, 5, 7, 13, 27, 28, 29, 500] {
                assert_eq!(forward(server, &order, size).await, expected, "{order} {size}");
                assert_eq!(backward(server, &order, size).await, expected, "{order} {size}");
            }
        }
    }
}

async fn cursors_stay_valid_when_clients_come_and_go(server: &TestServer) {
    let order = json!({ "field": "NAME" });
    for name in ["b", "d", "f", "h"] {
        store(
            server,
            json!({ "client": { "firstName": "x", "lastName": name } }),
            "encodedKey",
        )
        .await;
    }
    let first = page(server, json!({ "order": order, "first": 2 })).await;
    let after = &first["pageInfo"]["endCursor"];
    // The client that the cursor names goes; others come before and after it.
    let gone = first["nodes"][1]["encodedKey"].as_str().expect("a key");
    for table in ["client_id_claim", "client"] {
        let column = if table == "client" { "encoded_key" } else { "client_key" };
        server
            .write(&format!("DELETE FROM {table} WHERE {column} = '{gone}'"))
            .await
            .expect("it can be deleted");
    }
    for name in ["a", "c", "e", "z"] {
        store(
            server,
            json!({ "client": { "firstName": "x", "lastName": name } }),
            "encodedKey",
        )
        .await;
    }
    let query = "query($after: String, $before: String) {
            after: clients(orderBy: { field: NAME }, after: $after) { nodes { lastName } }
            before: clients(orderBy: { field: NAME }, last: 2, before: $before) { nodes { lastName } }
            between: clients(orderBy: { field: NAME }, after: $after, first: 1) { nodes { lastName } pageInfo { \
            hasNextPage } } }";
    let names = |names: &[&str]| names.iter().map(|name| json!({ "lastName": name })).collect::<Value>();
    server
        .graphql(query, json!({ "after": after, "before": after }))
        .await
        .data(json!({
        "after": { "nodes": names(&["e", "f", "h", "z"]) }, "before": { "nodes": names(&["b", "c"]) },
        "between": { "nodes": names(&["e"]), "pageInfo": { "hasNextPage": true } } }));
}

async fn page_arguments_out_of_bounds_are_refused(server: &TestServer) {
    named_clients(server).await;
    assert_eq!(
        refused(server, json!({ "first": 1, "last": 1 })).await,
        "Ask for the first or the last clients, not for both."
    );
    for (name, count) in [("first", 501), ("first", -1), ("last", 501), ("last", -1)] {
        assert_eq!(
            refused(server, json!({ name: count })).await,
            format!("`{name}` must be from 0 to 500.")
        );
    }
    for name in ["first", "last"] {
        let empty = page(server, json!({ name: 0 })).await;
        let (next, previous) = (name == "first", name == "last");
        assert_eq!(
            empty,
            json!({ "edges": [], "nodes": [], "pageInfo": {
            "hasNextPage": next, "hasPreviousPage": previous, "startCursor": null, "endCursor": null } })
        );
        assert_eq!(keys(&page(server, json!({ name: 500 })).await).len(), 28);
    }
    let cursors = page(server, json!({ "order": { "field": "NAME" }, "first": 1 })).await;
    let cursor = cursors["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    for wrong in [
        cursor.clone(),
        String::new(),
        "a".repeat(9_000),
        "x\u{0}".to_owned(),
        cursor[1..].to_owned(),
        "W10".to_owned(),
    ] {
        for (name, place) in [("after", "first"), ("before", "last")] {
            assert_eq!(
                refused(server, json!({ name: wrong, place: 1 })).await,
                format!(
                    "`{name}`: This isn't a cursor of this list in this order: send one that a page has given you."
                )
            );
        }
    }
    // The direction is no part of a cursor: from the same place, the other way.
    let turned = json!({ "order": { "field": "NAME", "direction": "DESC" }, "after": cursor });
    assert_eq!(keys(&page(server, turned).await), Vec::<Value>::new());
}

async fn first_example_of_playground_lists_newest_clients(server: &TestServer) {
    for name in ["Older", "Newer"] {
        store(
            server,
            json!({ "client": { "firstName": name, "lastName": "Bo" } }),
            "version",
        )
        .await;
    }
    let example = include_str!("../../../playground/examples/01-newest.graphql");
    let found = data(server, example, json!({})).await;
    let names: Vec<&str> = found["clients"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|client| client["fullName"].as_str())
        .collect();
    assert_eq!(names, ["Newer Bo", "Older Bo"]);
}
