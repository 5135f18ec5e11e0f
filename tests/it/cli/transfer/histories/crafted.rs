//! Files whose lines were put together by hand: no line stops an import, and no chain is joined to another one.

use async_graphql::MaybeUndefined::Value as Sent;
use clientele::{caller::Caller, upsert::UpsertClient};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{another, client, refused, remove, time};
use crate::{
    cli::transfer::{
        chain_rows, client_rows, database_key, entry, file, lines, read, run_under, summary, summary_without,
    },
    harness::{TestServer, program::directory},
};

on_both!(
    history_cannot_be_cut_off,
    keys_of_other_forms_are_refused,
    dates_beyond_the_calendar_are_refused,
    clients_without_records_are_counted,
    records_of_a_later_version_are_refused,
    diverged_chain_is_not_joined,
    history_of_a_refused_client_is_refused,
    removed_client_named_twice_is_refused,
    unverified_records_are_counted_again,
    unverified_records_of_refused_lines_are_not_counted,
    resumed_removed_client_is_no_client_without_records,
    refused_lines_count_once,
);

const UNKNOWN: &str = "a key that no other database has, long";

fn export(directory: &TempDir, server: &TestServer, key: &str) -> Vec<Value> {
    let exported = run_under(directory, &server.database_url(), key, &["export", "a", "--force"]);
    assert_eq!((exported.0, exported.2), (String::new(), Some(0)));
    let lines = read(directory, "a");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Writes the file `b` of these lines.
fn write(directory: &TempDir, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    file(directory, "b", lines);
}

fn line_with(lines: &[Value], member: &str) -> usize {
    lines
        .iter()
        .position(|line| line.get(member).is_some())
        .expect("a line")
}

fn records(line: &mut Value) -> &mut Vec<Value> {
    line["history"]["records"].as_array_mut().expect("a list")
}

/// Changes a client as many times.
async fn change(server: &TestServer, key: &str, times: i64, note: &str) {
    let mut input = UpsertClient::default();
    input.client.encoded_key = Sent(key.to_owned());
    for number in 0..times {
        input.client.notes = Sent(format!("{note} {number}"));
        let (clients, operator) = (&server.services.clients, Caller::operator());
        let stored = clients.upsert(&operator, &input, Default::default(), time(1_000 + number));
        stored.await.expect("the database answers").expect("a sound client");
    }
}

async fn stored(server: &TestServer) -> (Vec<String>, Vec<String>) {
    (chain_rows(server).await, client_rows(server).await)
}

/// The databases of one PostgreSQL have one key, so a key that others don't have must be configured.
async fn copy_under_an_unknown_key(server: &TestServer, directory: &TempDir) -> TestServer {
    let copy = another(server.backend).await.expect("the same database");
    export(directory, server, "");
    let imported = run_under(directory, &copy.database_url(), UNKNOWN, &["import", "a"]);
    assert_eq!(imported.2, Some(0), "{}", imported.1);
    copy
}

async fn history_cannot_be_cut_off(server: &TestServer) {
    let client = client(server, "b", 3).await;
    let (directory, key) = (directory(), database_key(server).await);
    let mut lines = export(&directory, server, "");
    let at = line_with(&lines, "client");
    records(&mut lines[at]).truncate(2);
    lines[at]["history"].as_object_mut().expect("an object").remove("head");
    let empty = |position: i64| json!({ "history": { "client": client, "position": position, "records": [] } });
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    let number = at as u64 + 2;
    let none = "The line has no records, and a history ends only with head: import the file as it was exported.";
    let apart = "The records don't continue those of the line before: import the file as it was exported.";
    for (position, path, message) in [
        (3, "history.records", none),
        (i64::MIN, "history.position", apart),
        (4, "history.position", apart),
    ] {
        let mut lines = lines.clone();
        lines.insert(at + 1, empty(position));
        write(&directory, &lines);
        let expected = entry(number, "INVALID", path, message, json!(client));
        assert_eq!(refused(&directory, &to, &key, "b"), [expected]);
    }
    // An end of no records is none.
    records(&mut lines[at]).clear();
    lines[at]["history"]["head"] = json!("x");
    write(&directory, &lines);
    let message = "The history was altered: run `clientele audit verify` where it was exported.";
    let empty = another(server.backend).await.expect("the same database");
    let expected = entry(number - 1, "INVALID", "history.head", message, json!(client));
    assert_eq!(refused(&directory, &empty.database_url(), &key, "b"), [expected]);
    empty.stop().await;
    other.stop().await;
}

async fn keys_of_other_forms_are_refused(server: &TestServer) {
    let directory = directory();
    let first = json!({ "format": "clientele", "version": 1, "stored": true });
    let removed = |key: &str| json!({ "removedClient": { "encodedKey": key, "history": { "records": [] } } });
    let end = json!({ "end": { "clients": 0, "removedClients": 0 } });
    write(
        &directory,
        &[first, removed("a\0"), removed("~definitions"), removed("k1"), end],
    );
    let message = "encodedKey must have 1 to 32 letters and digits.";
    let expected = [2, 3].map(|line| entry(line, "MALFORMED", "removedClient.encodedKey", message, Value::Null));
    assert_eq!(refused(&directory, &server.database_url(), "", "b"), expected);
}

async fn dates_beyond_the_calendar_are_refused(server: &TestServer) {
    let directory = directory();
    let client = |key: &str, at: &str| {
        let client = json!({ "encodedKey": key, "firstName": "Amara", "lastName": "B", "createdAt": at });
        json!({ "client": client })
    };
    let times = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0000-12-31T23:59:59Z",
        "+10000-01-01T00:00:00Z",
        "+262000-01-01T00:00:00Z",
    ];
    let clients: Vec<Value> = (1..)
        .zip(times)
        .map(|(number, at)| client(&format!("k{number}"), at))
        .collect();
    file(&directory, "b", lines(&clients));
    let message = "The year must be from 1 to 9999.";
    let expected = [(4, "k3"), (5, "k4"), (6, "k5")];
    let expected = expected.map(|(line, key)| entry(line, "MALFORMED", "client.createdAt", message, json!(key)));
    assert_eq!(refused(&directory, &server.database_url(), "", "b"), expected);
}

