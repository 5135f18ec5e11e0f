//! Replays a client's records from the first one and compares the result with the stored client.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::findings;
use crate::harness::TestServer;

const STORED: &str = "query($key: String!) { client(by: { encodedKey: $key }) {
    clientId state firstName middleName lastName birthDate gender emailAddress homePhone mobilePhone1 mobilePhone2
    preferredLanguage notes clientRole { encodedKey } assignedBranchKey assignedCentreKey assignedUserKey
    approvedAt activatedAt closedAt
    addresses { encodedKey line1 line2 city region postcode country latitude longitude }
    idDocuments { encodedKey documentType documentId issuingAuthority validUntil }
    customInformation { value linkedKey field { fieldId } }
    history(last: 100) { nodes { action changes { path before after masked } } } } }";

type Members = BTreeMap<String, String>;

/// Replays the records of every client, compares, and verifies the whole audit log.
pub async fn assert_replayed(server: &TestServer) {
    let data = async |query: &str, variables: Value| -> Value {
        let answer = server.graphql(query, variables).await;
        let mut body: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert!(body.get("errors").is_none(), "{}", answer.text);
        body["data"].take()
    };
    let clients = data("{ clients(first: 500) { nodes { encodedKey } } }", json!({})).await;
    for client in clients["clients"]["nodes"].as_array().expect("a list") {
        let client = &data(STORED, json!({ "key": client["encodedKey"] })).await["client"];
        assert_eq!(replayed(client), stored(client), "{client:#}");
    }
    assert_eq!(findings(server).await, [""; 0]);
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
                    let key = row["encodedKey"]
                        .as_str()
                        .or(row["field"]["fieldId"].as_str())
                        .expect("a name");
                    put(
                        &mut members,
                        &format!("{name}.{key}.position"),
                        &json!(position.to_string()),
                    );
                    let own = row.as_object().expect("an object").iter();
                    for (member, value) in own.filter(|(member, _)| !["encodedKey", "field"].contains(&member.as_str()))
                    {
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
