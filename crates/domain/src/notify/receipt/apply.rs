//! Applies receipts to their messages.

use chrono::{DateTime, Utc};
use entity::{Table, message, suppression};
use serde::{Deserialize, Serialize};

use super::Receipt;
use crate::{
    caller::{Caller, Rights},
    enums::{Channel, ReceiptStatus},
    message_guard::Recipients,
    notify::{
        MessageKey,
        search::{key_pairs, lock},
    },
};
use clientele_core::{
    error::{Error, Result},
    scalar::new_key,
};
use clientele_storage::db::Transaction;

/// The effects of receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiptCounts {
    /// Receipts that changed the state of a message, by their status.
    pub delivered: u64,
    pub bounced: u64,
    pub failed: u64,
    pub complained: u64,
    /// Repeated receipts, and those of a lower rank than an earlier one.
    pub unchanged: u64,
    /// Receipts of messages that don't exist.
    pub unknown: u64,
    /// Receipts of messages of other systems.
    pub foreign: u64,
    /// Receipts that are kept until their message is recorded as sent.
    pub early: u64,
    /// Recipients added to the suppression list.
    pub suppressed: u64,
}

impl ReceiptCounts {
    pub(super) fn applied(&mut self, status: ReceiptStatus) {
        *match status {
            ReceiptStatus::Delivered => &mut self.delivered,
            ReceiptStatus::Bounced => &mut self.bounced,
            ReceiptStatus::Failed => &mut self.failed,
            ReceiptStatus::Complained => &mut self.complained,
        } += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.bounced += other.bounced;
        self.failed += other.failed;
        self.complained += other.complained;
        self.unchanged += other.unchanged;
        self.unknown += other.unknown;
        self.foreign += other.foreign;
        self.early += other.early;
        self.suppressed += other.suppressed;
    }

    pub(super) fn is_written(&self) -> bool {
        self.delivered + self.bounced + self.failed + self.complained > 0
    }
}

/// The caller who reported a receipt, as the suppression list keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct By {
    pub kind: String,
    pub id: String,
    pub name: String,
}

impl By {
    pub fn of(caller: &Caller) -> Self {
        Self {
            kind: caller.kind.as_str().to_owned(),
            id: caller.id.to_string(),
            name: caller.name.to_string(),
        }
    }
}

/// Applies receipts to their messages, which it locks, and adds recipients to the suppression list.
pub(super) async fn apply(
    receipts: Vec<(MessageKey, Vec<&Receipt>)>,
    by: &By,
    recipients: Recipients,
    now: DateTime<Utc>,
    transaction: &Transaction,
) -> Result<ReceiptCounts> {
    let mut counts = ReceiptCounts::default();
    if receipts.is_empty() {
        return Ok(counts);
    }
    let keys = key_pairs(receipts.iter().map(|(key, _)| key))?;
    let mut stored = lock(&keys, &Rights::all(), transaction).await?;
    let (mut changed, mut suppressions) = (Vec::new(), Vec::new());
    for (key, receipts) in &receipts {
        let Some(mut message) = stored.remove(key) else {
            // Its client was removed meanwhile.
            counts.unknown += receipts.len() as u64;
            continue;
        };
        let mut is_changed = false;
        for receipt in receipts {
            let receipt = receipt.concerning(&message, recipients);
            let Some(after) = receipt.applied(&message, now) else {
                counts.unchanged += 1;
                continue;
            };
            counts.applied(receipt.status);
            is_changed = true;
            message = after;
            let channel = Channel::parse(&message.channel);
            if let (Some(reason), Some(channel)) = (receipt.suppresses(), channel) {
                suppressions.push(suppression::Model {
                    encoded_key: new_key(),
                    channel: channel.as_str().to_owned(),
                    recipient: recipients.normalise(channel, &message.recipient),
                    reason: reason.as_str().to_owned(),
                    created_at: now,
                    caller_kind: by.kind.clone(),
                    caller_id: by.id.clone(),
                    caller_name: by.name.clone(),
                    client_key: Some(message.client_key.clone()),
                });
            }
        }
        if is_changed {
            changed.push(message);
        }
    }
    let mut batch = transaction.batch();
    batch.put::<message::Entity>(&Vec::from_iter(&changed))?;
    transaction.write(batch).await?;
    counts.suppressed = add_suppressions(suppressions, transaction).await?;
    Ok(counts)
}

/// Adds recipients to the suppression list, and returns their number. Those that are on it stay as they are.
async fn add_suppressions(mut rows: Vec<suppression::Model>, transaction: &Transaction) -> Result<u64> {
    rows.sort_by(|a, b| (&a.channel, &a.recipient).cmp(&(&b.channel, &b.recipient)));
    rows.dedup_by(|a, b| (&a.channel, &a.recipient) == (&b.channel, &b.recipient));
    if rows.is_empty() {
        return Ok(0);
    }
    let (table, columns) = (suppression::Entity::table(), suppression::Entity::columns());
    let sql = format!(
        "INSERT INTO {table} ({}) {} ON CONFLICT (channel, recipient) DO NOTHING RETURNING 1",
        columns.join(", "),
        transaction.dialect.rows_of_json(table, &columns, "$1")
    );
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    // Citus counts the rows that exist already, too, and doesn't return them.
    Ok(transaction.all(sql, [rows.into()]).await?.len() as u64)
}
