//! The lock and the version of the definitions. The lock keeps definitions unchanged while clients are written by them;
//! the version tells other servers that they changed.

use rand::RngExt;

use clientele_core::error::Result;
use clientele_storage::db::{Dialect, Transaction};

/// The number is arbitrary but must not change.
const DEFINITIONS_LOCK: i64 = 0x6465_6669_6e65;

/// Returns the expression that locks the definitions until a transaction on PostgreSQL ends. Such locks are granted in
/// order, so that writers of clients can't starve a writer of definitions.
pub fn shared_lock() -> String {
    format!("pg_advisory_xact_lock_shared({DEFINITIONS_LOCK})")
}

/// Allows one change of definitions at a time, and none while clients are written by them.
pub(crate) async fn lock_definitions(transaction: &Transaction) -> Result<()> {
    if transaction.dialect == Dialect::Postgres {
        transaction
            .one(format!("SELECT pg_advisory_xact_lock({DEFINITIONS_LOCK})"), [])
            .await?;
    }
    Ok(())
}

/// Makes the definitions that servers have cached stale.
pub(crate) async fn bump_version(transaction: &Transaction) -> Result<()> {
    let version = rand::rng().random_range(1..i64::MAX);
    transaction
        .run("UPDATE definition_version SET version = $1", [version.into()])
        .await
        .map(|_| ())
}
