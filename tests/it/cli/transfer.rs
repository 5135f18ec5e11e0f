//! `clientele export` and `clientele import`: the identity, refused lines, and files that are no export.

mod bad_files;
mod duplicates;
mod fill;
mod growth;
mod histories;
mod merged;
mod races;
mod references;
mod snapshot;
mod stored_lines;
mod taken;
mod templates;

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use clientele::db::{Database, DatabaseSettings};
use entity::{Table, audit_record, client};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::histories::assert_copied;

use self::fill::fill;
use crate::harness::{
    Settings, TestServer,
    graphql::{data, define_role, store},
    net,
    program::{clientele, directory, text},
};

/// Runs on a database. Returns standard output, standard error and the exit code.
fn run(directory: &TempDir, url: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    run_under(directory, url, "", arguments)
}

/// The same with this key of the audit log.
fn run_under(directory: &TempDir, url: &str, key: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = clientele(
        directory,
        arguments,
        &[
            ("CLIENTELE_LOG__FILTER", "off"),
            ("DATABASE_URL", url),
            ("CLIENTELE_AUDIT__KEY", key),
        ],
    );
    let output = command.stdin(Stdio::null()).output();
    let Output { stdout, stderr, status } = output.expect("the program starts");
    let stderr = text(stderr);
    net::standard_error(&stderr);
    (text(stdout), stderr, status.code())
}

fn failed(sentence: &str) -> (String, String, Option<i32>) {
    (String::new(), format!("clientele: {sentence}\n"), Some(1))
}

/// A file of this content in the directory.
fn file(directory: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    fs::write(directory.path().join(name), content).expect("written");
}

fn read(directory: &TempDir, name: &str) -> String {
    fs::read_to_string(directory.path().join(name)).expect("text")
}

/// The lines of a file of clients.
fn lines(clients: &[Value]) -> String {
    let first = json!({ "format": "clientele", "version": 1 });
    let last = json!({ "end": { "clients": clients.len() } });
    let all = [&first].into_iter().chain(clients).chain([&last]);
    all.map(|line| format!("{line}\n")).collect()
}

fn sqlite(directory: &TempDir) -> String {
    format!("sqlite:{}", directory.path().join("clientele.db").display())
}

/// An empty SQLite database.
fn empty(directory: &TempDir) -> String {
    let url = sqlite(directory);
    assert_eq!(run(directory, &url, &["migrate"]).2, Some(0));
    url
}

fn summary(stored: usize, known: usize, refused: usize) -> String {
    format!("clients stored: {stored}; stored before: {known}; lines refused: {refused}\n")
}

/// The same for clients that were stored from a file with histories, some of them without any.
fn summary_without(records: usize, stored: usize, known: usize, refused: usize) -> String {
    let summary = summary(stored, known, refused);
    format!("{summary}clients stored whose records the file doesn't have: {records}\n")
}

on_both!(
    import_of_an_export_is_the_identity,
    import_into_a_database_with_clients_changes_none,
    imported_client_has_a_history_and_can_be_changed,
);

