//! Receipts that name messages by the provider's id. A provider can report before the worker has recorded its id.
//!
//! The receipt and the record of the id both write the row of that id, so that one of them waits for the other and sees
//! it, whichever comes first. An early receipt is kept there until the id is recorded.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use entity::{Table, message, provider_message};
use serde::{Deserialize, Serialize};

use super::{
    Receipt, ReceiptMessage,
    apply::{By, ReceiptCounts, apply},
};
use crate::{caller::Caller, message_guard::Recipients, notify::MessageKey};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Database, Dialect, Transaction};

/// An early receipt as it is stored.
#[derive(Serialize, Deserialize)]
struct Early {
    receipt: Receipt,
    by: By,
}

/// Finds the messages that receipts name by the provider's ids, and keeps the receipts of the others. Returns also
/// whether any was kept.
pub(super) async fn find(
    receipts: &[Receipt],
    caller: &Caller,
    now: DateTime<Utc>,
    transaction: &Transaction,
) -> Result<(HashMap<String, (String, String)>, bool)> {
    // Of several receipts with one id, the one with the highest rank decides.
    let mut highest: BTreeMap<&str, &Receipt> = BTreeMap::new();
    for receipt in receipts {
        if let ReceiptMessage::ProviderId(id) = &receipt.message {
            let known = highest.entry(id).or_insert(receipt);
            if receipt.rank() > known.rank() {
                *known = receipt;
            }
        }
    }
    let mut found = HashMap::new();
    if highest.is_empty() {
        return Ok((found, false));
    }
    let row = |(id, receipt): (&str, &Receipt)| {
        let early = Early {
            receipt: receipt.clone(),
            by: By::of(caller),
        };
        Ok(provider_message::Model {
            provider_id: id.to_owned(),
            client_key: None,
            encoded_key: None,
            rank: Some(receipt.rank()),
            receipt: Some(serde_json::to_string(&early).map_err(Error::internal)?),
            created_at: now,
        })
    };
    let rows: Vec<provider_message::Model> = highest.into_iter().map(row).collect::<Result<_>>()?;
    let table = provider_message::Entity::table();
    let is_higher = format!("{table}.client_key IS NULL AND excluded.rank > coalesce({table}.rank, 0)");
    let columns = ["provider_id", "rank", "receipt", "created_at"];
    let [rank, receipt] = ["rank", "receipt"]
        .map(|column| format!("{column} = CASE WHEN {is_higher} THEN excluded.{column} ELSE {table}.{column} END"));
    let sql = format!(
        "INSERT INTO {table} ({}) {} ORDER BY provider_id ON CONFLICT (provider_id) DO UPDATE SET {rank}, {receipt} \
         RETURNING provider_id, client_key, encoded_key",
        columns.join(", "),
        transaction.dialect.rows_of_json(table, &columns, "$1")
    );
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    let mut has_early = false;
    for row in transaction.all(sql, [rows.into()]).await? {
        let (id, client, key): (String, Option<String>, Option<String>) = row.try_get_many_by_index()?;
        match client.zip(key) {
            Some(message) => _ = found.insert(id, message),
            None => has_early = true,
        }
    }
    Ok((found, has_early))
}

/// Records the provider's ids of messages that a provider has just accepted, and applies the receipts that came before.
/// Must be called in the transaction that records the acceptance.
pub async fn record_provider_ids(
    transaction: &Transaction,
    accepted: &[&message::Model],
    recipients: Recipients,
    now: DateTime<Utc>,
) -> Result<ReceiptCounts> {
    // A provider that gives the same id twice: the last message has it.
    let ids = accepted
        .iter()
        .filter_map(|message| Some((message.provider_id.as_deref()?, *message)));
    let by_id: BTreeMap<&str, &message::Model> = ids.collect();
    if by_id.is_empty() {
        return Ok(ReceiptCounts::default());
    }
    let rows = by_id.into_iter().map(|(id, message)| provider_message::Model {
        provider_id: id.to_owned(),
        client_key: Some(message.client_key.clone()),
        encoded_key: Some(message.encoded_key.clone()),
        rank: None,
        receipt: None,
        created_at: now,
    });
    let rows: Vec<provider_message::Model> = rows.collect();
    let table = provider_message::Entity::table();
    let columns = ["provider_id", "client_key", "encoded_key", "created_at"];
    let sql = format!(
        "INSERT INTO {table} ({}) {} ORDER BY provider_id ON CONFLICT (provider_id) DO UPDATE SET \
         client_key = excluded.client_key, encoded_key = excluded.encoded_key \
         RETURNING provider_id, client_key, encoded_key, receipt",
        columns.join(", "),
        transaction.dialect.rows_of_json(table, &columns, "$1")
    );
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    let (mut early, mut used) = (Vec::new(), Vec::new());
    for row in transaction.all(sql, [rows.into()]).await? {
        let (id, client_key, encoded_key, receipt): (String, String, String, Option<String>) =
            row.try_get_many_by_index()?;
        let Some(receipt) = receipt else { continue };
        used.push(id);
        // A receipt in a later version's form is left out.
        if let Ok(receipt) = serde_json::from_str(&receipt) {
            let key = MessageKey {
                client_key,
                encoded_key,
            };
            early.push((key, receipt));
        }
    }
    if !used.is_empty() {
        // A gateway gives a repeated message the same id: its receipts must not be applied again.
        let which = transaction.dialect.is_one_of("provider_id", "$1");
        let sql = format!("UPDATE {table} SET rank = NULL, receipt = NULL WHERE {which}");
        let used = serde_json::to_string(&used).map_err(Error::internal)?;
        transaction.run(sql, [used.into()]).await?;
    }
    let mut counts = ReceiptCounts::default();
    for (key, Early { receipt, by }) in &early {
        let applied = apply(vec![(key.clone(), vec![receipt])], by, recipients, now, transaction);
        counts.add(&applied.await?);
    }
    Ok(counts)
}

/// Removes some of the early receipts that came before `before`, whose messages are of another system, and returns
/// their number, as [`Database::remove_batch`] does.
pub async fn remove_early_receipts(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    db.remove_batch(removal, before).await
}

/// On a distributed database, removes some of the providers' ids that were recorded before `before`, and returns their
/// number, as [`Database::remove_batch`] does. Elsewhere they are deleted with their messages.
pub async fn remove_provider_ids(db: &Database, before: DateTime<Utc>) -> Result<u64> {
    let statement = |dialect: Dialect, most| {
        format!(
            "DELETE FROM provider_message WHERE provider_id IN (SELECT provider_id FROM provider_message \
             WHERE created_at < {} LIMIT {most})",
            dialect.cast("$1", "timestamptz")
        )
    };
    match db.read().distributed {
        true => db.remove_batch(statement, before).await,
        false => Ok(0),
    }
}

fn removal(dialect: Dialect, most: u64) -> String {
    format!(
        "DELETE FROM provider_message WHERE client_key IS NULL AND provider_id IN (SELECT provider_id \
         FROM provider_message WHERE client_key IS NULL AND created_at < {} ORDER BY created_at LIMIT {most})",
        dialect.cast("$1", "timestamptz")
    )
}
