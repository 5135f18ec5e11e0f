//! The audit chains of an export: the copy has the same ones, whatever its key, and altered ones are refused.

mod altered;
mod crafted;

use async_graphql::MaybeUndefined::Value as Sent;
use chrono::{DateTime, TimeDelta, Utc};
use clientele::{caller::Caller, upsert::UpsertClient};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{chain_rows, client_rows, database_key, entry, file, read, run_under, summary};
use crate::harness::{
    Backend, Settings, TestServer,
    graphql::{data, store},
    net,
    program::directory,
};

on_both!(
    copy_under_the_same_key_has_the_same_chains,
    copy_under_another_key_is_intact,
    long_history_is_completed_after_a_stop,
    client_without_its_further_records_is_completed_by_the_whole_file,
    history_of_a_client_that_was_changed_meanwhile_is_refused,
    records_come_in_lines_of_bounded_size,
    removed_clients_keep_their_keys,
);

const ONE: &str = "the first key, of at least 32 characters";
const ANOTHER: &str = "another key of at least 32 characters";

/// An empty database, or none without PostgreSQL.
async fn another(backend: Backend) -> Option<TestServer> {
    TestServer::start(backend, Settings::default()).await
}

fn time(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 123_456_000).expect("a time") + TimeDelta::minutes(minutes)
}

/// Creates a client with this many audit records, and returns its key.
async fn client(server: &TestServer, id: &str, records: i64) -> String {
    let mut input = UpsertClient::default();
    input.client.client_id = Sent(id.to_owned());
    input.client.first_name = Sent("Amara".to_owned());
    input.client.last_name = Sent("B".to_owned());
    let mut key = None;
    for number in 0..records {
        input.client.notes = Sent(format!("note {number}"));
        let (clients, operator) = (&server.services.clients, Caller::operator());
        let stored = clients
            .upsert(&operator, &input, Default::default(), time(number))
            .await;
        let stored = stored.expect("the database answers").expect("a sound client");
        let client = stored.client.client.encoded_key.clone();
        input.client.encoded_key = Sent(client.clone());
        key = Some(client);
    }
    key.expect("a record")
}

async fn remove(server: &TestServer, mutation: &str, key: &str) {
    let query =
        format!("mutation {{ {mutation}(input: {{ by: {{ encodedKey: \"{key}\" }} }}) {{ userErrors {{ code }} }} }}");
    let done = data(server, &query, json!({})).await;
    assert_eq!(done, json!({ mutation: { "userErrors": [] } }));
}

/// A client seeded and not changed, one seeded and changed, short and long chains of clients, and of removed ones.
async fn fill(server: &TestServer) {
    server.seed(2).await;
    let seeded = json!({ "input": { "matchOn": "CLIENT_ID", "client": { "clientId": "SEED00000001", "notes": "n" } } });
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    let changed = data(server, query, seeded).await;
    assert_eq!(changed, json!({ "upsertClient": { "userErrors": [] } }));
    client(server, "short", 2).await;
    client(server, "exact", 100).await;
    client(server, "long", 230).await;
    let deleted = client(server, "deleted", 1).await;
    remove(server, "deleteClient", &deleted).await;
    let deleted = client(server, "long deleted", 120).await;
    remove(server, "deleteClient", &deleted).await;
    let erased = client(server, "erased", 250).await;
    remove(server, "eraseClient", &erased).await;
    remove(server, "eraseClient", &deleted).await;
    let seeded = "01900000000070008000000000000000";
    remove(server, "deleteClient", seeded).await;
}

fn exported(directory: &TempDir, name: &str) -> Vec<String> {
    // The first line has the time.
    read(directory, name).lines().skip(1).map(str::to_owned).collect()
}

/// Exports from a server and imports into an empty one under the same key. Both have the same chains then.
async fn copied(server: &TestServer, backend: Backend, key: &str) -> Option<TestServer> {
    let other = another(backend).await?;
    let (directory, from, to) = (directory(), server.database_url(), other.database_url());
    assert_eq!(run_under(&directory, &from, key, &["export", "a"]).2, Some(0));
    let (_, failure, status) = run_under(&directory, &to, key, &["import", "a"]);
    assert_eq!((&*failure, status), ("", Some(0)));
    assert_eq!(run_under(&directory, &to, key, &["export", "b"]).2, Some(0));
    let (a, b) = (exported(&directory, "a"), exported(&directory, "b"));
    assert_eq!(a, b);
    assert_intact(&directory, &to, key);
    Some(other)
}

fn assert_intact(directory: &TempDir, url: &str, key: &str) {
    let (said, failure, status) = run_under(directory, url, key, &["audit", "verify"]);
    assert!(
        said.ends_with("the history is intact\n") && status == Some(0),
        "{said}{failure}"
    );
}