async fn import_of_an_export_is_the_identity(server: &TestServer) {
    fill(server).await;
    let key = database_key(server).await;
    let directory = directory();
    let other = TestServer::start(server.backend, Settings::default())
        .await
        .expect("the same database");
    let (from, to) = (server.database_url(), other.database_url());
    assert_eq!(
        run(&directory, &from, &["export", "a"]),
        (String::new(), "clients written to a: 626\n".to_owned(), Some(0))
    );
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "a"]),
        (summary_without(620, 626, 0, 0), String::new(), Some(0))
    );
    assert_eq!(
        run(&directory, &to, &["export", "b"]),
        (String::new(), "clients written to b: 626\n".to_owned(), Some(0))
    );
    // The first line has the time.
    let (a, b) = (read(&directory, "a"), read(&directory, "b"));
    assert!(a.lines().skip(1).eq(b.lines().skip(1)), "{a}\n\n{b}");
    // To standard output, the number of clients is only in the last line.
    let (printed, errors, status) = run(&directory, &to, &["export", "-"]);
    assert_eq!((errors.as_str(), status), ("", Some(0)));
    assert!(printed.lines().skip(1).eq(b.lines().skip(1)), "{printed}");
    for carried in [
        r#""idPattern":"F-####""#,
        r#""allowsAddresses":false"#,
        r#""requiresIdDocument":true"#,
        r#""usage":"GROUPED""#,
        r#""position":0"#,
        r#""parentFieldId":"land""#,
        r#""unique":true"#,
        r#""score":"1.5""#,
        r#""state":"DEACTIVATED""#,
        r#""forValues":["S"]"#,
        r#""clientRoles":[{"clientRole":{"roleId":"vip"},"required":true}]"#,
        r#""mandatory":true"#,
        r#""active":false"#,
        r#""templateKey":"#,
        r#""groupIndex":1"#,
        r#""mergedIntoKey":"#,
        r#""state":"PENDING_APPROVAL""#,
        r#""state":"REJECTED""#,
        r#""state":"BLACKLISTED""#,
        r#""activatedAt":"#,
        r#""closedAt":"#,
    ] {
        assert!(a.contains(carried), "{carried}");
    }
    every_column_has_a_value(server).await;
    assert_eq!(client_rows(server).await, client_rows(&other).await);
    assert_eq!(chain_rows(server).await, chain_rows(&other).await);
    let (before, after) = (server.snapshot().await, other.snapshot().await);
    for table in [
        "address",
        "id_document",
        "custom_field_value",
        "client_id_claim",
        "client_role",
        "client_search",
        "custom_field",
        "custom_field_claim",
        "custom_field_role",
        "custom_field_set",
        "id_document_search",
        "id_document_template",
        "message_template",
    ] {
        assert_eq!(before.rows(table), after.rows(table), "{table}");
    }
    let intact = run_under(&directory, &to, &key, &["audit", "verify"]);
    assert!(intact.0.ends_with("the history is intact\n"), "{intact:?}");
    // Another run, and a pipe, store nothing again.
    assert_eq!(
        run_under(&directory, &to, &key, &["import", "a"]),
        (summary(0, 626, 0), String::new(), Some(0))
    );
    let program = env!("CARGO_BIN_EXE_clientele");
    let pipe = format!("'{program}' export --database-url '{from}' | '{program}' import - --database-url '{to}'");
    let piped = Command::new("sh")
        .current_dir(directory.path())
        .env_clear()
        .env("CLIENTELE_AUDIT__KEY", &key)
        .args(["-c", &pipe])
        .output();
    assert_eq!(text(piped.expect("sh").stdout), summary(0, 626, 0));
    assert_eq!(other.snapshot().await, after);
    other.stop().await;
}

/// The key that seals the audit log of a server without a configured one.
async fn database_key(server: &TestServer) -> String {
    let row = server.services.db.read().one("SELECT key FROM audit_key", []).await;
    row.expect("it is read")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a text")
}

/// All clients, with all columns and the ends of their audit chains.
async fn client_rows(server: &TestServer) -> Vec<String> {
    let columns = format!("{}, history_head, history_count", client::Entity::columns().join(", "));
    rows(server, &columns, "client ORDER BY encoded_key").await
}

/// The audit records of all clients, and the ends of the chains of removed ones.
async fn chain_rows(server: &TestServer) -> Vec<String> {
    let columns = audit_record::Entity::columns().join(", ");
    let mut all = rows(
        server,
        &columns,
        "audit_record WHERE chain < '~' ORDER BY chain, position",
    )
    .await;
    all.extend(
        rows(
            server,
            "chain, head, count",
            "audit_chain WHERE chain < '~' ORDER BY chain",
        )
        .await,
    );
    all
}

async fn rows(server: &TestServer, columns: &str, from: &str) -> Vec<String> {
    let connection = server.services.db.read();
    let row = connection.dialect.json_array(columns);
    let row = connection.dialect.cast_to_text(&row);
    let rows = connection
        .all(format!("SELECT {row} FROM {from}"), [])
        .await
        .expect("rows");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("a text"))
        .collect()
}

