//! Removes recipients and callers from the rows of messages that limits no longer count.

use chrono::{DateTime, Utc};
use entity::instant;

use clientele_core::error::Result;
use clientele_storage::db::{Database, Step, Transaction, Work};

/// Removes the recipients and callers of up to `most` messages that were raised before `before`. Returns their number;
/// if it equals `most`, there may be more. Receipts still find the messages.
pub async fn forget_counted(db: &Database, before: DateTime<Utc>, most: u64) -> Result<u64> {
    db.write(&Forgetting { before, most }).await
}

struct Forgetting {
    before: DateTime<Utc>,
    most: u64,
}

impl Work for Forgetting {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        let sql = format!(
            "UPDATE raised_message SET recipient = NULL, caller = NULL WHERE (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM raised_message WHERE recipient IS NOT NULL AND created_at < {} \
             ORDER BY created_at LIMIT {})",
            transaction.dialect.cast("$1", "timestamptz"),
            self.most
        );
        let before = instant::to_text(&self.before);
        match transaction.run(sql, [before.into()]).await? {
            0 => Ok(Step::Discard(0)),
            forgotten => Ok(Step::Commit(forgotten)),
        }
    }
}
