//! Removes expired outcomes, as they hold personal data.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use entity::instant;
use tokio::{sync::watch, time::sleep};

use crate::access::remove_expired_sessions;
use clientele_core::error::Result;
use clientele_storage::db::{Database, Step, Transaction, Work};

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The number of outcomes removed at once, so that their locks are short.
pub const BATCH: u64 = 1_000;

/// The time between two removals of expired outcomes.
const EVERY: Duration = Duration::from_secs(600);

/// Removes expired outcomes and sessions periodically, until `stop` is true. Any number of servers can do so on one
/// database.
pub async fn keep_removing(db: Database, clock: Clock, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let now = clock();
        let removed = async {
            let outcomes = remove_expired(&db, now).await?;
            Ok(outcomes.max(remove_expired_sessions(&db, now).await?))
        };
        match removed.await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(
                error = error.kind(),
                "expired idempotency records and sessions could not be removed"
            ),
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// Removes some of the outcomes that have expired by `now`, and returns their number. If it is [`BATCH`], there may be
/// more.
pub async fn remove_expired(db: &Database, now: DateTime<Utc>) -> Result<u64> {
    db.write(&RemoveExpired { now }).await
}

struct RemoveExpired {
    now: DateTime<Utc>,
}

impl Work for RemoveExpired {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        let now = transaction.dialect.cast("$1", "timestamptz");
        // Checks the expiry again outside: an outcome that is taken over meanwhile is no longer expired when its lock
        // is free.
        let sql = format!(
            "DELETE FROM idempotency_record WHERE {} <= {now} AND (caller, key) IN (\
             SELECT caller, key FROM idempotency_record WHERE expires_at <= {now} ORDER BY expires_at LIMIT {BATCH})",
            transaction.dialect.unindexed("expires_at")
        );
        let now = instant::to_text(&self.now);
        Ok(Step::Commit(transaction.run(sql, [now.into()]).await?))
    }
}
