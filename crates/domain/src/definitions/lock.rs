//! The lock and the version of the definitions. The lock keeps definitions unchanged while clients are written by them;
//! the version tells other servers that they changed.

use rand::RngExt;

use clientele_core::error::Result;
use clientele_storage::db::{Dialect, Transaction};

/// Any number will do, as long as it stays.
const DEFINITIONS_LOCK: i64 = 0x6465_6669_6e65;

/// The expression that keeps definitions as they are until a transaction on PostgreSQL ends. Locks of this kind are
/// waited for in turn, so that those who write clients can't keep out one who changes definitions.
pub fn shared_lock() -> String {
    format!("pg_advisory_xact_lock_shared({DEFINITIONS_LOCK})")
}

/// One change of definitions at a time, and none while clients are written by them.
pub(crate) async fn lock_definitions(transaction: &Transaction) -> Result<()> {
    if transaction.dialect == Dialect::Postgres {
        transaction
            .one(format!("SELECT pg_advisory_xact_lock({DEFINITIONS_LOCK})"), [])
            .await?;
    }
    Ok(())
}

/// Tells every server that the definitions it knows are out of date.
pub(crate) async fn bump_version(transaction: &Transaction) -> Result<()> {
    let version = rand::rng().random_range(1..i64::MAX);
    transaction
        .run("UPDATE definition_version SET version = $1", [version.into()])
        .await
        .map(|_| ())
}
