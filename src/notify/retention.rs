//! What a client was written is kept for a while; that it was written is kept for good.

use chrono::{DateTime, Utc};
use entity::instant;

use super::MessageState;
use crate::{
    db::{Database, Step, Transaction, Work},
    error::Result,
};

/// So many at once, so that nobody waits long for their locks.
const BATCH: u64 = 1_000;

/// Removes what the messages sent before `before` are written from. Answers how many there were.
pub async fn remove_bodies(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    let mut removed = 0;
    loop {
        let batch = db.write(&RemoveBodies { before }).await?;
        removed += batch;
        if batch < BATCH {
            return Ok(removed);
        }
    }
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
             AND state = $2 ORDER BY sent_at LIMIT {BATCH})",
            transaction.dialect.cast("$1", "timestamptz")
        );
        let values = [
            instant::to_text(&self.before).into(),
            MessageState::Sent.as_str().into(),
        ];
        Ok(Step::Commit(transaction.run(sql, values).await?))
    }
}