async fn clients_without_records_are_counted(server: &TestServer) {
    for id in ["a", "b", "c"] {
        client(server, id, 1).await;
    }
    let deleted = client(server, "d", 1).await;
    remove(server, "deleteClient", &deleted).await;
    let (directory, key) = (directory(), database_key(server).await);
    let mut lines = export(&directory, server, "");
    let at = line_with(&lines, "client");
    lines[at]["history"] = json!({ "records": [] });
    lines[at + 1].as_object_mut().expect("an object").remove("history");
    let removed = line_with(&lines, "removedClient");
    lines[removed]["removedClient"]["history"] = json!({ "records": [] });
    write(&directory, &lines);
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "b"]),
        (summary_without(3, 3, 0, 0), String::new(), Some(0))
    );
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "b"]),
        (summary(0, 3, 0), String::new(), Some(0))
    );
    // The key of the removed client stays that of no other one, also in a copy of the copy.
    let again = export(&directory, &other, &key);
    let removed = json!({ "encodedKey": deleted, "history": { "records": [] } });
    assert_eq!(again[line_with(&again, "removedClient")]["removedClient"], removed);
    other.stop().await;
}

async fn records_of_a_later_version_are_refused(server: &TestServer) {
    let long = client(server, "long", 130).await;
    let (directory, key) = (directory(), database_key(server).await);
    export(&directory, server, "");
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    let imported = (summary(1, 0, 0), String::new(), Some(0));
    assert_eq!(run_under(&directory, &to, &key, &["import", "a"]), imported);
    change(server, &long, 1, "later").await;
    let later = export(&directory, server, "");
    let before = stored(&other).await;
    let number = line_with(&later[..later.len() - 1], "history") as u64 + 2;
    let message = "The client is stored with another version than that of its line: it stays as it is.";
    assert_eq!(
        refused(&directory, &to, &key, "a"),
        [entry(number, "INVALID", "history.records", message, json!(long))]
    );
    assert_eq!(stored(&other).await, before);
    other.stop().await;
}

