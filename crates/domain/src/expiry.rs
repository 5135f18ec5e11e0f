//! Removes expired outcomes of requests, expired sessions, and changes whose retention has ended.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::watch, time::sleep};

use crate::{access, changes::ChangeFeed, idempotency};
use clientele_core::error::Result;
use clientele_storage::db::{Database, REMOVAL_BATCH};

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The time between two removals.
const EVERY: Duration = Duration::from_secs(600);

/// Removes expired outcomes, sessions and changes periodically, until `stop` is true. Any number of servers can do so on
/// one database.
pub async fn keep_removing(db: Database, changes: ChangeFeed, clock: Clock, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let now = clock();
        let removed = async {
            let outcomes = remove_expired_outcomes(&db, now).await?;
            let sessions = remove_expired_sessions(&db, now).await?;
            Ok(outcomes.max(sessions).max(changes.remove_expired(now).await?))
        };
        match removed.await {
            Ok(REMOVAL_BATCH) => continue,
            Ok(_) => {}
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(
                error = error.kind(),
                "expired idempotency records, sessions and changes could not be removed"
            ),
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// Removes some of the outcomes that have expired by `now`, and returns their number. If it is [`REMOVAL_BATCH`], there
/// may be more.
pub async fn remove_expired_outcomes(db: &Database, now: DateTime<Utc>) -> Result<u64> {
    db.remove_batch(idempotency::removal_of_expired, now).await
}

/// As [`remove_expired_outcomes`], for sessions.
pub async fn remove_expired_sessions(db: &Database, now: DateTime<Utc>) -> Result<u64> {
    db.remove_batch(access::removal_of_expired_sessions, now).await
}
