//! The outbox as workers use it: messages are claimed under a lease and settled under the same lease.
//!
//! No transaction is open while a message is sent. A claim that isn't settled in time can be claimed again, and a late
//! settlement by the previous worker has no effect. The contents of old messages are removed; the record that a message
//! was sent stays.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use entity::{Table, instant, message};

use super::channel::LOGGED;
use super::rate::Rate;
use clientele_core::{
    error::{Error, Result},
    scalar::new_key,
};
use clientele_domain::{
    enums::{Channel, MessageState},
    message_guard::{Recipient, Recipients},
    notify::{
        Messages, decode_columns,
        receipt::{ReceiptCounts, record_provider_ids},
        suppression::listed,
    },
};
use clientele_storage::db::{Database, Dialect, Step, Transaction, Work};

/// The maximum number of messages deferred at once, so that others wait only briefly for their locks.
pub const BATCH: u64 = 1_000;

/// A claim of due messages of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub channel: Channel,
    /// The maximum number of messages.
    pub most: usize,
    pub now: DateTime<Utc>,
    /// No other worker can claim the messages for this long.
    pub lease: Duration,
    pub rate: Option<Rate>,
    /// Normalises the recipients, as the suppression list has them.
    pub recipients: Recipients,
}

/// The result of a claim.
#[derive(Debug, Default)]
pub struct Claimed {
    /// In the order in which they were queued.
    pub messages: Vec<message::Model>,
    /// The messages to recipients on the suppression list. They have no slots.
    pub suppressed: Vec<message::Model>,
    /// The number of messages that could have been claimed.
    pub most: usize,
    /// With a rate: the time of the first free slot after those of the messages.
    pub next_slot: Option<DateTime<Utc>>,
}

/// Claims due messages of a channel in the order of their due times and of their queueing, and slots in its rate for
/// those that will be sent.
pub async fn claim(db: &Database, claim: &Claim) -> Result<Claimed> {
    db.write(claim).await
}

impl Work for Claim {
    type Output = Claimed;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Claimed>> {
        let mut most = self.most;
        if let Some(rate) = &self.rate {
            let next = self.lock_rate(transaction).await?;
            match rate.free_slots(next, self.now) {
                0 => {
                    return Ok(Step::Discard(Claimed {
                        next_slot: Some(next),
                        ..Claimed::default()
                    }));
                }
                free => most = most.min(free),
            }
        }
        // A small set of limits keeps the prepared statements in the cache.
        let most = 1 << most.ilog2();
        let claimed = self.claim(most, transaction).await?;
        if claimed.is_empty() {
            return Ok(Step::Discard(Claimed {
                most,
                ..Claimed::default()
            }));
        }
        let (suppressed, messages) = self.without_suppressed(claimed, transaction).await?;
        let rate = self.rate.filter(|_| !messages.is_empty());
        let next_slot = rate.map(|rate| rate.slot(self.now, messages.len()));
        if let Some(next) = next_slot {
            let sql = format!(
                "UPDATE channel_rate SET next_at = {} WHERE channel = $2",
                transaction.dialect.cast("$1", "timestamptz")
            );
            let values = [instant::to_text(&next).into(), self.channel.as_str().into()];
            transaction.run(sql, values).await?;
        }
        Ok(Step::Commit(Claimed {
            messages,
            suppressed,
            most,
            next_slot,
        }))
    }
}

