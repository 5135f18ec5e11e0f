//! Histories of a file that were altered.

use serde_json::{Value, json};

use super::{another, client, refused, remove};
use crate::{
    cli::transfer::{chain_rows, client_rows, database_key, entry, file, read, run_under},
    harness::{TestServer, program::directory},
};

on_both!(altered_histories_are_refused);

async fn altered_histories_are_refused(server: &TestServer) {
    let deleted = client(server, "a", 3).await;
    remove(server, "deleteClient", &deleted).await;
    let changed = client(server, "b", 3).await;
    let (directory, key) = (directory(), database_key(server).await);
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let content = read(&directory, "a");
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    assert_eq!(run_under(&directory, &to, &key, &["migrate"]).2, Some(0));
    let before = (chain_rows(&other).await, client_rows(&other).await);
    let altered = "The history was altered: run `clientele audit verify` where it was exported.";
    let form = "The record has a value of the wrong form: import the file as it was exported.";
    let half = "A record has contents and salt, or neither: import the file as it was exported.";
    let missing = "The record has no contents, and no later record of the line says that they were erased: run \
        `clientele audit verify` where it was exported.";
    let unread = "A member of the record is missing, doesn't exist or has a value of the wrong type: import the file \
        as it was exported.";
    let set = |pointer: &'static str, value: Value| {
        move |part: &mut Value| *part.pointer_mut(pointer).expect("it exists") = value.clone()
    };
    let without = |members: &'static [&'static str]| {
        move |part: &mut Value| {
            for member in members {
                part["records"][1].as_object_mut().expect("an object").remove(*member);
            }
        }
    };
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: Vec<(Change, &str, &str, &str)> = vec![
        (
            Box::new(set("/records/1/caller/name", json!("x"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/caller/kind", json!("USER"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/at", json!("2020-01-01T00:00:00Z"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/door", json!("REST"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/action", json!("DELETED"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/contents", json!("[]"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/hmac", json!("x"))),
            "INVALID",
            "records.1",
            altered,
        ),
        (Box::new(set("/head", json!("x"))), "INVALID", "head", altered),
        (
            Box::new(|part: &mut Value| drop(part["records"].as_array_mut().expect("a list").remove(1))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(|part: &mut Value| drop(part["records"].as_array_mut().expect("a list").pop())),
            "INVALID",
            "head",
            altered,
        ),
        (
            Box::new(|part: &mut Value| part["records"].as_array_mut().expect("a list").swap(0, 1)),
            "INVALID",
            "records.0",
            altered,
        ),
        (
            Box::new(set("/records/1/caller/kind", json!("x"))),
            "MALFORMED",
            "records.1.caller",
            form,
        ),
        (
            Box::new(set("/records/1/caller/name", json!("\0"))),
            "MALFORMED",
            "records.1.caller",
            form,
        ),
        (
            Box::new(set("/records/1/caller/name", json!("é".repeat(200)))),
            "INVALID",
            "records.1",
            altered,
        ),
        (
            Box::new(set("/records/1/caller/name", json!("é".repeat(201)))),
            "MALFORMED",
            "records.1.caller",
            form,
        ),
        (
            Box::new(set("/records/1/caller/id", json!("x".repeat(201)))),
            "MALFORMED",
            "records.1.caller",
            form,
        ),
        (
            Box::new(|part: &mut Value| part["records"][1]["requestId"] = json!("x".repeat(201))),
            "MALFORMED",
            "records.1.requestId",
            form,
        ),
        (
            Box::new(set("/records/1/door", json!("x"))),
            "MALFORMED",
            "records.1.door",
            form,
        ),
        (
            Box::new(set("/records/1/action", json!("x"))),
            "MALFORMED",
            "records.1.action",
            form,
        ),
        (
            Box::new(set("/records/1/contents", json!("\0"))),
            "MALFORMED",
            "records.1.contents",
            form,
        ),
        (
            Box::new(set("/records/1/salt", json!("x"))),
            "MALFORMED",
            "records.1.salt",
            form,
        ),
        (
            Box::new(set("/records/1/digest", json!("x"))),
            "MALFORMED",
            "records.1.digest",
            form,
        ),
        (
            Box::new(set("/records/1/keyId", json!("x"))),
            "MALFORMED",
            "records.1.keyId",
            form,
        ),
        (
            Box::new(set("/records/1/at", json!("-0001-01-01T00:00:00Z"))),
            "MALFORMED",
            "records.1.at",
            form,
        ),
        (Box::new(without(&["salt"])), "MALFORMED", "records.1.contents", half),
        (
            Box::new(without(&["contents"])),
            "MALFORMED",
            "records.1.contents",
            half,
        ),
        (
            Box::new(without(&["contents", "salt"])),
            "INVALID",
            "records.1.contents",
            missing,
        ),
        (Box::new(without(&["hmac"])), "MALFORMED", "records.1", unread),
        (
            Box::new(set("/records/1/at", json!("x"))),
            "MALFORMED",
            "records.1",
            unread,
        ),
        (
            Box::new(|part: &mut Value| part["records"][1]["x"] = json!(1)),
            "MALFORMED",
            "records.1",
            unread,
        ),
        (
            Box::new(set("/records", json!(1))),
            "MALFORMED",
            "records",
            "records must be a list.",
        ),
        (
            Box::new(set("/head", json!(1))),
            "MALFORMED",
            "head",
            "head must be a text.",
        ),
        (
            Box::new(|part: &mut Value| part["x"] = json!(1)),
            "INVALID",
            "x",
            "The line has a member that doesn't exist: leave it out.",
        ),
    ];
    for (change, code, path, message) in changes {
        let mut expected = Vec::new();
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(content.lines()) {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            for (part, scope, key) in [
                ("/history", "history", &changed),
                ("/removedClient/history", "removedClient.history", &deleted),
            ] {
                if let Some(part) = line.pointer_mut(part) {
                    change(part);
                    expected.push(entry(number, code, &format!("{scope}.{path}"), message, json!(key)));
                }
            }
            lines.push(line.to_string());
        }
        file(&directory, "altered", format!("{}\n", lines.join("\n")));
        let mut found = refused(&directory, &to, &key, "altered");
        found.sort_by_key(|entry| entry["line"].as_u64());
        assert_eq!(found, expected);
        assert_eq!((chain_rows(&other).await, client_rows(&other).await), before, "{path}");
    }
    // In a file of new clients, and without a key.
    file(
        &directory,
        "new",
        content.replacen("\"stored\":true", "\"stored\":false", 1),
    );
    let message = "Only a file whose first line has \"stored\":true can have histories: leave it out.";
    let number = |text: &str| content[..content.find(text).expect("a line")].lines().count() as u64 + 1;
    assert_eq!(
        refused(&directory, &to, &key, "new"),
        [
            entry(number("{\"removedClient\""), "INVALID", "", message, Value::Null),
            entry(number("{\"addresses\""), "INVALID", "history", message, json!(changed)),
        ]
    );
    file(
        &directory,
        "keyless",
        content.replacen(&format!("\"encodedKey\":\"{changed}\","), "", 1),
    );
    let message = "A client with a history must have its key.";
    let of_client = entry(
        number("{\"addresses\""),
        "BLANK",
        "client.encodedKey",
        message,
        json!("b"),
    );
    assert_eq!(refused(&directory, &to, &key, "keyless"), [of_client]);
    other.stop().await;
}