/// Otherwise an export without the column would pass.
async fn every_column_has_a_value(server: &TestServer) {
    for column in client::Entity::columns() {
        let sql = format!("SELECT 1 FROM client WHERE client_id = 'left' AND {column} IS NOT NULL");
        let row = server.services.db.read().one(sql, []).await.expect("a column");
        assert!(row.is_some(), "no imported client has {column}: give it one in fill.rs");
    }
}

async fn import_into_a_database_with_clients_changes_none(server: &TestServer) {
    define_role(server, json!({ "roleId": "vip", "name": "Mine" })).await;
    let taken = json!({ "client": { "encodedKey": "k1", "clientId": "A", "firstName": "Amara", "lastName": "B" } });
    let directory = directory();
    file(&directory, "one", lines(&[taken]));
    let url = server.database_url();
    assert_eq!(
        run(&directory, &url, &["import", "one"]),
        (summary(1, 0, 0), String::new(), Some(0))
    );
    let before = server.snapshot().await;
    file(
        &directory,
        "two",
        lines(&[
            json!({ "clientRole": { "roleId": "vip", "name": "Theirs" } }),
            json!({ "client": { "encodedKey": "k1", "clientId": "A", "firstName": "Zoe", "lastName": "B" } }),
        ])
        .replace("{\"clients\":2}", "{\"clients\":1}"),
    );
    assert_eq!(
        run(&directory, &url, &["import", "two"]),
        (summary(0, 1, 0), String::new(), Some(0))
    );
    assert_eq!(server.snapshot().await, before);
}

async fn imported_client_has_a_history_and_can_be_changed(server: &TestServer) {
    let client = json!({ "client": { "encodedKey": "legacyKey1", "clientId": "L-1", "firstName": "Amara", "lastName":
        "B", "state": "EXITED", "version": 7, "createdAt": "2001-02-03T04:05:06Z", "closedAt":
        "2011-02-03T04:05:06.5+02:00" }, "idDocuments": [{ "encodedKey": "d1", "documentType": "Card", "documentId":
        "7" }] });
    let directory = directory();
    file(&directory, "one", lines(&[client]));
    let url = server.database_url();
    assert_eq!(
        run(&directory, &url, &["import", "one"]),
        (summary(1, 0, 0), String::new(), Some(0))
    );
    let query = "{ client(by: { encodedKey: \"legacyKey1\" }) { clientId state version createdAt closedAt
        idDocuments { encodedKey } history { nodes { action door } } } }";
    let found = data(server, query, json!({})).await;
    assert_eq!(
        found["client"],
        json!({ "clientId": "L-1", "state": "EXITED", "version": 7,
        "createdAt": "2001-02-03T04:05:06Z", "closedAt": "2011-02-03T02:05:06.500Z",
        "idDocuments": [{ "encodedKey": "d1" }],
        "history": { "nodes": [{ "action": "CREATED", "door": "COMMAND_LINE" }] } })
    );
    let change = json!({ "client": { "encodedKey": "legacyKey1", "notes": "n" }, "expectedVersion": 7 });
    assert_eq!(store(server, change, "version").await, json!({ "version": 8 }));
    let intact = run(&directory, &url, &["audit", "verify"]);
    assert!(intact.0.ends_with("the history is intact\n"), "{intact:?}");
}

