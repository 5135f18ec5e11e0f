//! Removes what is no longer kept, in batches, so that their locks are short.

use chrono::{DateTime, Utc};
use entity::instant;

use super::{Database, Dialect, Step, Transaction, Work};
use clientele_core::error::Result;

/// The most rows of one batch.
pub const REMOVAL_BATCH: u64 = 1_000;

impl Database {
    /// Runs a statement that removes at most as many rows, or parts of them, as its number, for the time `$1`. Returns
    /// their number; if it is [`REMOVAL_BATCH`], there may be more.
    pub async fn remove_batch(&self, statement: fn(Dialect, u64) -> String, time: DateTime<Utc>) -> Result<u64> {
        self.write(&Removal { statement, time }).await
    }
}

struct Removal {
    statement: fn(Dialect, u64) -> String,
    time: DateTime<Utc>,
}

impl Work for Removal {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        let sql = (self.statement)(transaction.dialect, REMOVAL_BATCH);
        let time = instant::to_text(&self.time);
        match transaction.run(sql, [time.into()]).await? {
            0 => Ok(Step::Discard(0)),
            removed => Ok(Step::Commit(removed)),
        }
    }
}
