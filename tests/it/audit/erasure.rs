//! Erasure of all personal data of a client.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clientele::{
    caller::{Caller, Permission, Rights},
    client_by::ClientBy,
    definitions::Kind,
    error::Error,
    removal::Removed,
};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{UPSERT, erase, findings};
use crate::harness::{
    Backend, TestServer, field,
    graphql::{define_template, store_key},
};

/// A client by this name with two records, a message and an outcome that is kept under a key.
async fn create(server: &TestServer, name: &str) -> String {
    let input = json!({ "idempotencyKey": format!("of {}", name.len()), "client": {
        "clientId": format!("the id of {name}"), "firstName": name, "lastName": "Linden",
        "mobilePhone1": format!("+4790000{}", name.len()) },
        "addresses": [{ "line1": format!("at {name}'s") }],
        "idDocuments": [{ "documentType": "Passport", "documentId": name }],
        "customInformation": [{ "fieldId": "nick", "value": name }] });
    let key = store_key(server, input).await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key, "notes": format!("about {name}") } }),
    )
    .await;
    key
}

/// Two clients with messages: the keys of Trevor and of Margaretha.
async fn create_two(server: &TestServer) -> [String; 2] {
    server.define(vec![field("nick", Kind::Text)]).await;
    let variants = json!([{ "language": "ENGLISH", "text": "Hello {CLIENT_FIRST_NAMES}" }]);
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "SMS",
        "variants": variants });
    define_template(server, template).await;
    [create(server, "Trevor").await, create(server, "Margaretha").await]
}

/// The tables with this word in a row.
async fn tables_with(server: &TestServer, word: &str) -> Vec<String> {
    let snapshot = server.snapshot().await;
    let rows = snapshot.0.iter().filter(|row| row.contains(word));
    let mut tables: Vec<String> = rows.filter_map(|row| Some(row.split_once(' ')?.0.to_owned())).collect();
    tables.dedup();
    tables
}

const TABLES: [&str; 8] = [
    "address",
    "audit_record",
    "client",
    "client_id_claim",
    "custom_field_value",
    "id_document",
    "idempotency_record",
    "message",
];

/// True if the bytes of a database file contain this text, after a checkpoint.
async fn in_file(server: &TestServer, word: &str) -> bool {
    let url = server.database_url();
    let database = sea_orm::Database::connect(url.as_str())
        .await
        .expect("it can be opened");
    let done = database.query_one_raw(sea_orm::Statement::from_string(
        database.get_database_backend(),
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ));
    let busy: i32 = done
        .await
        .expect("sound")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a number");
    assert_eq!(busy, 0, "all of the log is in the file");
    database.close().await.expect("closed");
    let bytes = std::fs::read(url.trim_start_matches("sqlite:")).expect("it is there");
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

on_both!(
    erasure_leaves_only_the_key_and_the_records_without_contents,
    deleted_client_is_erased_by_its_key,
    data_added_after_an_erasure_is_erased_again,
    request_with_an_erased_outcome_is_not_executed_again,
    erased_data_is_in_no_byte_of_a_database_file,
);

async fn erasure_leaves_only_the_key_and_the_records_without_contents(server: &TestServer) {
    let [trevor, margaretha] = create_two(server).await;
    assert_eq!(tables_with(server, "Trevor").await, TABLES);
    let others = tables_with(server, "Margaretha").await;
    let now: DateTime<Utc> = SystemTime::now().into();
    let may_not = Caller {
        rights: Rights::of([Permission::EditClient, Permission::DeleteClient, Permission::Audit]).into(),
        ..Caller::operator()
    };
    let by = |key: &str| ClientBy::EncodedKey(key.to_owned()).into();
    let clients = &server.services.clients;
    let refused = clients.erase(&may_not, &by(&trevor), now).await;
    assert!(matches!(refused, Err(Error::Forbidden("ERASE_CLIENT"))), "{refused:?}");
    for absent in ["absent", "~users", "\0", ""] {
        let unknown = clients.erase(&Caller::operator(), &by(absent), now).await;
        assert!(unknown.expect("the database answers").is_err(), "{absent:?}");
    }
    let erased = erase(&server.services, &trevor).await;
    let expected = Removed {
        client_key: trevor.clone(),
        at: erased.at,
        messages: 1,
        unsent: 1,
        merged_keys: Vec::new(),
        records: 2,
        was_erased: false,
    };
    assert_eq!(erased, expected);
    for word in ["Trevor", "+47900006"] {
        assert_eq!(tables_with(server, word).await, [""; 0], "{word}");
    }
    assert_eq!(
        tables_with(server, &trevor).await,
        ["audit_chain", "audit_record", "client_change"]
    );
    assert_eq!(tables_with(server, "Margaretha").await, others);
    let log = server
        .graphql(
            "query($key: String!) { auditLog(filter: { client: { encodedKey: $key } }) {
            nodes { action changes { path before after } } }
            client(by: { encodedKey: $key }) { id } }",
            json!({ "key": trevor }),
        )
        .await;
    let change = |name: &str, before: Value, after: Value| json!({ "path": [name], "before": before, "after": after });
    let erasure = [
        change("messages", json!("1"), json!(null)),
        change("unsentMessages", json!("1"), json!(null)),
        change("records", json!(null), json!("1 to 2")),
    ];
    log.data(json!({ "client": null, "auditLog": { "nodes": [
        { "action": "ERASED", "changes": erasure },
        { "action": "CHANGED", "changes": null }, { "action": "CREATED", "changes": null }] } }));
    let counts = server
        .services
        .audit
        .verify(&Caller::operator(), None, |finding| panic!("{finding}"))
        .await;
    assert_eq!(counts.expect("it verifies").erased, 2);
    // A second erasure finds nothing, and writes nothing.
    let before = server.snapshot().await;
    let again = erase(&server.services, &trevor).await;
    assert_eq!((again.was_erased, again.at), (true, erased.at));
    assert_eq!(server.snapshot().await, before);
    // The other client can still be changed.
    store_key(
        server,
        json!({ "client": { "encodedKey": margaretha, "notes": "again" } }),
    )
    .await;
    assert_eq!(findings(server).await, [""; 0]);
    // Removal of the record of an erasure is found.
    let sql = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE position = 3 AND action = 'ERASED'";
    server.write(sql).await.expect("removed");
    assert_eq!(
        findings(server).await,
        [format!(
            "{trevor} 1: contents removed, up to 3, without a record of an erasure"
        )]
    );
}

