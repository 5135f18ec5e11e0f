//! Failures of the database below a started server: what was acknowledged is stored, and what was refused is not half-written.
//!
//! The server is the real program with its default settings. Each test makes one kind of operation fail at every step, one
//! step after the other, until the operation succeeds because no step is left.

mod full_disk;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod injector;
mod operation;
mod outage;
mod postgres;
mod proxy;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system_calls;
mod triggers;
mod work;

use clientele::db::{Database, DatabaseSettings};

use self::operation::{Acknowledged, Stored};
use crate::cli::server;

/// What the server acknowledged so far.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<Acknowledged>,
}

impl Ledger {
    /// Asserts that every acknowledged row is in the database, and that the database is sound.
    async fn assert_stored(&self, url: &str) {
        assert!(!self.acknowledged.is_empty(), "nothing was acknowledged");
        let database = Database::connect_to_look(url, &DatabaseSettings::default())
            .await
            .expect("the database is there");
        for Acknowledged {
            stored: Stored { table, column, value },
            ..
        } in &self.acknowledged
        {
            let sql = format!("SELECT 1 FROM {table} WHERE {column} = $1");
            let row = database.read().one(sql, [value.as_str().into()]).await;
            assert!(
                row.expect("it can be read").is_some(),
                "{table} {value} was acknowledged"
            );
        }
        assert_eq!(
            count(&database, WITHOUT_RECORD).await,
            0,
            "a client has no record of its creation"
        );
        assert_eq!(
            count(&database, WITHOUT_MESSAGE).await,
            0,
            "a client has no welcome message"
        );
        assert_eq!(count(&database, WITHOUT_CLIENT).await, 0, "a message has no client");
        if url.starts_with("sqlite:") {
            let row = database.read().one("PRAGMA integrity_check", []).await;
            let verdict: String = row.expect("read").expect("a row").try_get_by_index(0).expect("a text");
            assert_eq!(verdict, "ok");
        }
        database.close().await;
        let (directory, environment) = (server::directory(), [("DATABASE_URL", url)]);
        let verified = server::clientele(&directory, &["audit", "verify"], &environment).output();
        let output = verified.expect("the program starts");
        assert!(output.status.success(), "{}", server::text(output.stdout));
    }
}

const WITHOUT_RECORD: &str = "SELECT count(*) FROM client WHERE NOT EXISTS \
    (SELECT 1 FROM audit_record WHERE audit_record.subject_key = client.encoded_key)";
const WITHOUT_MESSAGE: &str = "SELECT count(*) FROM client WHERE NOT EXISTS \
    (SELECT 1 FROM message WHERE message.client_key = client.encoded_key)";
const WITHOUT_CLIENT: &str = "SELECT count(*) FROM message WHERE NOT EXISTS \
    (SELECT 1 FROM client WHERE client.encoded_key = message.client_key)";

async fn count(database: &Database, sql: &str) -> i64 {
    let row = database.read().one(sql, []).await;
    let row = row.expect("it can be read").expect("a count is a row");
    row.try_get_by_index(0).expect("a number")
}
