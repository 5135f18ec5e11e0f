//! Changes of other clients that follow from a merge or a removal. Each is recorded in its client's audit log; none
//! queues a message.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::{audit_record, client};

use super::{LockedClient, MOST_MERGED};
use crate::{
    audit::{Action, Chain, Change, Head, Subject},
    caller::Caller,
    client::{
        Aggregate, ClientParts, Clients, LAST_VERSION,
        aggregate::{read_all_for_change, select_for_change},
    },
    definitions::Definitions,
    upsert::{ClientRow, diff::ClientDiff},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Batch, Transaction, is_locked};

/// Returns the number of clients that were merged into one of these two, directly or through others: a removal of those
/// between makes them refer to it.
pub(super) async fn count_merged(from_key: &str, into_key: &str, transaction: &Transaction) -> Result<usize> {
    let merged = merged_into([from_key, into_key], transaction).await?;
    Ok(merged.into_values().flatten().collect::<HashSet<_>>().len())
}

/// Returns the stored clients that were merged into each of these, directly or through others: at least
/// [`MOST_MERGED`] of each that has as many. Reads those that were merged directly first, then those into these, and so
/// on: most clients have none, and a distributed database has no recursive statements.
pub(in crate::upsert) async fn merged_into<'a>(
    keys: impl IntoIterator<Item = &'a str>,
    transaction: &Transaction,
) -> Result<HashMap<String, HashSet<String>>> {
    let mut merged: HashMap<String, HashSet<String>> = HashMap::new();
    // The keys whose merged clients are read next, each with those of the given keys that it leads to.
    let mut next: HashMap<String, Vec<String>> = HashMap::new();
    for key in keys {
        next.insert(key.to_owned(), vec![key.to_owned()]);
    }
    while !next.is_empty() {
        let sql = format!(
            "SELECT encoded_key, merged_into_key FROM client WHERE {}",
            transaction.dialect.is_one_of("merged_into_key", "$1")
        );
        let keys = serde_json::to_string(&next.keys().collect::<Vec<_>>()).map_err(Error::internal)?;
        let present = std::mem::take(&mut next);
        for row in transaction.all(sql, [keys.into()]).await? {
            let (key, into): (String, String) = row.try_get_many_by_index()?;
            for root in present.get(&into).into_iter().flatten() {
                let found = merged.entry(root.clone()).or_default();
                if found.len() < MOST_MERGED && found.insert(key.clone()) {
                    next.entry(key.clone()).or_default().push(root.clone());
                }
            }
        }
    }
    Ok(merged)
}

/// Adds the changes of locked clients to the batch, with their audit records.
pub(super) async fn put(
    clients: &Clients,
    caller: &Caller,
    changes: Vec<(LockedClient, Aggregate)>,
    definitions: &Definitions,
    now: DateTime<Utc>,
    transaction: &Transaction,
    batch: &mut Batch,
) -> Result<()> {
    let (mut records, mut rows): (Vec<audit_record::Model>, Vec<(client::Model, Head)>) = Default::default();
    for ((before, head), after) in &changes {
        let diff = ClientDiff::between(Some(before), after);
        let key = &after.client.encoded_key;
        let change = Change {
            chain: Chain::Client(key),
            subject: Subject::Client,
            subject_key: key,
            action: Action::Changed,
            members: diff.members(definitions),
        };
        let (record, head) = clients.audit.seal(transaction, caller, &change, head, now).await?;
        records.push(record);
        let row = client::Model {
            // A removal must not fail because of a client that refers to the removed one.
            version: match before.client.version {
                version if version < LAST_VERSION => version + 1,
                last => last,
            },
            updated_at: now.max(before.client.updated_at),
            ..after.client.clone()
        };
        rows.push((row, head));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<ClientRow<'_>> = rows.iter().map(|(row, head)| ClientRow::new(row, head)).collect();
    batch.put_columns::<client::Entity>(&ClientRow::columns(), &rows)?;
    let values = changes
        .iter()
        .flat_map(|(_, after)| after.custom_values.iter().flatten());
    batch.put::<entity::custom_field_value::Entity>(&values.collect::<Vec<_>>())?;
    batch.insert::<audit_record::Entity>(&Vec::from_iter(&records))
}

impl Clients {
    /// Redirects the references to a removed client that other clients were merged into. They lead to the client that
    /// the removed one was merged into itself, or to none. Earlier versions imported clients that were merged into
    /// themselves or in a circle: no client refers to itself afterwards. Returns the former rows of the changed
    /// clients.
    pub(crate) async fn release_merged(
        &self,
        caller: &Caller,
        removed: &client::Model,
        definitions: &Definitions,
        now: DateTime<Utc>,
        transaction: &Transaction,
    ) -> Result<Vec<client::Model>> {
        let which = "c.merged_into_key = $1 AND c.encoded_key <> $1";
        let key = || [sea_orm::Value::from(&removed.encoded_key)];
        let any = format!("SELECT 1 FROM client c WHERE {which} LIMIT 1");
        let select = select_for_change(transaction.record_form(), ClientParts::default());
        let keys = format!("SELECT c.encoded_key FROM client c WHERE {which}");
        let successor = removed.merged_into_key.as_ref();
        let successor = successor.filter(|successor| **successor != removed.encoded_key);
        let mut released = Vec::new();
        // A client that was removed while this transaction waited for it has passed on the references to it: the next
        // statement sees them.
        while transaction.one(any.as_str(), key()).await?.is_some() {
            let locked = transaction.lock_each::<client::Entity>(keys.as_str(), key(), "UPDATE");
            let locked = locked.await?;
            let lock = transaction.locking(" FOR UPDATE OF c");
            let sql = format!("{select} WHERE {which} ORDER BY c.encoded_key{lock}");
            let mut merged = read_all_for_change(transaction, sql, key()).await?;
            merged.retain(|(before, _)| is_locked(locked.as_deref(), &[&before.client.encoded_key]));
            released.extend(merged.iter().map(|(before, _)| before.client.clone()));
            let changes = merged.into_iter().map(|(before, head)| {
                let mut after = before.clone();
                let others = successor.filter(|successor| **successor != after.client.encoded_key);
                after.client.merged_into_key = others.cloned();
                ((before, head), after)
            });
            let (changes, mut batch) = (changes.collect(), transaction.batch());
            put(self, caller, changes, definitions, now, transaction, &mut batch).await?;
            transaction.write(batch).await?;
        }
        Ok(released)
    }
}
