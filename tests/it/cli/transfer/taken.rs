//! Lines with unique values and keys that other clients have or had.

use serde_json::{Value, json};

use super::{file, lines, read, run, summary};
use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, store, store_key},
    program::directory,
    with,
};

on_both!(
    taken_values_and_keys_of_removed_clients_are_refused,
    no_client_gets_the_id_of_another_as_its_key,
    generated_ids_are_no_names_of_the_same_list,
    generated_ids_of_a_short_pattern_are_all_used,
);

fn name(id: &str) -> Value {
    json!({ "clientId": id, "firstName": "Amara", "lastName": "B" })
}

/// The line of a client with one value.
fn line(key: &str, field: &str, member: &str, value: &str) -> Value {
    json!({ "client": { "encodedKey": key, "firstName": "Amara", "lastName": "B" },
        "customInformation": [{ "fieldId": field, member: value }] })
}

/// Stores a client and removes it. Returns its key.
async fn removed(server: &TestServer, mutation: &str) -> String {
    let key = store_key(server, json!({ "client": name("gone") })).await;
    let query =
        format!("mutation {{ {mutation}(input: {{ by: {{ clientId: \"gone\" }} }}) {{ userErrors {{ code }} }} }}");
    let done = data(server, &query, json!({})).await;
    assert_eq!(done, json!({ mutation: { "userErrors": [] } }));
    key
}

/// An entry of the report.
fn refused(line: u64, path: &str, message: &str, client: &str) -> Value {
    json!({ "line": line, "code": "TAKEN", "path": path, "message": message, "client": client })
}

