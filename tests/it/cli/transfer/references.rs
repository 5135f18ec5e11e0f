//! Links of imported clients, and references of merged ones.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{entry, file, lines, read, run, summary, summary_without};
use crate::harness::{
    TestServer,
    graphql::{data, define, store_key},
    program::directory,
};

on_both!(
    reference_of_a_merged_client_is_checked,
    clients_merged_in_a_circle_are_refused,
    clients_in_a_stored_circle_can_be_removed,
    references_to_no_client_are_reported_at_the_end,
);

/// The line of a client that was merged into another one.
pub fn merged(key: &str, into: &str) -> Value {
    json!({ "client": { "encodedKey": key, "firstName": "A", "lastName": "B", "state": "EXITED",
        "mergedIntoKey": into } })
}

/// Imports lines under these rules. Returns the printed summary, the last sentence and the report.
fn import(directory: &TempDir, url: &str, clients: &[Value], rules: &str) -> (String, String, Vec<Value>) {
    let mut content = lines(clients);
    if rules == "stored" {
        content = content.replacen("\"version\":1", "\"version\":1,\"stored\":true", 1);
    }
    file(directory, "clients", content);
    let (printed, sentence, code) = run(directory, url, &["import", "clients", "--report", "report", "--force"]);
    assert_eq!(code, Some(i32::from(!sentence.is_empty())), "{sentence}");
    let report = read(directory, "report");
    let entries = report.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    (printed, sentence, entries.collect())
}

fn refused(lines: usize) -> String {
    match lines {
        0 => String::new(),
        _ => format!("clientele: lines that were refused: {lines}. Correct them and run the import again\n"),
    }
}

fn lost(references: usize) -> String {
    format!(
        "clientele: references that lead to no client: {references}. Import these clients too, or correct the \
         references\n"
    )
}

async fn reference_of_a_merged_client_is_checked(server: &TestServer) {
    let (directory, url) = (directory(), server.database_url());
    let mut inactive = merged("k1", "k2");
    inactive["client"]["state"] = json!("INACTIVE");
    for (client, message) in [
        (
            merged("k1", "not a key"),
            "mergedIntoKey must be a key: 1 to 32 letters and digits.",
        ),
        (inactive, "Only an EXITED client has mergedIntoKey: leave it out."),
    ] {
        let entries = vec![entry(2, "MALFORMED", "client.mergedIntoKey", message, json!("k1"))];
        let imported = import(&directory, &url, &[client], "new");
        assert_eq!(imported, (summary(0, 0, 1), refused(1), entries));
    }
    let message = "The client was merged into one that isn't stored: import that one, too.";
    let entries = vec![entry(2, "NOT_FOUND", "client.mergedIntoKey", message, json!("k1"))];
    let imported = import(&directory, &url, &[merged("k1", "k2")], "new");
    assert_eq!(imported, (summary(1, 0, 0), lost(1), entries));
    let into = json!({ "client": { "encodedKey": "k2", "firstName": "A", "lastName": "B" } });
    let imported = import(&directory, &url, &[merged("k1", "k2"), into], "new");
    assert_eq!(imported, (summary(1, 1, 0), String::new(), Vec::new()));
}

async fn clients_merged_in_a_circle_are_refused(server: &TestServer) {
    let (directory, url) = (directory(), server.database_url());
    let message =
        "The client would be merged into itself: give it the key of a client that wasn't merged into this one.";
    let circle = |line: u64, key: &str| entry(line, "INVALID", "client.mergedIntoKey", message, json!(key));
    let first = [
        merged("k1", "k1"),
        merged("k2", "k3"),
        merged("k3", "k2"),
        merged("k4", "k5"),
    ];
    let second = [
        merged("k5", "k4"),
        merged("k3", "k6"),
        merged("k6", "k2"),
        merged("k7", "k6"),
        merged("k8", "k2"),
    ];
    let imported = import(&directory, &url, &first, "stored");
    assert_eq!(
        imported,
        (
            summary_without(2, 2, 0, 2),
            refused(2),
            vec![circle(2, "k1"), circle(4, "k3")]
        )
    );
    let imported = import(&directory, &url, &second, "stored");
    assert_eq!(
        imported,
        (
            summary_without(3, 3, 0, 2),
            refused(2),
            vec![circle(2, "k5"), circle(4, "k6")]
        )
    );
    // The whole way is stored.
    let (printed, sentence, entries) = import(&directory, &url, &second, "new");
    assert_eq!((printed, sentence), (summary(0, 3, 2), refused(2)));
    assert_eq!(entries[..2], [circle(2, "k5"), circle(4, "k6")]);
}

