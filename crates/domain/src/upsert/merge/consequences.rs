//! Changes of other clients that follow from a merge or a removal. Each is recorded in its client's audit log; none
//! queues a message.

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
use clientele_core::error::Result;
use clientele_storage::db::{Batch, Dialect, Transaction};

/// Returns the number of clients that were merged into one of these two, directly or through others: a removal of those
/// between makes them refer to it. Counts at most [`MOST_MERGED`].
pub(super) async fn count_merged(from_key: &str, into_key: &str, transaction: &Transaction) -> Result<usize> {
    let sql = format!(
        "WITH RECURSIVE merged (encoded_key) AS (SELECT encoded_key FROM client WHERE merged_into_key IN ($1, $2) \
         UNION SELECT c.encoded_key FROM merged m JOIN client c ON c.merged_into_key = m.encoded_key) \
         SELECT count(*) FROM (SELECT 1 FROM merged LIMIT {MOST_MERGED}) counted"
    );
    let row = transaction.one(sql, [from_key.into(), into_key.into()]).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
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
        let select = select_for_change(transaction.dialect, ClientParts::default());
        let lock = match transaction.dialect {
            Dialect::Postgres => " FOR UPDATE OF c",
            Dialect::Sqlite => "",
        };
        let successor = removed.merged_into_key.as_ref();
        let successor = successor.filter(|successor| **successor != removed.encoded_key);
        let mut released = Vec::new();
        // A client that was removed while this transaction waited for it has passed on the references to it: the next
        // statement sees them.
        while transaction.one(any.as_str(), key()).await?.is_some() {
            let sql = format!("{select} WHERE {which} ORDER BY c.encoded_key{lock}");
            let merged = read_all_for_change(transaction, sql, key()).await?;
            released.extend(merged.iter().map(|(before, _)| before.client.clone()));
            let changes = merged.into_iter().map(|(before, head)| {
                let mut after = before.clone();
                let others = successor.filter(|successor| **successor != after.client.encoded_key);
                after.client.merged_into_key = others.cloned();
                ((before, head), after)
            });
            let (changes, mut batch) = (changes.collect(), Batch::new(transaction.dialect));
            put(self, caller, changes, definitions, now, transaction, &mut batch).await?;
            transaction.write(batch).await?;
        }
        Ok(released)
    }
}