impl Claim {
    /// The time of the next free slot. No other worker gets slots before the transaction ends.
    async fn lock_rate(&self, transaction: &Transaction) -> Result<DateTime<Utc>> {
        let locking = match transaction.dialect {
            Dialect::Postgres => "FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let sql = format!("SELECT next_at FROM channel_rate WHERE channel = $1 {locking}");
        let row = transaction.one(sql, [self.channel.as_str().into()]).await?;
        // The migration has added a row for each channel.
        let row = row.ok_or_else(|| Error::internal("the table channel_rate lacks a channel"))?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Separates the messages to recipients on the suppression list from the others.
    async fn without_suppressed(
        &self,
        messages: Vec<message::Model>,
        transaction: &Transaction,
    ) -> Result<(Vec<message::Model>, Vec<message::Model>)> {
        let recipient = |message: &message::Model| self.recipients.of(self.channel, &message.recipient);
        let recipients: Vec<Recipient> = messages.iter().map(recipient).collect();
        let listed = listed(transaction, &recipients).await?;
        let (mut suppressed, mut sendable) = (Vec::new(), Vec::new());
        for (message, recipient) in messages.into_iter().zip(recipients) {
            match listed.contains(&recipient) {
                true => suppressed.push(message),
                false => sendable.push(message),
            }
        }
        Ok((suppressed, sendable))
    }

    async fn claim(&self, most: usize, transaction: &Transaction) -> Result<Vec<message::Model>> {
        let dialect = transaction.dialect;
        lock_claims(self.channel, transaction).await?;
        // The limit is a literal because the query plan depends on it; workers use few different limits.
        let set = format!("state = $3, lease = $4, due_at = {}", dialect.cast("$5", "timestamptz"));
        let sql = format!(
            "{} RETURNING {}",
            update_due(most, &set, transaction),
            message::Entity::columns().join(", "),
        );
        let values = [
            self.channel.as_str().into(),
            instant::to_text(&self.now).into(),
            MessageState::Sending.as_str().into(),
            new_key().into(),
            instant::to_text(&(self.now + self.lease)).into(),
        ];
        let rows = transaction.all(sql, values).await?;
        let mut messages: Vec<_> = rows.iter().map(decode_columns).collect::<Result<_>>()?;
        messages.sort_by(|a, b| (a.queued_at, &a.encoded_key).cmp(&(b.queued_at, &b.encoded_key)));
        Ok(messages)
    }
}

/// The first number of the locks of claims, and of channels. They are arbitrary but must not change.
const CLAIMS_LOCK: i32 = 0x6f75_7462;

/// On a distributed database, makes other claims of a channel wait until the transaction ends: rows that another claim
/// has locked can't be skipped there.
async fn lock_claims(channel: Channel, transaction: &Transaction) -> Result<()> {
    if transaction.distributed {
        let channel = match channel {
            Channel::Email => 1,
            Channel::Sms => 2,
        };
        let lock = format!("SELECT pg_advisory_xact_lock({CLAIMS_LOCK}, {channel})");
        transaction.one(lock, []).await?;
    }
    Ok(())
}

/// The statement that changes up to `most` messages of the channel `$1` that are due at `$2`.
fn update_due(most: usize, set: &str, transaction: &Transaction) -> String {
    let is_due = format!(
        "channel = $1 AND due_at <= {}",
        transaction.dialect.cast("$2", "timestamptz")
    );
    // A message may have been settled or resent since it was selected.
    let still = match transaction.distributed {
        true => format!(" AND {is_due}"),
        false => String::new(),
    };
    let locking = transaction.locking("FOR UPDATE SKIP LOCKED");
    format!(
        "WITH due AS (SELECT client_key, encoded_key FROM message WHERE {is_due} ORDER BY due_at, queued_at \
         LIMIT {most} {locking}) UPDATE message SET {set} \
         WHERE (client_key, encoded_key) IN (SELECT client_key, encoded_key FROM due){still}"
    )
}

/// Makes up to [`BATCH`] due messages of a channel due at a later time. Returns their number; if it equals [`BATCH`],
/// there may be more.
pub async fn defer(db: &Database, channel: Channel, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<u64> {
    db.write(&Defer { channel, now, until }).await
}

struct Defer {
    channel: Channel,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Work for Defer {
    type Output = u64;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<u64>> {
        let dialect = transaction.dialect;
        lock_claims(self.channel, transaction).await?;
        // A message that is due while it is being sent belongs to a worker that has died.
        let set = format!(
            "state = $3, lease = NULL, due_at = {}",
            dialect.cast("$4", "timestamptz")
        );
        let sql = update_due(BATCH as usize, &set, transaction);
        let values = [
            self.channel.as_str().into(),
            instant::to_text(&self.now).into(),
            MessageState::Queued.as_str().into(),
            instant::to_text(&self.until).into(),
        ];
        match transaction.run(sql, values).await? {
            0 => Ok(Step::Discard(0)),
            deferred => Ok(Step::Commit(deferred)),
        }
    }
}

/// The messages that were settled.
#[derive(Default)]
pub struct Settled {
    /// The keys of those whose lease was valid.
    pub keys: HashSet<String>,
    /// The receipts that came before the messages were settled.
    pub receipts: ReceiptCounts,
}

/// Records the outcomes of claimed messages, which still hold their leases. If a receipt has decided the state of a
/// message meanwhile, that state stays.
pub async fn settle(messages: &Messages, settled: &[&message::Model]) -> Result<Settled> {
    messages.db.write(&Settle { messages, settled }).await
}

struct Settle<'a> {
    messages: &'a Messages,
    settled: &'a [&'a message::Model],
}

impl Work for Settle<'_> {
    type Output = Settled;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        const SETTLED: [&str; 10] = [
            "state",
            "attempts",
            "first_attempt_at",
            "due_at",
            "sent_at",
            "failed_at",
            "provider",
            "provider_id",
            "reason",
            "detail",
        ];
        let table = message::Entity::table();
        let rows = transaction
            .dialect
            .rows_of_json(table, &message::Entity::columns(), "$1");
        let values = SETTLED.map(|column| match column {
            "attempts" | "first_attempt_at" | "provider" | "provider_id" => format!("{column} = s.{column}"),
            column => {
                let sending = MessageState::Sending.as_str();
                format!("{column} = CASE WHEN message.state = '{sending}' THEN s.{column} ELSE message.{column} END")
            }
        });
        let sql = format!(
            "UPDATE {table} SET lease = NULL, {} FROM ({rows}) s WHERE message.client_key = s.client_key \
             AND message.encoded_key = s.encoded_key AND message.lease = s.lease RETURNING message.encoded_key",
            values.join(", ")
        );
        let messages = serde_json::to_string(self.settled).map_err(Error::internal)?;
        let rows = transaction.all(sql, [messages.into()]).await?;
        let keys = rows.iter().map(|row| row.try_get_by_index(0).map_err(Error::from));
        let keys: HashSet<String> = keys.collect::<Result<_>>()?;
        let accepted = self.settled.iter().copied().filter(|message| has_receipts(message));
        let accepted: Vec<_> = accepted.filter(|message| keys.contains(&message.encoded_key)).collect();
        let mut receipts = ReceiptCounts::default();
        if let Some(now) = accepted.iter().filter_map(|message| message.sent_at).max() {
            let recipients = self.messages.guard.recipients();
            receipts = record_provider_ids(transaction, &accepted, recipients, now).await?;
        }
        Ok(Step::Commit(Settled { keys, receipts }))
    }
}

