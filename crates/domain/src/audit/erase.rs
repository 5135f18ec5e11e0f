//! Erases the contents of records, but not that there were any. An erasure is a record itself: contents that are
//! missing without one are a finding.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, AuditLog, Chain, Change, Head, Members, Subject, search::decode};
use crate::caller::Caller;
use clientele_core::error::Result;
use clientele_storage::db::{Batch, Transaction};

/// Returns when the chain that ends at `head` was erased, if only the record of the erasure has contents.
pub(crate) async fn erased_at(
    transaction: &Transaction,
    client_key: &str,
    head: &Head,
) -> Result<Option<DateTime<Utc>>> {
    let row = transaction.dialect.row::<audit_record::Entity>("a");
    let row = transaction.dialect.cast_to_text(&row);
    let erased = Action::Erased.as_str();
    let sql = format!(
        "SELECT {row} FROM audit_record a WHERE a.chain = $1 AND a.position = $2 AND a.action = '{erased}' \
         AND NOT EXISTS (SELECT 1 FROM audit_record o \
         WHERE o.chain = $1 AND o.position <> $2 AND o.contents IS NOT NULL)"
    );
    let row = transaction.one(sql, [client_key.into(), head.count.into()]).await?;
    Ok(row.as_ref().map(decode).transpose()?.map(|record| record.recorded_at))
}

impl AuditLog {
    /// Erases the contents of all records of a client's chain, which ends at `head`, and appends a record of the
    /// erasure. Callers and times of changes stay, and the chain still verifies. Returns how many records had contents,
    /// and the new end. The calling function must hold a lock on the present end and write the new one.
    pub async fn erase(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        client_key: &str,
        head: &Head,
        now: DateTime<Utc>,
    ) -> Result<(u64, Head)> {
        let sql = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = $1 AND contents IS NOT NULL";
        let erased = transaction.run(sql, [client_key.into()]).await?;
        let mut members = Vec::new();
        let last = Some(head.count).filter(|count| *count > 0);
        Members::new(&mut members).text("records", None, last.map(|last| format!("1 to {last}")).as_deref());
        let change = Change {
            chain: Chain::Client(client_key),
            subject: Subject::Client,
            subject_key: client_key,
            action: Action::Erased,
            members,
        };
        let mut batch = Batch::new(transaction.dialect);
        let head = self.append(transaction, &mut batch, caller, &change, head, now).await?;
        transaction.write(batch).await?;
        Ok((erased, head))
    }
}
