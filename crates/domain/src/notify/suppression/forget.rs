//! Removes the entries that receipts about the messages of a client have made: they are data of this client.
//!
//! Other entries stay, also with the same recipient. Otherwise a caller who can create and delete clients could take
//! any recipient off the list.

use chrono::{DateTime, Utc};
use entity::{Table, suppression};
use sea_orm::FromQueryResult;

use super::change::record;
use crate::{
    audit::{Action, AuditLog},
    caller::Caller,
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Transaction;

/// Removes the entries of a client whose messages have been removed in this transaction. Returns them.
pub(crate) async fn forget(client_key: &str, transaction: &Transaction) -> Result<Vec<suppression::Model>> {
    let sql = format!(
        "DELETE FROM suppression WHERE client_key = $1 RETURNING {}",
        suppression::Entity::columns().join(", ")
    );
    let rows = transaction.all(sql, [client_key.into()]).await?;
    let rows = rows.iter().map(|row| suppression::Model::from_query_result(row, ""));
    rows.collect::<Result<_, _>>().map_err(Error::from)
}

/// Records the removal of entries. Must be called after all other writes of the transaction.
pub(crate) async fn record_forgotten(
    audit: &AuditLog,
    caller: &Caller,
    forgotten: &[suppression::Model],
    now: DateTime<Utc>,
    transaction: &Transaction,
) -> Result<()> {
    for row in forgotten {
        record(audit, caller, row, Action::Deleted, now, transaction).await?;
    }
    Ok(())
}
