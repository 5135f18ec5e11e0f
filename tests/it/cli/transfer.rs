//! `clientele export` and `clientele import`: the identity, refused lines, and files that are no export.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use clientele::db::{Database, DatabaseSettings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Settings, TestServer,
    graphql::{data, define, define_document_template, define_role, define_template, store, store_key},
    net,
    program::{clientele, directory, text},
};

/// Runs on a database. Returns standard output, standard error and the exit code.
fn run(directory: &TempDir, url: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = clientele(
        directory,
        arguments,
        &[("CLIENTELE_LOG__FILTER", "off"), ("DATABASE_URL", url)],
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

on_both!(
    import_of_an_export_is_the_identity,
    import_into_a_database_with_clients_changes_none,
    import_refuses_taken_values_and_keys_of_removed_clients,
    imported_client_has_a_history_and_can_be_changed,
);

/// Definitions of every kind, and clients with everything.
async fn fill(server: &TestServer) {
    server.seed(620).await;
    define_role(
        server,
        json!({ "roleId": "vip", "encodedKey": "vipKey", "name": "VIP", "description": "of some", "isDefault": true }),
    )
    .await;
    let fields = json!([
        { "fieldId": "nick", "name": "Nick", "type": "TEXT", "description": "d", "pattern": "@@", "maxLength": 9 },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        { "fieldId": "old", "name": "Old", "type": "NUMBER" },
        { "fieldId": "band", "name": "Band", "type": "SELECTION", "options": [{ "value": "a" }, { "value": "b" }] }]);
    define(server, "facts", fields.clone()).await;
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "active": false, "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T {CF:nick}", "html": "H" }],
        "conditions": { "states": ["EXITED"], "clientRoles": [{ "roleId": "vip" }],
            "customFields": [{ "fieldId": "nick", "value": "Al" }] } });
    define_template(server, template).await;
    let ana = json!({ "client": { "clientId": "ana 1", "firstName": "Ana", "lastName": "Cruz", "notes": "a\nb\t\"ü\"",
            "birthDate": "1990-02-01" },
        "addresses": [{ "line1": "1 Test Lane", "latitude": 0.1, "longitude": -123.456789012345 }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "X1", "validUntil": "2034-01-31" },
            { "documentType": "Card", "documentId": "X2" }],
        "customInformation": [{ "fieldId": "old", "value": "12.50" }, { "fieldId": "nick", "value": "Al" },
            { "fieldId": "boss", "linkedKey": "01900000000070008000000000000000" },
            { "fieldId": "band", "value": "b" }] });
    let key = store_key(server, ana).await;
    store(
        server,
        json!({ "client": { "encodedKey": key, "clientRole": null } }),
        "version",
    )
    .await;
    // Values that no new client could have.
    let mut fields = fields;
    fields[2]["state"] = json!("DEACTIVATED");
    fields[3]["options"] = json!([{ "value": "a" }]);
    fields
        .as_array_mut()
        .expect("a list")
        .push(json!({ "fieldId": "must", "name": "Must", "type": "TEXT",
        "required": true }));
    define(server, "facts", fields).await;
}