#[test]
fn refused_lines_are_reported_and_the_others_are_stored() {
    let directory = directory();
    let url = empty(&directory);
    let named = |members: Value| {
        let mut client = json!({ "firstName": "Amara", "lastName": "Bellweather" });
        for (name, value) in members.as_object().expect("an object") {
            client[name] = value.clone();
        }
        client
    };
    let clients = [
        json!({ "client": named(json!({ "encodedKey": "k1", "clientId": "A" })) }),
        json!({ "client": named(json!({ "encodedKey": "k2", "clientId": "A" })) }),
        json!({ "client": named(json!({ "encodedKey": "k3", "emailAddress": "nowhere" })),
            "customInformation": [{ "fieldId": "none", "value": "1" }] }),
        json!({ "client": named(json!({ "encodedKey": "k4", "hobby": "secret" })) }),
        json!({ "client": named(json!({ "encodedKey": "k5", "birthDate": "secret" })) }),
        json!({ "client": named(json!({ "encodedKey": "k6", "version": 0 })) }),
        json!({ "client": named(json!({ "encodedKey": "k7", "state": "secret" })) }),
        json!({ "client": named(json!({ "encodedKey": "no key" })) }),
        json!({ "client": named(json!({ "encodedKey": "k9", "createdAt": "secret" })) }),
        json!({ "client": named(json!({ "encodedKey": "kA" })), "matchOn": "CLIENT_ID" }),
        json!({ "client": named(json!({ "encodedKey": "kB" })), "idDocuments": [{ "encodedKey": 7 }] }),
        json!({ "secret": 1 }),
        json!({ "client": named(json!({ "encodedKey": "kC" })) }),
    ];
    let content = lines(&clients).replacen("{\"secret\":1}", "{\"secret\":", 1);
    file(&directory, "clients", &content);
    let refused = "clientele: lines that were refused: 11. Correct them and run the import again\n";
    let arguments = ["import", "clients", "--report", "report"];
    assert_eq!(
        run(&directory, &url, &arguments),
        (summary(2, 0, 11), refused.to_owned(), Some(1))
    );
    let report = read(&directory, "report");
    assert!(
        !report.contains("secret") && net::planted(&report).is_none(),
        "{report}"
    );
    let entries: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let mut found: Vec<(u64, &str, &str, &Value)> = entries
        .iter()
        .map(|entry| {
            assert!(
                entry["message"].as_str().is_some_and(|message| message.ends_with('.')),
                "{entry}"
            );
            let text = |name: &str| entry[name].as_str().expect("a text");
            (
                entry["line"].as_u64().expect("a number"),
                text("code"),
                text("path"),
                &entry["client"],
            )
        })
        .collect();
    found.sort_by_key(|(line, ..)| *line);
    let key = |key: &str| json!(key);
    let keys = ["k2", "k3", "k4", "k5", "k6", "k7", "no key", "k9", "kA", "kB"].map(key);
    assert_eq!(
        found,
        [
            (3, "TAKEN", "client.clientId", &keys[0]),
            (4, "NOT_AN_EMAIL_ADDRESS", "client.emailAddress", &keys[1]),
            (4, "NOT_FOUND", "customInformation.0.fieldId", &keys[1]),
            (5, "INVALID", "client.hobby", &keys[2]),
            (6, "MALFORMED", "client.birthDate", &keys[3]),
            (7, "MALFORMED", "client.version", &keys[4]),
            (8, "MALFORMED", "client.state", &keys[5]),
            (9, "MALFORMED", "client.encodedKey", &keys[6]),
            (10, "MALFORMED", "client.createdAt", &keys[7]),
            (11, "INVALID", "matchOn", &keys[8]),
            (12, "MALFORMED", "idDocuments.0.encodedKey", &keys[9]),
            (13, "MALFORMED", "", &Value::Null),
        ]
    );
    // The report isn't replaced, and a corrected file stores the rest.
    assert_eq!(
        run(&directory, &url, &arguments),
        failed("report exists: name another report, or replace it with --force")
    );
    let again = run(
        &directory,
        &url,
        &["import", "clients", "--report", "report", "--force"],
    );
    assert_eq!(again, (summary(0, 2, 11), refused.to_owned(), Some(1)));
    assert_eq!(read(&directory, "report"), report);
}