/// Returns true for a text message that a gateway has accepted, whose receipts can name it by the gateway's id.
fn has_receipts(message: &message::Model) -> bool {
    message.state == MessageState::Sent.as_str()
        && message.channel == Channel::Sms.as_str()
        && message.provider_id.as_deref().is_some_and(|id| id != LOGGED)
}

/// Removes the contents of some of the messages that were sent before `before`, and returns their number, as
/// [`Database::remove_batch`] does.
pub async fn remove_bodies(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    let statement = |dialect: Dialect, most| {
        format!(
            "UPDATE message SET placeholders = NULL WHERE (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM message WHERE sent_at < {} AND placeholders IS NOT NULL \
             ORDER BY sent_at LIMIT {most})",
            dialect.cast("$1", "timestamptz")
        )
    };
    db.remove_batch(statement, before).await
}

/// The same for messages that were created before `before` and are suppressed. They can't be resent afterwards.
pub async fn remove_suppressed_bodies(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    // Checks the state again outside: a message can be queued again meanwhile.
    let statement = |dialect: Dialect, most| {
        format!(
            "UPDATE message SET placeholders = NULL WHERE {state} = '{suppressed}' AND (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM message WHERE state = '{suppressed}' AND created_at < {before} \
             AND placeholders IS NOT NULL ORDER BY created_at, encoded_key LIMIT {most})",
            state = dialect.unindexed("state"),
            suppressed = MessageState::Suppressed.as_str(),
            before = dialect.cast("$1", "timestamptz"),
        )
    };
    db.remove_batch(statement, before).await
}

/// The same for whole messages that were created before `before` and aren't to be sent any more.
pub async fn remove_messages(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    // Checks the due time again outside: a message can be queued again meanwhile.
    let statement = |dialect: Dialect, most| {
        format!(
            "DELETE FROM message WHERE due_at IS NULL AND (client_key, encoded_key) IN (\
             SELECT client_key, encoded_key FROM message WHERE created_at < {} AND due_at IS NULL \
             ORDER BY created_at, encoded_key LIMIT {most})",
            dialect.cast("$1", "timestamptz")
        )
    };
    db.remove_batch(statement, before).await
}