/// Grouped sets, dependent selections, unique values, rules of roles, templates of documents, and states.
async fn fill_rules(server: &TestServer) {
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    let card = json!({ "templateId": "card", "documentType": "Card", "issuingAuthority": "A", "pattern": "#" });
    define_document_template(server, card).await;
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code message path } } }";
    let option = |value: &str, of: Value| json!({ "value": value, "forValues": of });
    let mut set = json!({ "set": { "setId": "jobs", "name": "Jobs", "usage": "GROUPED", "position": 0 }, "fields": [
        { "fieldId": "town", "name": "Town", "type": "SELECTION", "parentFieldId": "land",
            "options": [option("Oslo", json!(["N"])), option("any", json!([]))] },
        { "fieldId": "land", "name": "Land", "type": "SELECTION",
            "options": [{ "value": "N", "score": "1.5" }, { "value": "S", "state": "DEACTIVATED" }] },
        { "fieldId": "tax", "name": "Tax", "type": "NUMBER", "unique": true, "required": true },
        { "fieldId": "desk", "name": "Desk", "type": "TEXT",
            "clientRoles": [{ "clientRole": { "roleId": "firm" }, "required": true },
                { "clientRole": { "roleId": "vip" }, "required": false }] }] });
    let defined = json!({ "upsertCustomFieldSet": { "userErrors": [] } });
    assert_eq!(data(server, query, json!({ "input": set })).await, defined);
    let key = "{ idDocumentTemplates { encodedKey } }";
    let key = data(server, key, json!({})).await["idDocumentTemplates"][0]["encodedKey"].take();
    let value = |group: i32, id: &str, value: &str| json!({ "fieldId": id, "groupIndex": group, "value": value });
    let client = |id: &str| json!({ "clientId": id, "firstName": "Firm", "lastName": "B" });
    let mut firm = client("firm 1");
    firm["clientRole"] = json!({ "roleId": "firm" });
    let must = json!({ "fieldId": "must", "value": "1" });
    let firm = json!({ "client": firm, "addresses": [{ "city": "Oslo" }],
        "idDocuments": [{ "documentType": "Card", "documentId": "7", "templateKey": key }],
        "customInformation": [must, value(0, "land", "N"), value(0, "tax", "12.50"), value(0, "town", "Oslo"),
            value(0, "desk", "d"), value(1, "tax", "7"), value(1, "desk", "e")] });
    store(server, firm, "version").await;
    for (id, states) in [
        ("left", &["ACTIVE", "EXITED"][..]),
        ("new", &["PENDING_APPROVAL"]),
        ("barred", &["BLACKLISTED"]),
        ("refused", &["PENDING_APPROVAL", "REJECTED"]),
    ] {
        let input = json!({ "client": client(id), "customInformation": [must] });
        store(server, input, "version").await;
        for state in states {
            let change = "mutation($input: ChangeClientStateInput!) { changeClientState(input: $input) { userErrors { \
                code } } }";
            let input = json!({ "by": { "clientId": id }, "state": state });
            let changed = data(server, change, json!({ "input": input })).await;
            assert_eq!(changed, json!({ "changeClientState": { "userErrors": [] } }));
        }
    }
    // Rules that the stored clients break.
    set["fields"][3]["clientRoles"] = json!([{ "clientRole": { "roleId": "vip" }, "required": true }]);
    set["fields"][0]["options"] = json!([option("Rome", json!(["S"]))]);
    assert_eq!(data(server, query, json!({ "input": set })).await, defined);
    let rules = json!({ "roleId": "firm", "idPattern": "F-####", "allowsAddresses": false });
    define_role(server, rules).await;
    define_role(server, json!({ "roleId": "vip", "requiresIdDocument": true })).await;
    let card = json!({ "templateId": "card", "documentType": "ID", "pattern": "@", "active": false });
    define_document_template(server, card).await;
    let pass = json!({ "templateId": "pass", "documentType": "Passport", "mandatory": true });
    define_document_template(server, pass).await;
}

async fn import_of_an_export_is_the_identity(server: &TestServer) {
    fill(server).await;
    fill_rules(server).await;
    let directory = directory();
    let other = TestServer::start(server.backend, Settings::default())
        .await
        .expect("the same database");
    let (from, to) = (server.database_url(), other.database_url());
    assert_eq!(
        run(&directory, &from, &["export", "a"]),
        (String::new(), String::new(), Some(0))
    );
    assert_eq!(
        run(&directory, &to, &["import", "a"]),
        (summary(626, 0, 0), String::new(), Some(0))
    );
    assert_eq!(
        run(&directory, &to, &["export", "b"]),
        (String::new(), String::new(), Some(0))
    );
    // The first line has the time.
    let (a, b) = (read(&directory, "a"), read(&directory, "b"));
    assert!(a.lines().skip(1).eq(b.lines().skip(1)), "{a}\n\n{b}");
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
        r#""state":"PENDING_APPROVAL""#,
        r#""state":"REJECTED""#,
        r#""state":"BLACKLISTED""#,
        r#""activatedAt":"#,
        r#""closedAt":"#,
    ] {
        assert!(a.contains(carried), "{carried}");
    }
    let (before, after) = (server.snapshot().await, other.snapshot().await);
    for table in [
        "address",
        "id_document",
        "custom_field_value",
        "client_id_claim",
        "client_role",
        "custom_field",
        "custom_field_claim",
        "custom_field_role",
        "custom_field_set",
        "id_document_template",
    ] {
        assert_eq!(before.rows(table), after.rows(table), "{table}");
    }
    let intact = run(&directory, &to, &["audit", "verify"]);
    assert!(intact.0.ends_with("the history is intact\n"), "{intact:?}");
    // Another run, and a pipe, store nothing again.
    assert_eq!(
        run(&directory, &to, &["import", "a"]),
        (summary(0, 626, 0), String::new(), Some(0))
    );
    let program = env!("CARGO_BIN_EXE_clientele");
    let pipe = format!("'{program}' export --database-url '{from}' | '{program}' import - --database-url '{to}'");
    let piped = Command::new("sh")
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", &pipe])
        .output();
    assert_eq!(text(piped.expect("sh").stdout), summary(0, 626, 0));
    assert_eq!(other.snapshot().await, after);
    other.stop().await;
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
            json!({ "client": { "encodedKey": "k1", "clientId": "Z", "firstName": "Zoe", "lastName": "B" } }),
        ])
        .replace("{\"clients\":2}", "{\"clients\":1}"),
    );
    assert_eq!(
        run(&directory, &url, &["import", "two"]),
        (summary(0, 1, 0), String::new(), Some(0))
    );
    assert_eq!(server.snapshot().await, before);
}

