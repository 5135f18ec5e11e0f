//! Erasure of the data about a client outside the client's own rows.

use std::time::SystemTime;

use chrono::{DateTime, SubsecRound, Utc};
use clientele::{
    caller::{Caller, Permission, Rights},
    client::Erased,
    error::Error,
};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{UPSERT, findings};
use crate::harness::{Backend, TestServer, graphql::store_key};

/// A client by this name with two records, a message and an outcome that is kept under a key.
async fn create(server: &TestServer, name: &str) -> String {
    let input = json!({ "idempotencyKey": format!("of {}", name.len()), "client": {
        "firstName": name, "lastName": "Linden", "mobilePhone1": format!("+4790000{}", name.len()) } });
    let key = store_key(server, input).await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key, "notes": format!("about {name}") } }),
    )
    .await;
    key
}

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

const TRACES: [&str; 3] = ["audit_record", "idempotency_record", "message"];

on_both!(
    erasure_leaves_only_the_fact_that_the_client_existed,
    data_added_after_an_erasure_is_erased_again,
    request_with_an_erased_outcome_is_not_executed_again,
    erased_data_is_in_no_byte_of_a_database_file,
);

async fn erasure_leaves_only_the_fact_that_the_client_existed(server: &TestServer) {
    let template = server
        .graphql(
            "mutation { upsertMessageTemplate(input: { templateId: \"t\", name: \"T\", event: CLIENT_CREATED, \
        channel: SMS, variants: [{ language: ENGLISH, text: \"Hello {CLIENT_FIRST_NAMES}\" }] }) { userErrors { \
        message } } }",
            json!({}),
        )
        .await;
    assert!(template.text.contains(r#""userErrors":[]"#), "{}", template.text);
    let trevor = create(server, "Trevor").await;
    create(server, "Margaretha").await;
    let said = async |table: &str, word: &str| {
        let rows = server.snapshot().await;
        rows.rows(table).iter().filter(|row| row.contains(word)).count()
    };
    for table in TRACES {
        assert!(said(table, "Trevor").await > 0, "{table}");
    }
    let now: DateTime<Utc> = SystemTime::now().into();
    let may_not = Caller {
        rights: Rights::of([Permission::EditClient, Permission::Audit]).into(),
        ..Caller::operator()
    };
    let refused = server.services.clients.erase_traces(&may_not, &trevor, now).await;
    assert!(matches!(refused, Err(Error::Forbidden("DELETE_CLIENT"))), "{refused:?}");
    let erase = async |key: &str| {
        server
            .services
            .clients
            .erase_traces(&Caller::operator(), key, now)
            .await
            .expect("the database answers")
    };
    assert_eq!(erase("absent").await, None);
    assert_eq!(erase(&trevor).await, Some(Erased::Now { records: 2 }));
    for table in TRACES {
        assert_eq!(
            said(table, "Trevor").await + said(table, "+47900006").await,
            0,
            "{table}"
        );
        assert!(said(table, "Margaretha").await > 0, "{table}");
    }
    let log = server
        .graphql(
            "query($key: String!) { auditLog(filter: { client: { encodedKey: $key } }) {
            nodes { action changes { path after } } } }",
            json!({ "key": trevor }),
        )
        .await;
    let erased: Value = json!({ "action": "ERASED", "changes": [{ "path": ["records"], "after": "1 to 2" }] });
    log.data(json!({ "auditLog": { "nodes": [
        erased, { "action": "CHANGED", "changes": null }, { "action": "CREATED", "changes": null }] } }));
    let counts = server
        .services
        .audit
        .verify(&Caller::operator(), None, |finding| panic!("{finding}"))
        .await;
    assert_eq!(counts.expect("it verifies").erased, 2);
    // A second erasure finds nothing, and writes nothing.
    let before = server.snapshot().await;
    assert_eq!(erase(&trevor).await, Some(Erased::Before(now.trunc_subsecs(6))));
    assert_eq!(server.snapshot().await, before);
    // The next change goes on after it, and can be erased, too.
    store_key(server, json!({ "client": { "encodedKey": trevor, "notes": "again" } })).await;
    assert_eq!(erase(&trevor).await, Some(Erased::Now { records: 2 }));
    assert_eq!(findings(server).await, [""; 0]);
    // Removal or change of its record is found.
    server
        .write(&format!(
            "UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = '{trevor}' AND position = 5"
        ))
        .await
        .expect("removed");
    assert_eq!(
        findings(server).await,
        [format!(
            "{trevor} 1: contents removed, up to 5, without a record of an erasure"
        )]
    );
}

async fn data_added_after_an_erasure_is_erased_again(server: &TestServer) {
    let named = json!({ "idempotencyKey": "k", "client": { "firstName": "Trevor", "lastName": "Linden" } });
    let key = store_key(server, named).await;
    server
        .write(&format!(
            "INSERT INTO message (client_key, encoded_key, event, channel, template_key, template_id, variant_key, \
        language, recipient, state, attempts, created_at, queued_at) SELECT encoded_key, 'm', 'CLIENT_CREATED', \
        'SMS', 't', 't', 'v', 'ENGLISH', '', 'SENT', 1, created_at, created_at FROM client WHERE encoded_key = \
        '{key}'"
        ))
        .await
        .expect("written");
    let erase = async || {
        let now: DateTime<Utc> = SystemTime::now().into();
        server
            .services
            .clients
            .erase_traces(&Caller::operator(), &key, now)
            .await
            .expect("the database answers")
            .expect("a client")
    };
    assert_eq!(erase().await, Erased::Now { records: 1 });
    for added in [
        format!("UPDATE idempotency_record SET client_key = '{key}'"),
        "UPDATE message SET recipient = 'x'".to_owned(),
        "UPDATE message SET placeholders = '{}'".to_owned(),
        "UPDATE message SET provider_id = 'x'".to_owned(),
        "UPDATE message SET detail = 'x'".to_owned(),
        "UPDATE message SET state = 'QUEUED'".to_owned(),
    ] {
        server.write(&added).await.expect("written");
        assert_eq!(erase().await, Erased::Now { records: 1 }, "{added}");
        assert!(matches!(erase().await, Erased::Before(_)), "{added}");
    }
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
        let erased = server
            .services
            .clients
            .erase_traces(&Caller::operator(), key, SystemTime::now().into())
            .await;
        assert_eq!(erased.expect("the database answers"), Some(Erased::Now { records: 1 }));
    }
    let before = server.snapshot().await;
    let sentence =
        "This request was carried out, and what came of it has been erased since: it is not carried out again.";
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
    let erased = server
        .services
        .clients
        .erase_traces(&Caller::operator(), &key, SystemTime::now().into())
        .await;
    assert_eq!(erased.expect("the database answers"), Some(Erased::Now { records: 2 }));
    for word in words {
        assert!(!in_file(server, word).await, "{word}");
    }
}