/// Copies a database to the other kind of database and back, and compares.
pub async fn assert_copied(server: &TestServer) {
    let key = database_key(server).await;
    let other = match server.backend {
        Backend::Sqlite => Backend::Postgres,
        Backend::Postgres => Backend::Sqlite,
    };
    let Some(there) = copied(server, other, &key).await else {
        return;
    };
    let back = copied(&there, server.backend, &key).await.expect("the same database");
    assert_eq!(client_rows(&back).await, client_rows(server).await);
    assert_eq!(chain_rows(&back).await, chain_rows(server).await);
    there.stop().await;
    back.stop().await;
}

async fn copy_under_the_same_key_has_the_same_chains(server: &TestServer) {
    fill(server).await;
    assert_copied(server).await;
    let key = database_key(server).await;
    let copy = copied(server, server.backend, &key).await.expect("the same database");
    assert_eq!(client_rows(&copy).await, client_rows(server).await);
    assert_eq!(chain_rows(&copy).await, chain_rows(server).await);
    // Another run finds everything stored.
    let (directory, url, before) = (directory(), copy.database_url(), copy.snapshot().await);
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let again = run_under(&directory, &url, &key, &["import", "a"]);
    assert_eq!(again, (summary(0, 4, 0), String::new(), Some(0)));
    assert_eq!(copy.snapshot().await, before);
    copy.stop().await;
}