async fn import_refuses_taken_values_and_keys_of_removed_clients(server: &TestServer) {
    let fields = json!([{ "fieldId": "tax", "name": "Tax", "type": "NUMBER", "unique": true },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK", "unique": true }]);
    define(server, "facts", fields).await;
    let name = |id: &str| json!({ "clientId": id, "firstName": "Amara", "lastName": "B" });
    let first = json!({ "client": name("first"), "customInformation": [{ "fieldId": "tax", "value": "1.5" }] });
    store(server, first, "version").await;
    let mut removed = Vec::new();
    for mutation in ["deleteClient", "eraseClient"] {
        let key = store_key(server, json!({ "client": name("gone") })).await;
        let query =
            format!("mutation {{ {mutation}(input: {{ by: {{ clientId: \"gone\" }} }}) {{ userErrors {{ code }} }} }}");
        let done = data(server, &query, json!({})).await;
        assert_eq!(done, json!({ mutation: { "userErrors": [] } }));
        removed.push(key);
    }
    let before = server.snapshot().await;
    let line = |key: &str, member: &str, field: &str, value: &str| {
        json!({ "client": { "encodedKey": key, "firstName": "Amara", "lastName": "B" },
            "customInformation": [{ "fieldId": field, member: value }] })
    };
    let gone = |key: &str| json!({ "client": { "encodedKey": key, "firstName": "Amara", "lastName": "B" } });
    let stored = line("k1", "value", "tax", "7");
    let clients = [
        line("k2", "value", "tax", "1.50"),
        gone(&removed[0]),
        gone(&removed[1]),
        line("k3", "linkedKey", "boss", "k1"),
        line("k4", "linkedKey", "boss", "k1"),
        stored.clone(),
        line("k5", "value", "tax", "07"),
    ];
    let directory = directory();
    let url = server.database_url();
    let expected = |value: &str, key: [&str; 2]| {
        let entry = |line: u64, path: &str, message: &str, client: &str| json!({ "line": line, "code": "TAKEN", "path": path, "message": message, "client": client });
        let taken = |field: &str| format!("Another client has this value of the field {field}, which must be unique.");
        let of_removed = "The client with this key was deleted or erased, and no other client can get its key.";
        [
            entry(2, value, &taken("tax"), "k2"),
            entry(3, "client.encodedKey", of_removed, key[0]),
            entry(4, "client.encodedKey", of_removed, key[1]),
            entry(6, "customInformation.0.linkedKey", &taken("boss"), "k4"),
            entry(8, value, &taken("tax"), "k5"),
        ]
    };
    let header = "{\"format\":\"clientele\",\"version\":1}";
    let content = lines(&clients);
    let sentence = "clientele: lines that were refused: 5. Correct them and run the import again\n";
    for (name, content, summary) in [
        ("new", content.clone(), summary(2, 0, 5)),
        (
            "stored",
            content
                .replace(header, "{\"format\":\"clientele\",\"version\":1,\"stored\":true}")
                .replace("1.50", "1.5"),
            summary(0, 2, 5),
        ),
    ] {
        file(&directory, name, content);
        let report = format!("{name}.report");
        let imported = run(&directory, &url, &["import", name, "--report", &report]);
        assert_eq!(imported, (summary, sentence.to_owned(), Some(1)), "{name}");
        let entries: Vec<Value> = read(&directory, &report)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let place = "customInformation.0.value";
        assert_eq!(entries, expected(place, [&removed[0], &removed[1]]), "{name}");
    }
    // The stored client has its claims, which no other client gets.
    let after = server.snapshot().await;
    let claims = "custom_field_claim";
    assert_eq!(after.rows(claims).len(), before.rows(claims).len() + 2);
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    let mut other = stored;
    other["client"] = name("other");
    let refused = data(server, query, json!({ "input": other })).await;
    assert_eq!(
        refused,
        json!({ "upsertClient": { "userErrors": [{ "code": "TAKEN" }] } })
    );
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
            (6, "MALFORMED", "", &keys[3]),
            (7, "MALFORMED", "client.version", &keys[4]),
            (8, "MALFORMED", "client.state", &keys[5]),
            (9, "MALFORMED", "client.encodedKey", &keys[6]),
            (10, "MALFORMED", "client", &keys[7]),
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
    file(&directory, "binary", [whole.as_bytes(), b"\xff\n"].concat());
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
    let nowhere = "can't write missing/file.partial: No such file or directory (os error 2)";
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
    assert!(
        log.starts_with("clientele: can't write full.partial: File too large"),
        "{log}"
    );
    let mut names: Vec<String> = fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["clientele.db", "taken"]);
    assert_eq!(run(&directory, &url, &["export", "taken", "--force"]).2, Some(0));
    let content = read(&directory, "taken");
    assert!(content.ends_with("{\"end\":{\"clients\":3000}}\n"));
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
    let all: Vec<Value> = (0..900).map(client).collect();
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
    let beginning: String = content.split_inclusive('\n').take(600).collect();
    input.write_all(beginning.as_bytes()).expect("the program reads");
    // The lines are stored 500 at a time, and the first one is no client.
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
    while count().await < 499 {}
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
    assert_eq!(count().await, 499);
    database.close().await;
    assert_eq!(
        run(&directory, &url, &["import", "all"]),
        (summary(401, 499, 0), String::new(), Some(0))
    );
}
