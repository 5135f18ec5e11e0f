//! Records receipts.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    Receipt, ReceiptMessage,
    apply::{By, ReceiptCounts, apply},
    early,
};
use crate::{
    caller::{Caller, Permission},
    message_guard::Recipients,
    notify::{MessageKey, Messages},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

impl Messages {
    /// Records at most [`MOST_RECEIPTS`](super::MOST_RECEIPTS) receipts. The result doesn't depend on their order, and
    /// repeating them changes nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without RECORD_RECEIPTS, [`Error::LimitedRights`] for a caller who is limited to branches
    /// or centres: a gateway reports about the messages of all clients.
    pub async fn record_receipts(
        &self,
        caller: &Caller,
        receipts: &[Receipt],
        now: DateTime<Utc>,
    ) -> Result<ReceiptCounts> {
        caller.require(Permission::RecordReceipts)?;
        if caller.rights.are_limited() {
            return Err(Error::LimitedRights);
        }
        if receipts.is_empty() {
            return Ok(ReceiptCounts::default());
        }
        // The databases keep microseconds.
        let work = Recording {
            recipients: self.guard.recipients(),
            caller,
            receipts,
            now: now.trunc_subsecs(6),
        };
        let is_foreign = |receipt: &Receipt| matches!(receipt.message, ReceiptMessage::Foreign);
        let counts = match receipts.iter().all(is_foreign) {
            // Nothing is stored: this works without the database, too.
            true => ReceiptCounts {
                foreign: receipts.len() as u64,
                ..ReceiptCounts::default()
            },
            false => self.db.write(&work).await?,
        };
        self.metrics.count_receipts(&counts);
        log(&counts);
        if let Some(foreign) = self.foreign_log.add(counts.foreign) {
            tracing::warn!(
                foreign,
                caller_kind = caller.kind.as_str(),
                caller_key = caller.key_for_log().map(|key| &**key),
                "delivery receipts ignored: they name no message by its encodedKey or Message-ID"
            );
        }
        Ok(counts)
    }
}

/// Logs the receipts of a request. Deliveries are the usual ones.
fn log(counts: &ReceiptCounts) {
    let ReceiptCounts {
        delivered,
        bounced,
        failed,
        complained,
        unchanged,
        unknown,
        foreign: _,
        early,
        suppressed,
    } = *counts;
    match bounced + failed + complained {
        0 => tracing::debug!(delivered, unchanged, unknown, early, "delivery receipts recorded"),
        _ => tracing::info!(
            delivered,
            bounced,
            failed,
            complained,
            unchanged,
            unknown,
            early,
            suppressed,
            "messages came back or failed"
        ),
    }
}

struct Recording<'a> {
    recipients: Recipients,
    caller: &'a Caller,
    receipts: &'a [Receipt],
    now: DateTime<Utc>,
}

impl Work for Recording<'_> {
    type Output = ReceiptCounts;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<ReceiptCounts>> {
        let mut counts = ReceiptCounts::default();
        let mut of_messages: BTreeMap<(String, String), Vec<&Receipt>> = BTreeMap::new();
        let by_key = messages_of_keys(self.receipts, transaction).await?;
        let (by_provider_id, has_early) = early::find(self.receipts, self.caller, self.now, transaction).await?;
        for receipt in self.receipts {
            let found = match &receipt.message {
                ReceiptMessage::Key(key) => by_key.get(key),
                ReceiptMessage::ProviderId(id) => by_provider_id.get(id),
                ReceiptMessage::Foreign => None,
            };
            match (found, &receipt.message) {
                (Some(key), _) => of_messages.entry(key.clone()).or_default().push(receipt),
                (None, ReceiptMessage::Key(_)) => counts.unknown += 1,
                (None, ReceiptMessage::ProviderId(_)) => counts.early += 1,
                (None, ReceiptMessage::Foreign) => counts.foreign += 1,
            }
        }
        let receipts = of_messages.into_iter().map(|((client_key, encoded_key), receipts)| {
            let key = MessageKey {
                client_key,
                encoded_key,
            };
            (key, receipts)
        });
        let by = By::of(self.caller);
        let applied = apply(receipts.collect(), &by, self.recipients, self.now, transaction).await?;
        counts.add(&applied);
        match has_early || applied.is_written() {
            true => Ok(Step::Commit(counts)),
            false => Ok(Step::Discard(counts)),
        }
    }
}

/// The messages with the keys that receipts name.
async fn messages_of_keys(
    receipts: &[Receipt],
    transaction: &Transaction,
) -> Result<HashMap<String, (String, String)>> {
    let keys: Vec<&str> = receipts
        .iter()
        .filter_map(|receipt| match &receipt.message {
            ReceiptMessage::Key(key) => Some(&**key),
            ReceiptMessage::ProviderId(_) | ReceiptMessage::Foreign => None,
        })
        .collect();
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let which = transaction.dialect.is_one_of("encoded_key", "$1");
    let sql = format!("SELECT client_key, encoded_key FROM raised_message WHERE {which}");
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    for row in transaction.all(sql, [keys.into()]).await? {
        let key: (String, String) = row.try_get_many_by_index()?;
        found.insert(key.1.clone(), key);
    }
    Ok(found)
}
