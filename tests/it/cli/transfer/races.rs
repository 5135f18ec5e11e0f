//! Imports at the same time as other imports and upserts: names and merged clients are checked as if one came after the
//! other.

use clientele::definitions::Kind;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{file, lines, run, summary};
use crate::{
    harness::{HeldLock, TestServer, field, graphql::store, program::directory, with},
    upsert::duplicates::upsert,
};

on_postgres!(
    id_and_key_of_two_imports_differ,
    two_imports_form_no_circle,
    upsert_gets_no_key_of_an_import_as_its_id,
    import_gets_no_id_of_an_upsert_as_its_key,
    new_id_waits_for_imports_before_its_client_is_locked,
    import_waits_for_another_one_as_long_as_it_takes,
    definitions_that_change_after_the_checks_apply,
);

/// The lock of imports.
const IMPORTS: i64 = 0x696d_706f_7274;

/// The value that a client of the first transaction waits for, after its checks.
async fn held(server: &TestServer) -> HeldLock {
    let field = clientele::custom_field::CustomFieldInput {
        unique: Some(true),
        ..field("crm", Kind::Text)
    };
    server.define(vec![field]).await;
    HeldLock::of_value("crmKey", "1")
}

fn value() -> Value {
    json!({ "customInformation": [{ "fieldId": "crm", "value": "1" }] })
}

/// The line of a client with these other members.
fn client(key: &str, members: Value) -> Value {
    let client = json!({ "encodedKey": key, "firstName": "Amara", "lastName": "B" });
    json!({ "client": with(client, members) })
}

/// Imports clients by the real program. Returns what it printed, and the paths and messages of its report.
async fn import(server: &TestServer, clients: &[Value]) -> (String, Vec<[String; 2]>) {
    import_under(server, clients, 30).await
}

/// The same with this limit of a statement in seconds.
async fn import_under(server: &TestServer, clients: &[Value], limit: u32) -> (String, Vec<[String; 2]>) {
    let (directory, url, content) = (directory(), server.database_url(), lines(clients));
    let imported = spawn_blocking(move || {
        file(&directory, "clients", content);
        let limit = format!("database.request_timeout_seconds={limit}");
        let (printed, _, _) = run(
            &directory,
            &url,
            &["import", "clients", "--report", "report", "--set", &limit],
        );
        (printed, super::read(&directory, "report"))
    });
    let (printed, report) = imported.await.expect("it ends");
    let entries = report.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        ["path", "message"].map(|member| entry[member].as_str().expect("a text").to_owned())
    });
    (printed, entries.collect())
}

const KEY_OF_ID: &str = "The key is the clientId of another client: give this one another key.";
const ID_OF_KEY: &str = "Another client has this clientId: choose another, or leave it out to have one generated.";

async fn id_and_key_of_two_imports_differ(server: &TestServer) {
    let held = held(server).await;
    let first = [with(client("K", json!({ "clientId": "first" })), value())];
    let second = [client("other", json!({ "clientId": "K" }))];
    let (first, second) = held
        .between(server, import(server, &first), import(server, &second))
        .await;
    assert_eq!(first, (summary(1, 0, 0), Vec::new()));
    let entry = ["client.clientId", ID_OF_KEY].map(str::to_owned);
    assert_eq!(second, (summary(0, 0, 1), vec![entry]));
}

async fn two_imports_form_no_circle(server: &TestServer) {
    let held = held(server).await;
    let merged = |key: &str, into: &str| client(key, json!({ "state": "EXITED", "mergedIntoKey": into }));
    let first = [with(merged("A", "B"), value())];
    let second = [merged("B", "A")];
    let (first, second) = held
        .between(server, import(server, &first), import(server, &second))
        .await;
    assert_eq!(first.0, summary(1, 0, 0));
    let message =
        "The client would be merged into itself: give it the key of a client that wasn't merged into this one.";
    let entry = ["client.mergedIntoKey", message].map(str::to_owned);
    assert_eq!(second, (summary(0, 0, 1), vec![entry]));
}