#[test]
fn file_that_is_no_export_is_refused_with_its_reason() {
    let directory = directory();
    let url = empty(&directory);
    let client = json!({ "client": { "encodedKey": "k1", "firstName": "Amara", "lastName": "Bellweather" } });
    let whole = lines(std::slice::from_ref(&client));
    let cut_off = &whole[..whole.rfind("{\"end\"").expect("an end")];
    for (name, content) in [
        ("empty", ""),
        ("later", "{\"format\":\"clientele\",\"version\":2}\n"),
        ("other", "id,name\n1,Amara\n"),
        ("clients", &client.to_string()),
    ] {
        file(&directory, name, content);
    }
    let first = "the first line must be {\"format\":\"clientele\",\"version\":1}: the file is not one that \
                 `clientele export` writes";
    for (name, sentence) in [
        ("missing", "can't read missing: No such file or directory (os error 2)"),
        (".", "can't read .: is a directory"),
        (
            "later",
            "the file has version 2 of the format, and this program reads version 1: use the version of the program \
             that wrote it",
        ),
        ("other", first),
        ("clients", first),
    ] {
        assert_eq!(run(&directory, &url, &["import", name]), failed(sentence), "{name}");
    }
    let (printed, log, code) = run(&directory, &url, &["import", "empty"]);
    assert_eq!(
        (printed, &*log, code),
        (summary(0, 0, 0), "clientele: the file is empty\n", Some(1))
    );
    file(&directory, "cut", cut_off);
    let sentence = "the file has no last line with the number of clients: it was cut off, or is still being written";
    let expected = (summary(1, 0, 0), format!("clientele: {sentence}\n"), Some(1));
    assert_eq!(run(&directory, &url, &["import", "cut"]), expected);
    file(&directory, "count", whole.replace("{\"clients\":1}", "{\"clients\":2}"));
    let sentence = "the last line states 2 clients, and the file has 1";
    let expected = (summary(0, 1, 0), format!("clientele: {sentence}\n"), Some(1));
    assert_eq!(run(&directory, &url, &["import", "count"]), expected);
    let end = &whole[cut_off.len()..];
    file(
        &directory,
        "binary",
        [cut_off.as_bytes(), b"\xff\n", end.as_bytes()].concat(),
    );
    let (_, log, code) = run(&directory, &url, &["import", "binary"]);
    assert!(
        log.contains("The line is not text in UTF-8, or has more than 64 MiB."),
        "{log}"
    );
    assert_eq!(code, Some(1));
    let set = json!({ "customFieldSet": { "set": { "setId": "s" }, "fields": [] } });
    file(&directory, "set", lines(&[set]));
    let other = TempDir::new().expect("a directory");
    let (_, log, code) = run(&directory, &empty(&other), &["import", "set"]);
    let sentence = "the definition on line 2 is refused, so that its clients can't be stored\n";
    assert!(
        log.contains("\"path\":\"set.name\"") && log.ends_with(sentence),
        "{log}"
    );
    assert_eq!(code, Some(1));
}

/// An entry of the report.
fn entry(line: u64, code: &str, path: &str, message: &str, client: Value) -> Value {
    json!({ "line": line, "code": code, "path": path, "message": message, "client": client })
}

#[test]
fn lines_after_the_last_one_and_members_twice_are_refused() {
    let directory = directory();
    let url = empty(&directory);
    let line = |key: &str| json!({ "client": { "encodedKey": key, "firstName": "Amara", "lastName": "B" } });
    let with = |line: Value, member: &str, instead: &str| {
        let line = line.to_string();
        assert!(line.contains(member), "{line}");
        line.replacen(member, instead, 1)
    };
    let mut at = line("k2");
    at["addresses"] = json!([{}, { "city": "a" }]);
    let twice = [
        with(line("k1"), "{\"encodedKey\"", "{\"lastName\":\"C\",\"encodedKey\""),
        with(at, "\"city\"", "\"city\":\"b\",\"ci\\u0074y\""),
        r#"{"end":{"clients":1},"end":{"clients":2}}"#.to_owned(),
    ];
    let content = lines(&[line("k3")]).replacen("\n", &format!("\n{}\n", twice.join("\n")), 1);
    let content = format!("{content}\n{}\n{{\"end\":{{\"clients\":1}}}}\nno JSON\n", line("k4"));
    file(&directory, "clients", content);
    let imported = run(&directory, &url, &["import", "clients", "--report", "report"]);
    let sentence = "clientele: lines that were refused: 6. Correct them and run the import again\n";
    assert_eq!(imported, (summary(1, 0, 6), sentence.to_owned(), Some(1)));
    let report = read(&directory, "report");
    let entries = report.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let twice = "The line has this member twice: leave one of them out.";
    let late = "The line is after the last one, which has the number of clients: import other files by themselves.";
    assert_eq!(
        entries.collect::<Vec<Value>>(),
        [
            entry(2, "MALFORMED", "client.lastName", twice, json!("k1")),
            entry(3, "MALFORMED", "addresses.1.city", twice, json!("k2")),
            entry(4, "MALFORMED", "end", twice, Value::Null),
            entry(8, "INVALID", "", late, Value::Null),
            entry(9, "INVALID", "", late, Value::Null),
            entry(10, "INVALID", "", late, Value::Null),
        ]
    );
}