/// Earlier versions imported such clients.
async fn clients_in_a_stored_circle_can_be_removed(server: &TestServer) {
    let mut keys = Vec::new();
    for id in ["self", "a1", "a2", "b1", "b2", "b3", "other"] {
        let client = json!({ "clientId": id, "firstName": "A", "lastName": "B" });
        keys.push(store_key(server, json!({ "client": client })).await);
    }
    for (from, into) in [(0, 0), (1, 2), (2, 1), (3, 4), (4, 5), (5, 3), (6, 0)] {
        let (from, into) = (&keys[from], &keys[into]);
        let sql =
            format!("UPDATE client SET state = 'EXITED', merged_into_key = '{into}' WHERE encoded_key = '{from}'");
        server.write(&sql).await.expect("it is written");
    }
    let erase = async |id: &str| {
        let query = format!(
            "mutation {{ eraseClient(input: {{ by: {{ clientId: \"{id}\" }} }}) {{ userErrors {{ code }} }} }}"
        );
        let erased = data(server, &query, json!({})).await;
        assert_eq!(erased, json!({ "eraseClient": { "userErrors": [] } }), "{id}");
    };
    let delete = async |id: &str| {
        let request = server.request(Method::DELETE, &format!("/api/clients/{id}"));
        let answer = server.send(request).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
    };
    let into = async |id: &str| {
        let query = format!("{{ client(by: {{ clientId: \"{id}\" }}) {{ version mergedInto {{ clientId }} }} }}");
        data(server, &query, json!({})).await["client"].take()
    };
    erase("self").await;
    assert_eq!(into("other").await, json!({ "version": 2, "mergedInto": null }));
    delete("a1").await;
    assert_eq!(into("a2").await, json!({ "version": 2, "mergedInto": null }));
    erase("a2").await;
    delete("b1").await;
    assert_eq!(
        into("b3").await,
        json!({ "version": 2, "mergedInto": { "clientId": "b2" } })
    );
    erase("b2").await;
    assert_eq!(into("b3").await, json!({ "version": 3, "mergedInto": null }));
    delete("b3").await;
    let intact = run(&directory(), &server.database_url(), &["audit", "verify"]);
    assert!(intact.0.ends_with("the history is intact\n"), "{intact:?}");
}

/// More links than are checked at once: each client links to the next one.
async fn references_to_no_client_are_reported_at_the_end(server: &TestServer) {
    let fields = json!([{ "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        { "fieldId": "nick", "name": "Nick", "type": "TEXT" }]);
    define(server, "facts", fields).await;
    let client = |n: u64| {
        json!({ "client": { "encodedKey": format!("k{n}"), "firstName": "A", "lastName": "B" },
            "customInformation": [{ "fieldId": "nick", "value": "none" },
                { "fieldId": "boss", "linkedKey": format!("k{}", n + 1) }] })
    };
    let (directory, url) = (directory(), server.database_url());
    let clients: Vec<Value> = (1..=501).map(client).collect();
    let message = "The field boss links to a client, and there is none with this key.";
    let entries = vec![entry(
        502,
        "NOT_FOUND",
        "customInformation.1.linkedKey",
        message,
        json!("k501"),
    )];
    let imported = import(&directory, &url, &clients, "new");
    assert_eq!(imported, (summary(501, 0, 0), lost(1), entries.clone()));
    // Another run reports them again; what an export has was stored before.
    let imported = import(&directory, &url, &clients, "new");
    assert_eq!(imported, (summary(0, 501, 0), lost(1), entries));
    let imported = import(&directory, &url, &clients, "stored");
    assert_eq!(imported, (summary(0, 501, 0), String::new(), Vec::new()));
    let last = json!({ "client": { "encodedKey": "k502", "firstName": "A", "lastName": "B" } });
    let clients: Vec<Value> = clients.into_iter().chain([last]).collect();
    let imported = import(&directory, &url, &clients, "new");
    assert_eq!(imported, (summary(1, 501, 0), String::new(), Vec::new()));
}