async fn deleted_client_is_erased_by_its_key(server: &TestServer) {
    let [trevor, _] = create_two(server).await;
    let now: DateTime<Utc> = SystemTime::now().into();
    let by = ClientBy::EncodedKey(trevor.clone()).into();
    let deleted = server.services.clients.delete(&Caller::operator(), &by, now).await;
    deleted.expect("the database answers").expect("nothing links to it");
    assert_eq!(
        tables_with(server, "Trevor").await,
        ["audit_record", "idempotency_record"]
    );
    let erased = erase(&server.services, &trevor).await;
    assert_eq!((erased.records, erased.messages, erased.was_erased), (3, 0, false));
    assert_eq!(tables_with(server, "Trevor").await, [""; 0]);
    assert!(erase(&server.services, &trevor).await.was_erased);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn data_added_after_an_erasure_is_erased_again(server: &TestServer) {
    let named = json!({ "idempotencyKey": "k", "client": { "firstName": "Trevor", "lastName": "Linden" } });
    let key = store_key(server, named).await;
    assert_eq!(erase(&server.services, &key).await.records, 1);
    let added = format!("UPDATE idempotency_record SET client_key = '{key}'");
    server.write(&added).await.expect("written");
    let erased = erase(&server.services, &key).await;
    assert_eq!((erased.records, erased.was_erased), (1, false));
    assert!(erase(&server.services, &key).await.was_erased);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn request_with_an_erased_outcome_is_not_executed_again(server: &TestServer) {
    let client = || json!({ "firstName": "Trevor", "lastName": "Linden" });
    let post = async || {
        let request = server
            .request(Method::POST, "/api/clients")
            .header("Idempotency-Key", "rest");
        server.send(request.json(&json!({ "client": client() }))).await
    };
    let input = json!({ "input": { "idempotencyKey": "graphql", "client": client() } });
    let (rest, graphql) = (post().await, server.graphql(UPSERT, input.clone()).await);
    for (text, at) in [
        (&rest.text, "/client/encodedKey"),
        (&graphql.text, "/data/upsertClient/client/encodedKey"),
    ] {
        let answer: Value = serde_json::from_str(text).expect("JSON");
        let key = answer
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{text}"));
        assert_eq!(erase(&server.services, key).await.records, 1);
    }
    let before = server.snapshot().await;
    let sentence = "The request with this idempotency key was carried out, and its result is no longer available: \
                    it is not carried out again.";
    let answer = post().await;
    let refused = json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": sentence });
    assert_eq!((answer.status, answer.body), (422, refused));
    server
        .graphql(UPSERT, input)
        .await
        .data(json!({ "upsertClient": { "client": null, "userErrors": [
        { "code": "OUTCOME_ERASED", "message": sentence, "path": ["input", "idempotencyKey"] }] } }));
    assert_eq!(server.snapshot().await, before, "no client is created");
}

async fn erased_data_is_in_no_byte_of_a_database_file(server: &TestServer) {
    // PostgreSQL removes old rows from its files when it vacuums them.
    if server.backend == Backend::Postgres {
        return;
    }
    let words = ["Quetzalcoatl", "a word of the departed"];
    let key = store_key(
        server,
        json!({ "idempotencyKey": "k", "client": {
        "firstName": "Ana", "lastName": "Cruz", "middleName": words[0], "notes": words[1].repeat(900) } }),
    )
    .await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key, "middleName": null, "notes": null } }),
    )
    .await;
    for word in words {
        assert!(in_file(server, word).await, "{word}");
    }
    assert_eq!(erase(&server.services, &key).await.records, 2);
    for word in words {
        assert!(!in_file(server, word).await, "{word}");
    }
}
