//! Duplicate checks of imported clients.

use serde_json::{Value, json};

use super::{file, lines, read, run, summary, summary_without};
use crate::harness::{TestServer, graphql::store, program::directory};

on_both!(duplicates_are_refused_by_checks_that_are_errors,);

/// The line of a client with this key and e-mail address.
fn line(key: &str, email: &str) -> Value {
    let client =
        json!({ "encodedKey": key, "clientId": key, "firstName": key, "lastName": "B", "emailAddress": email });
    json!({ "client": client })
}

async fn duplicates_are_refused_by_checks_that_are_errors(server: &TestServer) {
    let known = json!({ "client": { "clientId": "known", "firstName": "A", "lastName": "B",
        "emailAddress": "a@example.test" } });
    store(server, known, "version").await;
    let clients = [
        line("k1", "A@Example.test"),
        line("k2", "b@example.test"),
        line("k3", "B@example.test"),
        line("k4", "c@example.test"),
    ];
    let (directory, url) = (directory(), server.database_url());
    file(&directory, "new", lines(&clients));
    let import = |file: &'static str, level: &str| {
        let check = format!("clients.duplicates.email_address={level}");
        let report = format!("{file} {level}");
        run(
            &directory,
            &url,
            &["import", file, "--report", &report, "--set", &check],
        )
    };
    let (stdout, _, code) = import("new", "ERROR");
    assert_eq!((stdout, code), (summary(2, 0, 2), Some(1)));
    let report = read(&directory, "new ERROR");
    let found: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let refused = |line: u64, client: &str, match_: &str| {
        json!({ "line": line, "code": "DUPLICATE_CLIENT", "path": "client.emailAddress",
            "message": format!("Another client has this e-mail address: {match_}."), "client": client })
    };
    assert_eq!(found, [refused(2, "k1", "known"), refused(4, "k3", "k2")]);
    // Without the check, and from an export, the rest is stored.
    let (stdout, _, code) = import("new", "WARNING");
    assert_eq!((stdout, code), (summary(2, 2, 0), Some(0)));
    let mut stored = lines(&[line("k5", "a@example.test")]);
    stored = stored.replacen("\"version\":1", "\"version\":1,\"stored\":true", 1);
    file(&directory, "export", stored);
    let (stdout, _, code) = import("export", "ERROR");
    assert_eq!((stdout, code), (summary_without(1, 1, 0, 0), Some(0)));
}
