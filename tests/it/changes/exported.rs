//! An export and the feed from its position make an exact copy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CHANGES, page};
use crate::{
    audit::erase,
    harness::{
        TestServer,
        graphql::{data, store_key},
        program::{clientele, directory, text},
    },
};

on_both!(export_and_feed_make_an_exact_copy);

/// The clients of an export by their keys, without their histories, and its position.
fn exported(url: &str) -> (BTreeMap<String, Value>, String) {
    let environment = [("CLIENTELE_LOG__FILTER", "off"), ("DATABASE_URL", url)];
    let output = clientele(&directory(), &["export", "-"], &environment).output();
    let lines = text(output.expect("the program starts").stdout);
    let mut lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let header = lines.next().expect("a first line");
    let clients = lines.filter_map(|mut line| {
        line.as_object_mut()?.remove("history");
        let key = line["client"]["encodedKey"].as_str()?.to_owned();
        Some((key, line))
    });
    (
        clients.collect(),
        header["position"].as_str().expect("a position").to_owned(),
    )
}

const CLIENT: &str = "query($key: String!) { client(by: { encodedKey: $key }) { version notes lastName } }";

/// A copy of the members that the test changes.
fn copied(line: &Value) -> Value {
    json!({ "version": line["client"]["version"], "notes": line["client"]["notes"], "lastName": line["client"]["lastName"] })
}

async fn export_and_feed_make_an_exact_copy(server: &TestServer) {
    let mut keys = Vec::new();
    for number in 0..30 {
        let client = json!({ "clientId": format!("c{number}"), "firstName": "Amara", "lastName": "Diaz" });
        keys.push(store_key(server, json!({ "client": client })).await);
    }
    let delete = "mutation($by: ClientBy!) { deleteClient(input: { by: $by }) { userErrors { code } } }";
    let writing = async |from: usize| {
        for round in from..from + 60 {
            let key = &keys[(round * 7 + round / 60) % 30];
            let change = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
            match round % 20 {
                5 => drop(data(server, delete, json!({ "by": { "encodedKey": key } })).await),
                11 => drop(erase(&server.services, key).await),
                _ => {
                    // A client that was removed meanwhile is refused.
                    let input = json!({ "client": { "encodedKey": key, "notes": format!("{round}") } });
                    server.graphql(change, json!({ "input": input })).await;
                }
            }
        }
    };
    writing(0).await;
    server.wait_for_changes().await;
    let url = server.database_url();
    let exporting = {
        let url = url.clone();
        tokio::task::spawn_blocking(move || exported(&url))
    };
    let (exporting, ()) = tokio::join!(exporting, writing(60));
    let (lines, position) = exporting.expect("no panic");
    let mut copy: BTreeMap<String, Value> = lines.iter().map(|(key, line)| (key.clone(), copied(line))).collect();
    let mut after = position;
    loop {
        let found = page(server, json!({ "after": after, "first": 7 })).await;
        for node in found["nodes"].as_array().expect("a list") {
            let key = node["clientKey"].as_str().expect("a key");
            match node["kind"].as_str() {
                Some("DELETED" | "ERASED") => drop(copy.remove(key)),
                _ if copy
                    .get(key)
                    .is_some_and(|known| known["version"].as_i64() >= node["version"].as_i64()) => {}
                _ => match data(server, CLIENT, json!({ "key": key })).await["client"].take() {
                    Value::Null => drop(copy.remove(key)),
                    client => drop(copy.insert(key.to_owned(), client)),
                },
            }
        }
        after = found["position"].as_str().expect("a position").to_owned();
        if found["hasMore"] == false {
            break;
        }
    }
    let (lines, position) = exported(&url);
    let last: BTreeMap<String, Value> = lines.iter().map(|(key, line)| (key.clone(), copied(line))).collect();
    assert_eq!(copy, last);
    assert_eq!(after, position, "the feed ends where the export does: {CHANGES}");
}
