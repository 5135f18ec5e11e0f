//! The limit of the clients that were merged into one, for imported clients.

use serde_json::{Value, json};

use super::{entry, file, lines, read, references::merged, run, summary, summary_without};
use crate::{
    harness::{TestServer, program::directory},
    lifecycle::merge::{create_with, merge, two, user_errors},
};

on_both!(
    at_most_100_clients_of_a_file_are_merged_into_one,
    stored_clients_and_those_of_the_file_are_counted_together,
    ways_that_meet_are_counted_together,
    export_with_more_merged_clients_is_restored,
    circles_through_at_most_200_stored_clients_are_found,
);

fn client(key: &str) -> Value {
    json!({ "client": { "encodedKey": key, "firstName": "A", "lastName": "B" } })
}

/// Imports lines. Returns what was printed, and the entries of refused lines.
fn import(server: &TestServer, clients: &[Value]) -> (String, Vec<Value>) {
    imported(server, lines(clients))
}

/// Imports lines as those of an export.
fn import_stored(server: &TestServer, clients: &[Value]) -> (String, Vec<Value>) {
    let content = lines(clients).replacen("\"version\":1", "\"version\":1,\"stored\":true", 1);
    imported(server, content)
}

fn imported(server: &TestServer, content: String) -> (String, Vec<Value>) {
    let directory = directory();
    file(&directory, "clients", content);
    let (printed, _, _) = run(
        &directory,
        &server.database_url(),
        &["import", "clients", "--report", "report"],
    );
    let report = read(&directory, "report");
    let entries = report
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    // The client that others refer to can come in a later file.
    (printed, entries.filter(|entry| entry["code"] != "NOT_FOUND").collect())
}

fn too_many(line: u64, key: &str) -> Value {
    let message = "At most 100 clients can be merged into one client, directly or through others: leave mergedIntoKey \
        out.";
    entry(line, "TOO_MANY", "client.mergedIntoKey", message, json!(key))
}

async fn at_most_100_clients_of_a_file_are_merged_into_one(server: &TestServer) {
    let file = |into: &str, count: u32| -> Vec<Value> {
        let merged = (1..=count).map(|n| merged(&format!("{into}{n}"), into));
        merged.chain([client(into)]).collect()
    };
    assert_eq!(import(server, &file("a", 100)), (summary(101, 0, 0), Vec::new()));
    let refused = |into: &str| vec![too_many(102, &format!("{into}101"))];
    assert_eq!(import(server, &file("a", 101)), (summary(0, 101, 1), refused("a")));
    assert_eq!(import(server, &file("b", 101)), (summary(101, 0, 1), refused("b")));
}

async fn stored_clients_and_those_of_the_file_are_counted_together(server: &TestServer) {
    let into = create_with(server, "I", json!({})).await;
    create_with(server, "F", json!({})).await;
    assert_eq!(
        *user_errors(&merge(server, two("F", "I")).await, "mergeClients"),
        json!([])
    );
    let clients: Vec<Value> = (1..=100).map(|n| merged(&format!("k{n}"), &into)).collect();
    assert_eq!(
        import(server, &clients),
        (summary(99, 0, 1), vec![too_many(101, "k100")])
    );
    // A merge has no room either.
    create_with(server, "G", json!({})).await;
    let answer = merge(server, two("G", "I")).await;
    assert_eq!(
        user_errors(&answer, "mergeClients")[0]["code"],
        "TOO_MANY",
        "{}",
        answer.text
    );
}

async fn ways_that_meet_are_counted_together(server: &TestServer) {
    // 60 were merged into `a` and 39 into `b`, in files before theirs.
    let of_a = (1..=60).map(|n| merged(&format!("a{n}"), "a"));
    let of_b = (1..=39).map(|n| merged(&format!("b{n}"), "b"));
    let first: Vec<Value> = of_a.chain(of_b).collect();
    assert_eq!(import(server, &first).0, summary(99, 0, 0));
    // 61 of `into` come from `a`, and 40 from `b`.
    let second = [
        merged("a", "into"),
        merged("b", "c"),
        merged("c", "into"),
        client("into"),
    ];
    assert_eq!(import(server, &second), (summary(3, 0, 1), vec![too_many(4, "c")]));
    let third = [merged("d", "a1"), merged("e", "b1")];
    assert_eq!(import(server, &third), (summary(2, 0, 0), Vec::new()));
    let fourth: Vec<Value> = (1..=39).map(|n| merged(&format!("f{n}"), "d")).collect();
    assert_eq!(import(server, &fourth), (summary(38, 0, 1), vec![too_many(40, "f39")]));
}

/// Earlier versions had no limit.
async fn export_with_more_merged_clients_is_restored(server: &TestServer) {
    let mut clients: Vec<Value> = (1..=101).map(|n| merged(&format!("k{n}"), "into")).collect();
    clients.push(client("into"));
    assert_eq!(
        import_stored(server, &clients),
        (summary_without(102, 102, 0, 0), Vec::new())
    );
}

/// Only files with stored clients make longer chains.
async fn circles_through_at_most_200_stored_clients_are_found(server: &TestServer) {
    for (count, is_found) in [(200, true), (201, false)] {
        let (first, last) = (format!("c{count}x1"), format!("c{count}x{}", count + 1));
        let chain = (1..=count).map(|n| merged(&format!("c{count}x{n}"), &format!("c{count}x{}", n + 1)));
        let stored = import_stored(server, &chain.collect::<Vec<_>>());
        assert_eq!(stored, (summary_without(count, count, 0, 0), Vec::new()));
        let message = "The client would be merged into itself: give it the key of a client that wasn't merged into \
            this one.";
        let refused = entry(2, "INVALID", "client.mergedIntoKey", message, json!(last));
        let expected = match is_found {
            true => (summary(0, 0, 1), vec![refused]),
            false => (summary_without(1, 1, 0, 0), Vec::new()),
        };
        assert_eq!(import_stored(server, &[merged(&last, &first)]), expected, "{count}");
    }
}