async fn diverged_chain_is_not_joined(server: &TestServer) {
    let (directory, key) = (directory(), database_key(server).await);
    let new = json!({ "client": { "encodedKey": "k1", "clientId": "one", "firstName": "Amara", "lastName": "B" } });
    file(&directory, "new", lines(&[new]));
    let [one, other] = [
        another(server.backend).await.expect("the same database"),
        another(server.backend).await.expect("the same database"),
    ];
    let mut exports = Vec::new();
    for from in [server, &one] {
        let imported = run_under(&directory, &from.database_url(), &key, &["import", "new"]);
        assert_eq!(imported.2, Some(0));
        change(from, "k1", 129, "note").await;
        exports.push(export(&directory, from, &key));
    }
    let [first, second] = <[_; 2]>::try_from(exports).expect("two");
    let at = line_with(&first, "client");
    write(&directory, &first[..=at]);
    let to = other.database_url();
    assert_eq!(run_under(&directory, &to, &key, &["import", "b"]).2, Some(1));
    let before = stored(&other).await;
    write(&directory, &second);
    let message = "The stored client has other records, because it was changed here or comes from elsewhere: it stays \
        as it is.";
    assert_eq!(
        refused(&directory, &to, &key, "b"),
        [entry(at as u64 + 2, "INVALID", "history.records", message, json!("k1"))]
    );
    assert_eq!(stored(&other).await, before);
    // The rest of the first one continues it.
    write(&directory, &first);
    let imported = (summary(0, 1, 0), String::new(), Some(0));
    assert_eq!(run_under(&directory, &to, &key, &["import", "b"]), imported);
    one.stop().await;
    other.stop().await;
}

async fn history_of_a_refused_client_is_refused(server: &TestServer) {
    let long = client(server, "long", 130).await;
    let (directory, key) = (directory(), database_key(server).await);
    let mut lines = export(&directory, server, "");
    let at = line_with(&lines, "client");
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    write(&directory, &lines[..=at]);
    assert_eq!(run_under(&directory, &to, &key, &["import", "b"]).2, Some(1));
    let before = stored(&other).await;
    lines[at]["client"]["clientId"] = json!("another");
    write(&directory, &lines);
    let taken = "A client with this key is stored with another clientId: give this one another key.";
    let message = "The line of the client, which comes before, was refused: correct it first.";
    let number = at as u64 + 1;
    assert_eq!(
        refused(&directory, &to, &key, "b"),
        [
            entry(number, "TAKEN", "client.encodedKey", taken, json!(long)),
            entry(number + 1, "INVALID", "history.client", message, json!(long)),
        ]
    );
    assert_eq!(stored(&other).await, before);
    other.stop().await;
}

async fn removed_client_named_twice_is_refused(server: &TestServer) {
    let deleted = client(server, "d", 2).await;
    remove(server, "deleteClient", &deleted).await;
    let directory = directory();
    let from = copy_under_an_unknown_key(server, &directory).await;
    // Nothing of it is verified.
    let mut lines = export(&directory, &from, UNKNOWN);
    let at = line_with(&lines, "removedClient");
    let mut again = lines[at].clone();
    again["removedClient"]["history"]["records"][0]["requestId"] = json!("another");
    lines.insert(at + 1, again);
    write(&directory, &lines);
    let other = another(server.backend).await.expect("the same database");
    let message = "The file has the client twice: leave one of its lines out.";
    let path = "removedClient.encodedKey";
    assert_eq!(
        refused(&directory, &other.database_url(), "", "b"),
        [entry(at as u64 + 2, "DUPLICATE", path, message, json!(deleted))]
    );
    assert!(chain_rows(&other).await.iter().all(|row| !row.contains("another")));
    from.stop().await;
    other.stop().await;
}

