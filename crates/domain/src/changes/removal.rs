//! Removes changes whose retention has ended from the feed.

use chrono::{DateTime, Utc};
use entity::instant;
use sea_orm::Value;

use super::{ChangeFeed, Position, read::horizon};
use clientele_core::error::Result;
use clientele_storage::db::{Dialect, REMOVAL_BATCH, Step, Transaction, Work};

impl ChangeFeed {
    /// Removes some of the changes whose retention has ended by `now`, and returns their number. If it is
    /// [`REMOVAL_BATCH`], there may be more. The last change stays: the next one gets its number from it.
    pub async fn remove_expired(&self, now: DateTime<Utc>) -> Result<u64> {
        let expired = now - self.retention;
        self.db.write(&RemoveUntil(expired)).await
    }
}

/// Removes the changes before a time.
struct RemoveUntil(DateTime<Utc>);

impl Work for RemoveUntil {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        // The feed begins anew where the changes end that were removed together.
        let lock = match transaction.dialect {
            Dialect::Postgres => " FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let name = transaction
            .one(format!("SELECT name FROM change_feed{lock}"), [])
            .await?;
        let Some(name) = name else { return Ok(Step::Discard(0)) };
        let name: String = name.try_get_by_index(0)?;
        let sql = format!(
            "SELECT e.ordinal, e.id, a.hmac, e.recorded_at < {} FROM (SELECT * FROM client_change WHERE ordinal < {} \
             ORDER BY ordinal, id LIMIT {}) e JOIN audit_record a ON a.chain = e.client_key AND a.position = e.position \
             ORDER BY e.ordinal, e.id",
            transaction.dialect.cast("$1", "timestamptz"),
            horizon(transaction.dialect),
            REMOVAL_BATCH + 1
        );
        let rows = transaction.all(sql, [instant::to_text(&self.0).into()]).await?;
        let (mut removed, mut last) = (0, None);
        for row in rows.iter().take(rows.len().saturating_sub(1)) {
            let (ordinal, id, hmac, is_expired): (i64, i64, String, bool) = row.try_get_many_by_index()?;
            if !is_expired {
                break;
            }
            removed += 1;
            last = Some(Position::after(ordinal, id, &name, &hmac));
        }
        let Some(last) = last else { return Ok(Step::Discard(0)) };
        let values: [Value; 2] = [last.ordinal.into(), last.id.into()];
        let sql = "DELETE FROM client_change WHERE (ordinal, id) <= ($1, $2)";
        transaction.run(sql, values).await?;
        let sql = "UPDATE change_feed SET begins_after = $1";
        transaction.run(sql, [last.to_string().into()]).await?;
        Ok(Step::Commit(removed))
    }
}
