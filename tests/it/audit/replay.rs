//! Replays a client's records from the first one and compares the result with the stored client.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::findings;
use crate::harness::{TestServer, graphql::data, schema::Schema};

/// Members that aren't recorded: they follow from others, or from the record itself.
const NOT_RECORDED: [&str; 6] = ["id", "encodedKey", "fullName", "createdAt", "updatedAt", "version"];

type Members = BTreeMap<String, String>;

/// Replays the records of every client, compares, and verifies the whole audit log.
pub async fn assert_replayed(server: &TestServer) {
    let query = stored_query(&Schema::load(server).await);
    let clients = data(server, "{ clients(first: 500) { nodes { encodedKey } } }", json!({})).await;
    for client in clients["clients"]["nodes"].as_array().expect("a list") {
        let client = &data(server, &query, json!({ "key": client["encodedKey"] })).await["client"];
        assert_eq!(replayed(client), stored(client), "{client:#}");
    }
    assert_eq!(findings(server).await, [""; 0]);
}

/// Reads all recorded members of a client, and its records. The members come from introspection.
fn stored_query(schema: &Schema) -> String {
    let recorded = |ty: &str| {
        let names = schema.leaf_names(ty).filter(|name| !NOT_RECORDED.contains(name));
        names.collect::<Vec<_>>().join(" ")
    };
    let (client, address, document) = (recorded("Client"), recorded("Address"), recorded("IdDocument"));
    format!(
        "query($key: String!) {{ client(by: {{ encodedKey: $key }}) {{ {client} clientRole {{ encodedKey }}
            addresses {{ encodedKey {address} }} idDocuments {{ encodedKey {document} }}
            customInformation {{ groupIndex value linkedKey field {{ fieldId }} }}
            history(last: 100) {{ nodes {{ action changes {{ path before after masked }} }} }} }} }}"
    )
}

fn replayed(client: &Value) -> Members {
    let mut members = Members::new();
    let records = client["history"]["nodes"].as_array().expect("a list");
    for (at, record) in records.iter().rev().enumerate() {
        assert_eq!(record["action"], if at == 0 { "CREATED" } else { "CHANGED" });
        let changes = record["changes"].as_array().expect("a list");
        assert!(!changes.is_empty(), "what changes nothing isn't recorded");
        for change in changes {
            let path: Vec<&str> = change["path"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let path = path.join(".");
            // The reason of a change of state isn't a member of the client.
            if path == "reason" {
                continue;
            }
            assert_eq!(
                members.get(&path).map(String::as_str),
                change["before"].as_str(),
                "{path}"
            );
            match change["after"].as_str() {
                Some(after) => members.insert(path, after.to_owned()),
                None => members.remove(&path),
            };
        }
    }
    members
}

/// A client's members as their paths have them.
fn stored(client: &Value) -> Members {
    let mut members = Members::new();
    for (name, value) in client.as_object().expect("an object") {
        match (name.as_str(), value) {
            ("history", _) => {}
            ("clientRole", role) => put(&mut members, name, &role["encodedKey"]),
            (_, Value::Array(rows)) => {
                for (position, row) in rows.iter().enumerate() {
                    let key = row["encodedKey"].as_str().or(row["field"]["fieldId"].as_str());
                    let mut key = key.expect("a name").to_owned();
                    if let Some(group) = row["groupIndex"].as_i64() {
                        key = format!("{key}.{group}");
                    }
                    put(
                        &mut members,
                        &format!("{name}.{key}.position"),
                        &json!(position.to_string()),
                    );
                    let own = row.as_object().expect("an object").iter();
                    let is_name = |member: &str| ["encodedKey", "field", "groupIndex"].contains(&member);
                    for (member, value) in own.filter(|(member, _)| !is_name(member)) {
                        put(&mut members, &format!("{name}.{key}.{member}"), value);
                    }
                }
            }
            (_, value) => put(&mut members, name, value),
        }
    }
    members
}

fn put(members: &mut Members, path: &str, value: &Value) {
    let text = match value {
        Value::Null => return,
        Value::String(text) => text.clone(),
        // Degrees are written without a fraction where there is none.
        Value::Number(number) => number.as_f64().expect("a number").to_string(),
        other => other.to_string(),
    };
    members.insert(path.to_owned(), text);
}
