//! Removes the contents of old messages. The record that a message was sent stays.

use chrono::{DateTime, Utc};
use entity::instant;

use clientele_core::error::Result;
use clientele_storage::db::{Database, Step, Transaction, Work};

/// The maximum number of messages in one batch, so that others wait only briefly for its locks.
pub const BATCH: u64 = 1_000;

/// Removes the contents of up to [`BATCH`] messages sent before `before`. Returns their number; if it equals [`BATCH`],
/// there may be more.
pub async fn remove_bodies(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    db.write(&RemoveBodies { before }).await
}

struct RemoveBodies {
    before: DateTime<Utc>,
}

impl Work for RemoveBodies {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        let sql = format!(
            "UPDATE message SET placeholders = NULL WHERE (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM message WHERE sent_at < {} AND placeholders IS NOT NULL \
             ORDER BY sent_at LIMIT {BATCH})",
            transaction.dialect.cast("$1", "timestamptz")
        );
        let before = instant::to_text(&self.before);
        Ok(Step::Commit(transaction.run(sql, [before.into()]).await?))
    }
}
