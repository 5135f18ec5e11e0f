//! Removes recipients and callers from the rows of messages that limits no longer count.

use chrono::{DateTime, Utc};

use clientele_core::error::Result;
use clientele_storage::db::{Database, Dialect};

/// Removes the recipients and callers of some of the messages that were raised before `before`, and returns their
/// number, as [`Database::remove_batch`] does. Receipts still find the messages.
pub async fn forget_counted(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    db.remove_batch(statement, before).await
}

fn statement(dialect: Dialect, most: u64) -> String {
    format!(
        "UPDATE raised_message SET recipient = NULL, caller = NULL WHERE (client_key, encoded_key) IN (\
         SELECT client_key, encoded_key FROM raised_message WHERE recipient IS NOT NULL AND created_at < {} \
         ORDER BY created_at LIMIT {most})",
        dialect.cast("$1", "timestamptz")
    )
}
