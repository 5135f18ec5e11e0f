//! Changes of unique values between the statements of another request. SQLite has one writer, so they can't
//! happen there.

use clientele::{custom_field::CustomFieldInput, definitions::Kind};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::harness::{
    HeldLock, TestServer, field,
    graphql::{store, store_key},
};

on_postgres!(
    value_released_meanwhile_is_claimed,
    version_of_the_former_owner_is_not_compared,
);

/// Stores a client while the lock is held, and runs `meanwhile` when that waits for the lock. Returns the stored
/// client.
async fn store_behind(server: &TestServer, lock: HeldLock, input: Value, meanwhile: impl Future<Output = ()>) -> Value {
    let stored = async {
        lock.is_held().await;
        let release = async {
            lock.is_waited_for(server).await;
            meanwhile.await;
            lock.release();
        };
        join(store(server, input, "encodedKey version"), release).await.0
    };
    join(lock.hold(server), stored).await.1
}

async fn define(server: &TestServer) {
    let crm = CustomFieldInput {
        unique: Some(true),
        ..field("crm", Kind::Text)
    };
    server.define(vec![crm]).await;
}

fn ana(own: Value) -> Value {
    let names = json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } });
    crate::harness::with(names, own)
}

async fn value_released_meanwhile_is_claimed(server: &TestServer) {
    define(server).await;
    let values = json!({ "customInformation": [{ "fieldId": "crm", "value": "A-1" }] });
    let first = store_key(server, ana(values.clone())).await;
    // The second client's claim has found the first one's, and doesn't know yet that it was released.
    for sql in [
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'",
        "CREATE TRIGGER pause AFTER INSERT ON custom_field_claim FOR EACH STATEMENT EXECUTE FUNCTION pause()",
    ] {
        server.write(sql).await.expect("a trigger");
    }
    let release = async {
        let input = json!({ "client": { "encodedKey": first }, "customInformation": [] });
        store(server, input, "version").await;
    };
    let second = store_behind(server, HeldLock::of_number(7), ana(values), release).await;
    let rows = server.snapshot().await;
    let claims: Vec<&str> = rows.rows("custom_field_claim");
    let key = second["encodedKey"].as_str().expect("a key");
    assert!(claims.len() == 1 && claims[0].contains(key), "{claims:?}");
}

async fn version_of_the_former_owner_is_not_compared(server: &TestServer) {
    define(server).await;
    let values = json!({ "customInformation": [{ "fieldId": "crm", "value": "A-1" }] });
    let first = store_key(server, ana(values)).await;
    let second = store_key(server, ana(json!({}))).await;
    store(
        server,
        json!({ "client": { "encodedKey": second, "notes": "n" } }),
        "version",
    )
    .await;
    let change = format!("UPDATE custom_field_claim SET client_key = '{second}'");
    let matched = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "crm", "value": "A-1" },
        "expectedVersion": 2, "client": { "firstName": "Eva", "lastName": "Cruz" } });
    let stored = store_behind(server, HeldLock::of_client(&first, [change]), matched, async {}).await;
    assert_eq!(stored, json!({ "encodedKey": second, "version": 3 }));
}