/// The history and the difference of versions, as the API shows them.
async fn shown(server: &TestServer) -> Value {
    let query = "{ client(by: { clientId: \"long\" }) { version history(first: 3) { totalCount nodes { at caller { kind
        id name } door action changes { path before after } } } }
        clientDifference(by: { clientId: \"long\" }, from: 0, to: 2) { from to changes { path before after } }
        later: clientDifference(by: { clientId: \"long\" }, from: 228, to: 230) { changes { path before after } } }";
    data(server, query, json!({})).await
}

async fn copy_under_another_key_is_intact(server: &TestServer) {
    fill(server).await;
    let directory = directory();
    assert_eq!(
        run_under(&directory, &server.database_url(), "", &["export", "first"]).2,
        Some(0)
    );
    // A copy under a configured key, which the databases don't have: those of one PostgreSQL have one key.
    let copy = another(server.backend).await.expect("the same database");
    let from = copy.database_url();
    assert_eq!(run_under(&directory, &from, ONE, &["import", "first"]).2, Some(0));
    assert_eq!(run_under(&directory, &from, ONE, &["export", "a"]).2, Some(0));
    copy.stop().await;
    let records = chain_rows(server).await.len() - 4;
    for (name, key, previous, is_verified) in [
        ("own", "", vec![], false),
        ("configured", ANOTHER, vec![], false),
        ("previous", ANOTHER, vec![ONE], true),
    ] {
        let other = another(server.backend).await.expect("the same database");
        let previous = format!("audit.previous_keys={}", json!(previous));
        let to = other.database_url();
        let imported = run_under(&directory, &to, key, &["import", "a", "--set", &previous]);
        let unverified = unverified(records);
        let unverified = if is_verified { "" } else { &unverified };
        assert_eq!(
            imported,
            (format!("{}{unverified}", summary(4, 0, 0)), String::new(), Some(0)),
            "{name}"
        );
        assert_intact(&directory, &to, key);
        assert_eq!(shown(&other).await, shown(server).await);
        other.stop().await;
    }
}

/// The line of the output about records that couldn't be verified.
fn unverified(records: usize) -> String {
    format!(
        "records of the history that couldn't be verified, because their keys, or those of the records before, aren't \
         known here: {records}. To verify them, add the keys that sealed them to audit.previous_keys, and import into \
         an empty database\n"
    )
}

/// Runs an import that ends with refused lines, and returns its report.
fn refused(directory: &TempDir, url: &str, key: &str, name: &str) -> Vec<Value> {
    let arguments = ["import", name, "--report", "report", "--force"];
    let (_, _, status) = run_under(directory, url, key, &arguments);
    assert_eq!(status, Some(1));
    let report = read(directory, "report");
    assert!(net::planted(&report).is_none(), "{report}");
    report
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

async fn long_history_is_completed_after_a_stop(server: &TestServer) {
    client(server, "long", 230).await;
    let deleted = client(server, "deleted", 120).await;
    remove(server, "deleteClient", &deleted).await;
    let (directory, key) = (directory(), database_key(server).await);
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let content = read(&directory, "a");
    let lines: Vec<&str> = content.lines().collect();
    let first = lines
        .iter()
        .position(|line| line.contains("\"addresses\""))
        .expect("a client");
    let parts = [
        "\"encodedKey\"",
        "\"position\":101",
        "\"position\":201",
        "removedClient",
        "\"position\":101",
        "end",
    ];
    for (line, part) in lines[first..].iter().zip(parts) {
        assert!(line.contains(part), "{part}: {line}");
    }
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    for end in first + 1..lines.len() {
        file(&directory, "cut", format!("{}\n", lines[..end].join("\n")));
        let (_, failure, status) = run_under(&directory, &to, &key, &["import", "cut"]);
        let cut_off = "clientele: the file has no last line with the number of clients: it was cut off, or is still \
            being written\n";
        assert_eq!((&*failure, status), (cut_off, Some(1)), "{end}");
        assert_intact(&directory, &to, &key);
    }
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "a"]),
        (summary(0, 1, 0), String::new(), Some(0))
    );
    assert_eq!(client_rows(&other).await, client_rows(server).await);
    assert_eq!(chain_rows(&other).await, chain_rows(server).await);
    // A file whose lines were left out is refused.
    let apart = "The records don't continue those of the line before: import the file as it was exported.";
    let without = lines.iter().enumerate().filter(|(at, _)| *at != first + 1);
    let without: Vec<&str> = without.map(|(_, line)| *line).collect();
    file(&directory, "without", format!("{}\n", without.join("\n")));
    let long = serde_json::from_str::<Value>(lines[first]).expect("JSON")["client"]["encodedKey"].clone();
    let number = first as u64 + 1;
    assert_eq!(
        refused(&directory, &to, &key, "without"),
        [entry(number + 1, "INVALID", "history.position", apart, long)]
    );
    other.stop().await;
}

async fn client_without_its_further_records_is_completed_by_the_whole_file(server: &TestServer) {
    let long = client(server, "long", 230).await;
    client(server, "short", 2).await;
    let removed = client(server, "removed", 120).await;
    remove(server, "deleteClient", &removed).await;
    let (directory, key) = (directory(), database_key(server).await);
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let content = read(&directory, "a");
    let without: Vec<&str> = content
        .lines()
        .filter(|line| !line.starts_with("{\"history\""))
        .collect();
    file(&directory, "without", format!("{}\n", without.join("\n")));
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    let message = "The line with further records of this client is missing. Import the file as it was exported: a \
        client that is stored without them gets them.";
    let lines = [(&long, "\"clientId\":\"long\""), (&removed, "removedClient")];
    let expected = lines.map(|(key, text)| {
        let number = without.iter().position(|line| line.contains(text)).expect("a line") + 1;
        entry(number as u64, "INVALID", "history", message, json!(key))
    });
    let arguments = ["import", "without", "--report", "report"];
    let refused = "clientele: lines that were refused: 2. Correct them and run the import again\n";
    assert_eq!(
        run_under(&directory, &to, &key, &arguments),
        (summary(2, 0, 2), refused.to_owned(), Some(1))
    );
    let report = read(&directory, "report");
    let report: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(report, expected);
    // The stored records are intact, and the whole file adds the others.
    assert_intact(&directory, &to, &key);
    assert_ne!(chain_rows(&other).await, chain_rows(server).await);
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "a"]),
        (summary(0, 2, 0), String::new(), Some(0))
    );
    assert_eq!(client_rows(&other).await, client_rows(server).await);
    assert_eq!(chain_rows(&other).await, chain_rows(server).await);
    other.stop().await;
}

async fn history_of_a_client_that_was_changed_meanwhile_is_refused(server: &TestServer) {
    let long = client(server, "long", 130).await;
    let erased = client(server, "erased", 2).await;
    remove(server, "deleteClient", &erased).await;
    let (directory, key) = (directory(), database_key(server).await);
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let content = read(&directory, "a");
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    let cut = content.find("{\"history\"").expect("a line of the history");
    file(&directory, "cut", &content[..cut]);
    assert_eq!(run_under(&directory, &to, &key, &["import", "cut"]).2, Some(1));
    let change = json!({ "input": { "client": { "encodedKey": long, "lastName": "C" } } });
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    data(&other, query, change).await;
    let before = other.snapshot().await;
    let number = |text: &str| content[..content.find(text).expect("a line")].lines().count() as u64 + 1;
    let message = "The stored client has other records, because it was changed here or comes from elsewhere: it stays \
        as it is.";
    let at = number("{\"history\"");
    let expected = entry(at, "INVALID", "history.records", message, json!(long));
    file(
        &directory,
        "clients",
        content.replace("\"removedClients\":1", "\"removedClients\":0"),
    );
    assert_eq!(refused(&directory, &to, &key, "a"), [expected]);
    assert_eq!(before.rows("client"), other.snapshot().await.rows("client"));
    // The removed client is stored. Then it is erased where the file was written, and later here, too.
    remove(server, "eraseClient", &erased).await;
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "b"]).2,
        Some(0)
    );
    let message =
        "The client was erased where the file was written: erase it here, too, with `clientele client erase`.";
    let found = refused(&directory, &to, &key, "b");
    let of_erased: Vec<&Value> = found.iter().filter(|entry| entry["client"] == *erased).collect();
    assert_eq!(of_erased.len(), 1, "{found:?}");
    assert_eq!(
        (&of_erased[0]["message"], &of_erased[0]["path"]),
        (&json!(message), &json!("removedClient.history"))
    );
    other.stop().await;
}