async fn unverified_records_are_counted_again(server: &TestServer) {
    client(server, "long", 130).await;
    let deleted = client(server, "d", 2).await;
    remove(server, "deleteClient", &deleted).await;
    let directory = directory();
    let from = copy_under_an_unknown_key(server, &directory).await;
    export(&directory, &from, UNKNOWN);
    let other = another(server.backend).await.expect("the same database");
    let unverified = super::unverified(133);
    for (stored, known) in [(1, 0), (0, 1)] {
        assert_eq!(
            run_under(&directory, &other.database_url(), "", &["import", "a"]),
            (
                format!("{}{unverified}", summary(stored, known, 0)),
                String::new(),
                Some(0)
            )
        );
    }
    from.stop().await;
    other.stop().await;
}

async fn unverified_records_of_refused_lines_are_not_counted(server: &TestServer) {
    client(server, "long", 130).await;
    client(server, "short", 2).await;
    let directory = directory();
    let from = copy_under_an_unknown_key(server, &directory).await;
    let mut lines = export(&directory, &from, UNKNOWN);
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    assert_eq!(run_under(&directory, &to, "", &["import", "a"]).2, Some(0));
    // Its key is stored with another id.
    let long = lines
        .iter()
        .position(|line| line["client"]["clientId"] == "long")
        .expect("a line");
    lines[long]["client"]["clientId"] = json!("another");
    write(&directory, &lines);
    let (said, _, code) = run_under(&directory, &to, "", &["import", "b"]);
    let expected = format!("{}{}", summary(0, 1, 2), super::unverified(2));
    assert_eq!((said, code), (expected, Some(1)));
    from.stop().await;
    other.stop().await;
}

async fn resumed_removed_client_is_no_client_without_records(server: &TestServer) {
    let deleted = client(server, "d", 3).await;
    remove(server, "deleteClient", &deleted).await;
    let (directory, key) = (directory(), database_key(server).await);
    let lines = export(&directory, server, "");
    let at = line_with(&lines, "removedClient");
    let mut cut = lines.clone();
    let part = &mut cut[at]["removedClient"]["history"];
    part["records"].as_array_mut().expect("a list").truncate(2);
    part.as_object_mut().expect("an object").remove("head");
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    assert_eq!(run_under(&directory, &to, &key, &["migrate"]).2, Some(0));
    let shared = |server: &TestServer| {
        let db = server.services.db.clone();
        async move {
            let sql = "SELECT count FROM audit_chain WHERE chain = '~definitions'";
            let row = db.read().one(sql, []).await.expect("it is read").expect("a row");
            row.try_get_by_index::<i64>(0).expect("a number")
        }
    };
    let before = shared(&other).await;
    write(&directory, &cut);
    assert_eq!(run_under(&directory, &to, &key, &["import", "b"]).2, Some(1));
    assert_eq!(shared(&other).await, before);
    write(&directory, &lines);
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "b"]),
        (summary(0, 0, 0), String::new(), Some(0))
    );
    assert_eq!(shared(&other).await, before);
    other.stop().await;
}

async fn refused_lines_count_once(server: &TestServer) {
    let long = client(server, "long", 230).await;
    let (directory, key) = (directory(), database_key(server).await);
    let mut lines = export(&directory, server, "");
    let at = line_with(&lines, "client");
    lines[0]["stored"] = json!(false);
    write(&directory, &lines);
    let other = another(server.backend).await.expect("the same database");
    let message = "Only a file whose first line has \"stored\":true can have histories: leave it out.";
    let number = at as u64 + 1;
    let mut found = refused(&directory, &other.database_url(), &key, "b");
    found.sort_by_key(|entry| entry["line"].as_u64());
    assert_eq!(
        found,
        [
            entry(number, "INVALID", "history", message, json!(long)),
            entry(number + 1, "INVALID", "", message, Value::Null),
            entry(number + 2, "INVALID", "", message, Value::Null),
        ]
    );
    other.stop().await;
}