#[test]
fn export_writes_into_no_file_of_another() {
    let directory = directory();
    let url = sqlite(&directory);
    assert_eq!(run(&directory, &url, &["seed", "--clients", "1"]).2, Some(0));
    file(&directory, "theirs", "theirs");
    std::os::unix::fs::symlink("theirs", directory.path().join("link.partial")).expect("a link");
    file(&directory, "file.partial", "theirs");
    for name in ["link", "file"] {
        let sentence =
            format!("{name}.partial exists: another command writes it, or was killed. Then remove it and try again");
        assert_eq!(run(&directory, &url, &["export", name, "--force"]), failed(&sentence));
        assert_eq!(read(&directory, &format!("{name}.partial")), "theirs");
    }
}

#[test]
fn export_replaces_no_file_and_is_complete_or_absent() {
    let directory = directory();
    let url = sqlite(&directory);
    assert_eq!(run(&directory, &url, &["seed", "--clients", "3000"]).2, Some(0));
    file(&directory, "taken", "mine");
    assert_eq!(
        run(&directory, &url, &["export", "taken"]),
        failed("taken exists: name another file, or replace it with --force")
    );
    assert_eq!(read(&directory, "taken"), "mine");
    let nowhere = "can't write missing/file: No such file or directory (os error 2)";
    assert_eq!(run(&directory, &url, &["export", "missing/file"]), failed(nowhere));
    // A limit on file sizes is a full disk.
    let program = env!("CARGO_BIN_EXE_clientele");
    let script = format!("ulimit -f 512; exec '{program}' export full --database-url '{url}'");
    let mut command = Command::new("sh");
    let output = command
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", &script])
        .output()
        .expect("sh");
    assert_eq!(output.status.code(), Some(1));
    let log = text(output.stderr);
    assert!(log.starts_with("clientele: can't write full: File too large"), "{log}");
    let mut names: Vec<String> = fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["clientele.db", "taken"]);
    assert_eq!(run(&directory, &url, &["export", "taken", "--force"]).2, Some(0));
    let content = read(&directory, "taken");
    assert!(content.ends_with("{\"end\":{\"clients\":3000,\"removedClients\":0}}\n"));
    assert_eq!(
        run(&directory, &url, &["export"]).0.lines().skip(1).collect::<Vec<_>>(),
        content.lines().skip(1).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn interrupted_import_is_completed_by_another_run() {
    let directory = directory();
    let url = empty(&directory);
    let client =
        |n: usize| json!({ "client": { "encodedKey": format!("k{n}"), "firstName": "Amara", "lastName": "B" } });
    let all: Vec<Value> = (0..1_400).map(client).collect();
    let content = lines(&all);
    file(&directory, "all", &content);
    let mut command = clientele(
        &directory,
        &["import", "-"],
        &[("CLIENTELE_LOG__FILTER", "off"), ("DATABASE_URL", &url)],
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    let beginning: String = content.split_inclusive('\n').take(1_100).collect();
    input.write_all(beginning.as_bytes()).expect("the program reads");
    // The lines are stored 1,000 at a time, and the first one is no client.
    let database = Database::connect(&url, &DatabaseSettings::default())
        .await
        .expect("it opens");
    let count = async || {
        let row = database
            .read()
            .one("SELECT count(*) FROM client", [])
            .await
            .expect("it is read");
        row.expect("a row").try_get_by_index::<i64>(0).expect("a number")
    };
    while count().await < 999 {}
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &id])
            .status()
            .expect("kill")
            .success()
    );
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (text(output.stderr).as_str(), output.status.code()),
        ("clientele: stopped by SIGINT\n", Some(130))
    );
    drop(input);
    assert_eq!(count().await, 999);
    database.close().await;
    assert_eq!(
        run(&directory, &url, &["import", "all"]),
        (summary(401, 999, 0), String::new(), Some(0))
    );
}