async fn taken_values_and_keys_of_removed_clients_are_refused(server: &TestServer) {
    let fields = json!([{ "fieldId": "tax", "name": "Tax", "type": "NUMBER", "unique": true },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK", "unique": true }]);
    define(server, "facts", fields).await;
    let first = json!({ "client": name("first"), "customInformation": [{ "fieldId": "tax", "value": "1.5" }] });
    store(server, first, "version").await;
    let deleted = removed(server, "deleteClient").await;
    let erased = removed(server, "eraseClient").await;
    let before = server.snapshot().await;
    let lines_of = |number: &str| {
        lines(&[
            line("k2", "tax", "value", number),
            line(&deleted, "tax", "value", "8"),
            line(&erased, "tax", "value", "9"),
            line("k3", "boss", "linkedKey", "k1"),
            line("k4", "boss", "linkedKey", "k1"),
            line("k1", "tax", "value", "7"),
            line("k5", "tax", "value", "07"),
            json!({ "client": { "encodedKey": "k6", "clientId": deleted, "firstName": "Amara", "lastName": "B" } }),
        ])
    };
    let value = "customInformation.0.value";
    let tax = "Another client has this value of the field tax, which must be unique.";
    let boss = "Another client has this value of the field boss, which must be unique.";
    let gone = "The client with this key was deleted or erased here: remove the line. Another key would store the \
        data again.";
    let id = "Another client has this clientId: choose another, or leave it out to have one generated.";
    let expected = [
        refused(2, value, tax, "k2"),
        refused(3, "client.encodedKey", gone, &deleted),
        refused(4, "client.encodedKey", gone, &erased),
        refused(6, "customInformation.0.linkedKey", boss, "k4"),
        refused(8, value, tax, "k5"),
        refused(9, "client.clientId", id, "k6"),
    ];
    let (directory, url) = (directory(), server.database_url());
    let sentence = "clientele: lines that were refused: 6. Correct them and run the import again\n";
    let as_exported = lines_of("1.5").replacen("\"version\":1", "\"version\":1,\"stored\":true", 1);
    for (name, content, summary) in [
        ("new", lines_of("1.50"), summary(2, 0, 6)),
        ("exported", as_exported, summary(0, 2, 6)),
    ] {
        file(&directory, name, content);
        let report = format!("{name}.report");
        let imported = run(&directory, &url, &["import", name, "--report", &report]);
        assert_eq!(imported, (summary, sentence.to_owned(), Some(1)), "{name}");
        let report = read(&directory, &report);
        let entries = report.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        assert_eq!(entries.collect::<Vec<Value>>(), expected, "{name}");
    }
    // The stored clients have their values, which no other client gets.
    let (claims, after) = ("custom_field_claim", server.snapshot().await);
    assert_eq!(after.rows(claims).len(), before.rows(claims).len() + 2);
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    let other = json!({ "client": name("other"), "customInformation": [{ "fieldId": "tax", "value": "7" }] });
    let answer = data(server, query, json!({ "input": other })).await;
    assert_eq!(
        answer,
        json!({ "upsertClient": { "userErrors": [{ "code": "TAKEN" }] } })
    );
}

/// Ten clients of the role have room, of which one is stored.
async fn generated_ids_of_a_short_pattern_are_all_used(server: &TestServer) {
    define_role(server, json!({ "roleId": "vip", "name": "VIP", "idPattern": "V#" })).await;
    let vip = |own: Value| {
        let client = json!({ "firstName": "Amara", "lastName": "B", "clientRole": { "roleId": "vip" } });
        json!({ "client": with(client, own) })
    };
    store(server, vip(json!({})), "version").await;
    let clients: Vec<Value> = (0..12).map(|n| vip(json!({ "encodedKey": format!("k{n}") }))).collect();
    let (directory, url) = (directory(), server.database_url());
    file(&directory, "vips", lines(&clients));
    let (said, failure, code) = run(&directory, &url, &["import", "vips", "--report", "report"]);
    let sentence = "clientele: lines that were refused: 3. Correct them and run the import again\n";
    assert_eq!((said, failure.as_str(), code), (summary(9, 0, 3), sentence, Some(1)));
    let message = "The IDs of the form V# are used up: send clientId, or give the role another form.";
    for entry in read(&directory, "report").lines() {
        let entry: Value = serde_json::from_str(entry).expect("JSON");
        assert_eq!(
            (&entry["code"], &entry["path"], &entry["message"]),
            (&json!("TAKEN"), &json!("client.clientId"), &json!(message))
        );
    }
    let ids = server.snapshot().await;
    assert_eq!(ids.rows("client_id_claim").len(), 10);
}

/// The legacy API takes an id or a key: one that is both would lead to the wrong client.
async fn no_client_gets_the_id_of_another_as_its_key(server: &TestServer) {
    // A key and an id each.
    let clients = |clients: [[&str; 2]; 6]| {
        clients.map(|[key, id]| json!({ "client": with(name(id), json!({ "encodedKey": key })) }))
    };
    store(server, json!({ "client": name("1000") }), "version").await;
    let before = server.snapshot().await;
    let key = "The key is the clientId of another client: give this one another key.";
    let id = "Another client has this clientId: choose another, or leave it out to have one generated.";
    let (path_of_key, path_of_id) = ("client.encodedKey", "client.clientId");
    let (directory, url) = (directory(), server.database_url());
    // The second list finds the first one stored.
    for (name, of_file, stored, known, expected) in [
        (
            "first",
            clients([
                ["1000", "Z"],
                ["k1", "2000"],
                ["2000", "Y"],
                ["3000", "X"],
                ["k2", "3000"],
                ["4000", "4000"],
            ]),
            3,
            0,
            vec![
                refused(2, path_of_key, key, "1000"),
                refused(4, path_of_key, key, "2000"),
                refused(6, path_of_id, id, "k2"),
            ],
        ),
        (
            "second",
            clients([
                ["2000", "Y"],
                ["k2", "3000"],
                ["4000", "4000"],
                ["X", "V"],
                ["k3", "4000"],
                ["k4", "k1"],
            ]),
            0,
            1,
            vec![
                refused(2, path_of_key, key, "2000"),
                refused(3, path_of_id, id, "k2"),
                refused(5, path_of_key, key, "X"),
                refused(6, path_of_id, id, "k3"),
                refused(7, path_of_id, id, "k4"),
            ],
        ),
    ] {
        for (rules, stored, known) in [("new", stored, known), ("stored", 0, stored + known)] {
            let content = lines(&of_file).replacen(
                "\"version\":1",
                &format!("\"version\":1,\"stored\":{}", rules == "stored"),
                1,
            );
            file(&directory, name, content);
            let report = format!("{name} {rules}");
            let (printed, _, code) = run(&directory, &url, &["import", name, "--report", &report]);
            assert_eq!(
                (printed, code),
                (summary(stored, known, expected.len()), Some(1)),
                "{report}"
            );
            let report = read(&directory, &report);
            let entries = report.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            assert_eq!(entries.collect::<Vec<Value>>(), expected, "{name} {rules}");
        }
    }
    let after = server.snapshot().await;
    assert_eq!(after.rows("client").len(), before.rows("client").len() + 3);
    let answer = server.get("/api/clients/1000").await;
    assert_eq!(answer.body["id"], json!("1000"), "{}", answer.text);
}

/// Of a hundred ids of the role, the list itself has twenty as keys and twenty as ids.
async fn generated_ids_are_no_names_of_the_same_list(server: &TestServer) {
    define_role(server, json!({ "roleId": "vip", "name": "VIP", "idPattern": "V##" })).await;
    let client = |own: Value| json!({ "client": with(json!({ "firstName": "Amara", "lastName": "B" }), own) });
    let generated = (0..10).map(|_| client(json!({ "clientRole": { "roleId": "vip" } })));
    let key = |n: u32| json!({ "encodedKey": format!("V{n}"), "clientId": format!("id{n}") });
    let keys = (10..30).map(|n| client(key(n)));
    let ids = (30..50).map(|n| client(json!({ "clientId": format!("V{n}") })));
    let clients: Vec<Value> = generated.chain(keys).chain(ids).collect();
    let (directory, url) = (directory(), server.database_url());
    file(&directory, "all", lines(&clients));
    let imported = run(&directory, &url, &["import", "all"]);
    assert_eq!(imported, (summary(50, 0, 0), String::new(), Some(0)));
    let snapshot = server.snapshot().await;
    let claims = snapshot.rows("client_id_claim");
    for n in 10..30 {
        let of_key = format!("[\"V{n}\"");
        assert!(
            !claims.iter().any(|claim| claim.starts_with(&of_key)),
            "{of_key}: {claims:?}"
        );
    }
}
