//! The outbox as workers use it: messages are claimed under a lease and settled under the same lease.
//!
//! No transaction is open while a message is sent. A claim that isn't settled in time can be claimed again, and a late
//! settlement by the previous worker has no effect. The contents of old messages are removed; the record that a message
//! was sent stays.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use entity::{Table, instant, message};

use clientele_core::{
    error::{Error, Result},
    scalar::new_key,
};
use clientele_domain::{
    enums::{Channel, MessageState},
    notify::decode,
};
use clientele_storage::db::{Database, Dialect, Step, Transaction, Work};

/// The maximum number of messages in one batch, so that others wait only briefly for its locks.
pub const REMOVAL_BATCH: u64 = 1_000;

/// Claims up to `most` due messages of a channel, in the order of their due times. No other worker can claim them
/// before `lease` ends.
pub async fn claim(
    db: &Database,
    channel: Channel,
    most: usize,
    now: DateTime<Utc>,
    lease: Duration,
) -> Result<Vec<message::Model>> {
    db.write(&Claim {
        channel,
        most,
        now,
        until: now + lease,
    })
    .await
}

struct Claim {
    channel: Channel,
    most: usize,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Work for Claim {
    type Output = Vec<message::Model>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let dialect = transaction.dialect;
        let skip_locked = match dialect {
            Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
            Dialect::Sqlite => "",
        };
        // The limit is a literal because the query plan depends on it; workers use few different limits.
        let sql = format!(
            "WITH due AS (SELECT client_key, encoded_key FROM message WHERE channel = $1 AND due_at <= {now} \
             ORDER BY due_at LIMIT {most} {skip_locked}) \
             UPDATE message SET state = $3, lease = $4, due_at = {until} \
             WHERE (client_key, encoded_key) IN (SELECT client_key, encoded_key FROM due) RETURNING {row}",
            now = dialect.cast("$2", "timestamptz"),
            until = dialect.cast("$5", "timestamptz"),
            most = self.most,
            row = dialect.cast_to_text(&dialect.row::<message::Entity>("message")),
        );
        let values = [
            self.channel.as_str().into(),
            instant::to_text(&self.now).into(),
            MessageState::Sending.as_str().into(),
            new_key().into(),
            instant::to_text(&self.until).into(),
        ];
        let rows = transaction.all(sql, values).await?;
        if rows.is_empty() {
            return Ok(Step::Discard(Vec::new()));
        }
        let mut messages: Vec<_> = rows.iter().map(decode).collect::<Result<_>>()?;
        messages.sort_by(|a, b| (a.queued_at, &a.encoded_key).cmp(&(b.queued_at, &b.encoded_key)));
        Ok(Step::Commit(messages))
    }
}

/// Records the outcomes of claimed messages, which still hold their leases. Returns the keys of those whose lease was
/// valid.
pub async fn settle(db: &Database, messages: &[&message::Model]) -> Result<HashSet<String>> {
    db.write(&Settle(messages)).await
}

struct Settle<'a>(&'a [&'a message::Model]);

impl Work for Settle<'_> {
    type Output = HashSet<String>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        const SETTLED: [&str; 9] = [
            "state",
            "attempts",
            "first_attempt_at",
            "due_at",
            "sent_at",
            "failed_at",
            "provider_id",
            "reason",
            "detail",
        ];
        let table = message::Entity::table();
        let rows = transaction
            .dialect
            .rows_of_json(table, &message::Entity::columns(), "$1");
        let values = SETTLED.map(|column| match column {
            // Providers quote the recipient's address, and the client's data may have been erased since the claim.
            "provider_id" | "detail" => {
                format!("{column} = CASE WHEN message.recipient = '' THEN NULL ELSE s.{column} END")
            }
            column => format!("{column} = s.{column}"),
        });
        let sql = format!(
            "UPDATE {table} SET lease = NULL, {} FROM ({rows}) s WHERE message.client_key = s.client_key \
             AND message.encoded_key = s.encoded_key AND message.lease = s.lease RETURNING message.encoded_key",
            values.join(", ")
        );
        let messages = serde_json::to_string(self.0).map_err(Error::internal)?;
        let rows = transaction.all(sql, [messages.into()]).await?;
        let keys = rows.iter().map(|row| row.try_get_by_index(0).map_err(Error::from));
        Ok(Step::Commit(keys.collect::<Result<_>>()?))
    }
}

/// Removes the contents of up to [`REMOVAL_BATCH`] messages sent before `before`. Returns their number; if it equals
/// [`REMOVAL_BATCH`], there may be more.
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
             ORDER BY sent_at LIMIT {REMOVAL_BATCH})",
            transaction.dialect.cast("$1", "timestamptz")
        );
        let before = instant::to_text(&self.before);
        Ok(Step::Commit(transaction.run(sql, [before.into()]).await?))
    }
}

/// Removes up to [`REMOVAL_BATCH`] messages created before `before` that aren't to be sent any more. Returns their
/// number; if it equals [`REMOVAL_BATCH`], there may be more.
pub async fn remove_messages(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    db.write(&RemoveMessages { before }).await
}

struct RemoveMessages {
    before: DateTime<Utc>,
}

impl Work for RemoveMessages {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        // Checks the due time again outside: a message can be queued again meanwhile.
        let sql = format!(
            "DELETE FROM message WHERE due_at IS NULL AND (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM message WHERE created_at < {} AND due_at IS NULL \
             ORDER BY created_at, encoded_key LIMIT {REMOVAL_BATCH})",
            transaction.dialect.cast("$1", "timestamptz")
        );
        let before = instant::to_text(&self.before);
        Ok(Step::Commit(transaction.run(sql, [before.into()]).await?))
    }
}