async fn removed_clients_keep_their_keys(server: &TestServer) {
    let key = database_key(server).await;
    let deleted = client(server, "a", 1).await;
    remove(server, "deleteClient", &deleted).await;
    let directory = directory();
    assert_eq!(
        run_under(&directory, &server.database_url(), &key, &["export", "a"]).2,
        Some(0)
    );
    let other = another(server.backend).await.expect("the same database");
    let to = other.database_url();
    let new = |own: Value| {
        let mut client = json!({ "firstName": "Amara", "lastName": "B" });
        client
            .as_object_mut()
            .expect("an object")
            .extend(own.as_object().expect("an object").clone());
        super::lines(&[json!({ "client": client })])
    };
    // Its key is the key or the id of a client.
    for (own, message) in [
        (
            json!({ "encodedKey": deleted }),
            "A client with this key is stored: delete or erase it, or leave this line out.",
        ),
        (
            json!({ "encodedKey": "k1", "clientId": deleted }),
            "The key is the clientId of another client: leave this line out.",
        ),
    ] {
        let taken = another(server.backend).await.expect("the same database");
        let to = taken.database_url();
        file(&directory, "new", new(own));
        assert_eq!(run_under(&directory, &to, &key, &["import", "new"]).2, Some(0));
        let before = (chain_rows(&taken).await, client_rows(&taken).await);
        let found = refused(&directory, &to, &key, "a");
        let found: Vec<_> = found
            .iter()
            .map(|entry| (&entry["code"], &entry["path"], &entry["message"]))
            .collect();
        assert_eq!(
            found,
            [(&json!("TAKEN"), &json!("removedClient.encodedKey"), &json!(message))]
        );
        assert_eq!((chain_rows(&taken).await, client_rows(&taken).await), before);
        taken.stop().await;
    }
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "a"]),
        (summary(0, 0, 0), String::new(), Some(0))
    );
    file(&directory, "new", new(json!({ "encodedKey": deleted })));
    let message = "The client with this key was deleted or erased here: remove the line. Another key would store the \
        data again.";
    assert_eq!(
        refused(&directory, &to, &key, "new"),
        [entry(2, "TAKEN", "client.encodedKey", message, json!(deleted))]
    );
    let content = read(&directory, "a").replace("\"removedClients\":1", "\"removedClients\":2");
    file(&directory, "count", content);
    let (_, failure, status) = run_under(&directory, &to, &key, &["import", "count"]);
    let sentence = "clientele: the last line states 2 removed clients, and the file has 1\n";
    assert_eq!((&*failure, status), (sentence, Some(1)));
    other.stop().await;
}

async fn records_come_in_lines_of_bounded_size(server: &TestServer) {
    let mut large = json!({ "client": { "clientId": "large", "firstName": "Amara", "lastName": "B" } });
    // Each character has four bytes.
    for character in ["😀", "😁", "😂", "😃", "😄", "😅"] {
        large["client"]["notes"] = character.repeat(65_000).into();
        store(server, large.clone(), "version").await;
        large["matchOn"] = json!("CLIENT_ID");
    }
    let erased = client(server, "erased", 150).await;
    remove(server, "eraseClient", &erased).await;
    assert_copied(server).await;
    let directory = directory();
    let exported = run_under(&directory, &server.database_url(), "", &["export", "a"]);
    assert_eq!(exported.2, Some(0));
    let mut found = Vec::new();
    for line in read(&directory, "a").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let part = ["/history", "/removedClient/history"]
            .into_iter()
            .find_map(|part| line.pointer(part));
        let Some(records) = part.and_then(|part| part["records"].as_array()) else {
            continue;
        };
        let sizes = records
            .iter()
            .map(|record| record["contents"].as_str().map_or(0, str::len));
        let sizes: Vec<usize> = sizes.collect();
        let before_last: usize = sizes.iter().rev().skip(1).sum();
        assert!(before_last < 1 << 20, "{sizes:?}");
        found.push((line["history"]["position"].as_i64(), records.len()));
    }
    // An erased client has all records up to that of the erasure on one line.
    assert_eq!(found, [(None, 3), (Some(4), 3), (None, 151)]);
}