async fn upsert_gets_no_key_of_an_import_as_its_id(server: &TestServer) {
    store(server, json!({ "client": name("old") }), "version").await;
    for (id, input) in [
        ("K1", json!({ "client": name("K1") })),
        ("K2", json!({ "matchOn": "CLIENT_ID", "client": name("K2") })),
    ] {
        let held = held(server).await;
        let clients = [with(client(id, json!({ "clientId": format!("of {id}") })), value())];
        let (imported, upserted) = held
            .between(server, import(server, &clients), upsert(server, input))
            .await;
        assert_eq!(imported, (summary(1, 0, 0), Vec::new()));
        let errors = &upserted.body["data"]["upsertClient"]["userErrors"];
        assert_eq!(errors[0]["code"], "TAKEN", "{}", upserted.text);
        server.write("DELETE FROM custom_field_claim").await.expect("deleted");
    }
    let held = held(server).await;
    let clients = [with(client("K3", json!({ "clientId": "of K3" })), value())];
    let patch = async {
        let request = server.request(reqwest::Method::PATCH, "/api/clients/old");
        server.send(request.json(&json!({ "client": { "id": "K3" } }))).await
    };
    let (imported, patched) = held.between(server, import(server, &clients), patch).await;
    assert_eq!(imported, (summary(1, 0, 0), Vec::new()));
    assert_eq!(patched.status, 400, "{}", patched.text);
}

async fn import_gets_no_id_of_an_upsert_as_its_key(server: &TestServer) {
    let held = held(server).await;
    let input = with(json!({ "client": name("K") }), value());
    let clients = [client("K", json!({ "clientId": "other" }))];
    let (upserted, imported) = held
        .between(server, upsert(server, input), import(server, &clients))
        .await;
    assert_eq!(
        upserted.body["data"]["upsertClient"]["created"], true,
        "{}",
        upserted.text
    );
    let entry = ["client.encodedKey", KEY_OF_ID].map(str::to_owned);
    assert_eq!(imported, (summary(0, 0, 1), vec![entry]));
}

/// Otherwise the two wait for each other, because an import locks clients as well.
async fn new_id_waits_for_imports_before_its_client_is_locked(server: &TestServer) {
    store(server, json!({ "client": name("old") }), "version").await;
    let held = HeldLock::of_number(IMPORTS);
    let patch = async {
        held.is_held().await;
        let request = server.request(reqwest::Method::PATCH, "/api/clients/old");
        server.send(request.json(&json!({ "client": { "id": "new" } }))).await
    };
    let locked = async {
        held.is_held().await;
        held.is_waited_for(server).await;
        let lock = "SELECT 1 FROM client WHERE client_id = 'old' FOR NO KEY UPDATE NOWAIT";
        let locked = server.write(lock).await.is_ok();
        held.release();
        locked
    };
    let ((), patched, is_free) = tokio::join!(held.hold(server), patch, locked);
    assert!(is_free);
    assert_eq!(patched.status, 200, "{}", patched.text);
}

async fn import_waits_for_another_one_as_long_as_it_takes(server: &TestServer) {
    let held = HeldLock::of_number(IMPORTS);
    let waiting = async {
        held.is_held().await;
        import_under(server, &[client("K", json!({}))], 1).await
    };
    let outlasted = async {
        held.is_held().await;
        held.is_waited_for(server).await;
        // A statement with the limit of requests begins to wait after the import, and gives up before it.
        let lock = format!("SELECT pg_advisory_xact_lock({IMPORTS})");
        let gave_up = server.write(&lock).await.is_err();
        held.release();
        gave_up
    };
    let ((), imported, gave_up) = tokio::join!(held.hold(server), waiting, outlasted);
    assert!(gave_up);
    assert_eq!(imported, (summary(1, 0, 0), Vec::new()));
}

fn name(id: &str) -> Value {
    json!({ "clientId": id, "firstName": "Amara", "lastName": "B" })
}

async fn definitions_that_change_after_the_checks_apply(server: &TestServer) {
    server.define(vec![field("code", Kind::Text)]).await;
    let values = json!({ "customInformation": [{ "fieldId": "code", "value": "ABC" }] });
    let clients = [with(client("K", json!({})), values)];
    let held = HeldLock::of_number(IMPORTS);
    let waiting = async {
        held.is_held().await;
        import(server, &clients).await
    };
    let changing = async {
        held.is_held().await;
        held.is_waited_for(server).await;
        for change in [
            "UPDATE custom_field SET pattern = '##'",
            "UPDATE definition_version SET version = version + 1",
        ] {
            server.write(change).await.expect("a change");
        }
        held.release();
    };
    let ((), imported, ()) = tokio::join!(held.hold(server), waiting, changing);
    let message = "The field code takes text of the form ##, where # is a digit, @ a letter and $ either.";
    let entry = ["customInformation.0.value", message].map(str::to_owned);
    assert_eq!(imported, (summary(0, 0, 1), vec![entry]));
}
