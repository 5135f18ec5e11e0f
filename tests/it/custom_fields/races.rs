//! Changes of unique values between the statements of another request. SQLite has one writer, so they can't
//! happen there.

use clientele::{
    custom_field::CustomFieldInput,
    db::{Step, Transaction, Work},
    definitions::Kind,
    error::Result,
};
use futures_util::future::join;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::{
    TestServer, field,
    graphql::{store, store_key},
};

on_postgres!(
    value_released_meanwhile_is_claimed,
    version_of_the_former_owner_is_not_compared,
);

/// A transaction that takes a lock, and makes a change when the test says so.
struct Locked {
    lock: String,
    change: String,
    taken: Notify,
    released: Notify,
}

impl Work for Locked {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        transaction.one(self.lock.as_str(), []).await?;
        self.taken.notify_one();
        self.released.notified().await;
        transaction.run(self.change.as_str(), []).await?;
        Ok(Step::Commit(()))
    }
}

/// Stores a client while the lock is held, and runs `meanwhile` when that waits for the lock. Returns the stored
/// client.
async fn store_behind(
    server: &TestServer,
    (lock, change): (String, String),
    input: Value,
    meanwhile: impl Future<Output = ()>,
) -> Value {
    let locked = Locked {
        lock,
        change,
        taken: Notify::new(),
        released: Notify::new(),
    };
    let stored = async {
        locked.taken.notified().await;
        let release = async {
            until_a_statement_waits(server).await;
            meanwhile.await;
            locked.released.notify_one();
        };
        join(store(server, input, "encodedKey version"), release).await.0
    };
    let (lock, stored) = join(server.services.db.write(&locked), stored).await;
    lock.expect("the change is committed");
    stored
}

async fn until_a_statement_waits(server: &TestServer) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let row = server.services.db.read().one(sql, []).await.expect("an answer");
        let waiting: i64 = row.expect("a row").try_get_by_index(0).expect("a number");
        if waiting > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
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
    let lock = (
        "SELECT 1 FROM pg_advisory_xact_lock(7)".to_owned(),
        "SELECT 1".to_owned(),
    );
    let second = store_behind(server, lock, ana(values), release).await;
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
    let lock = format!("SELECT 1 FROM client WHERE encoded_key = '{first}' FOR UPDATE");
    let change = format!("UPDATE custom_field_claim SET client_key = '{second}'");
    let matched = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "crm", "value": "A-1" },
        "expectedVersion": 2, "client": { "firstName": "Eva", "lastName": "Cruz" } });
    let stored = store_behind(server, (lock, change), matched, async {}).await;
    assert_eq!(stored, json!({ "encodedKey": second, "version": 3 }));
}
