//! Erases a client's data outside its own rows: in audit records, in messages and their recipients, and in the outcomes
//! of requests about it. This is one function, so that no place is forgotten.

use chrono::{DateTime, Utc};

use super::Clients;
use crate::{
    audit::{self, AuditLog, Head},
    caller::{Caller, Permission},
};
use clientele_core::error::Result;
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// Without its values a message can't be rendered any more: a waiting message is given up, and one that is being sent
/// ends normally. Providers quote addresses in their answers; later results leave those out ([`crate::notify`]).
const MESSAGES: &str = "UPDATE message SET placeholders = NULL, recipient = '', provider_id = NULL, detail = NULL, \
    failed_at = CASE WHEN state = 'QUEUED' THEN $2 ELSE failed_at END, \
    due_at = CASE WHEN state = 'QUEUED' THEN NULL ELSE due_at END, \
    state = CASE WHEN state = 'QUEUED' THEN 'FAILED' ELSE state END WHERE client_key = $1";
/// The keys of these requests stay in use until they expire: otherwise a request that is sent again would create the
/// client anew.
const OUTCOMES: &str = "UPDATE idempotency_record SET outcome = NULL, client_key = NULL WHERE client_key = $1";

/// Finds anything outside the audit log that is left to erase.
const LEFT: &str = "SELECT 1 FROM message WHERE client_key = $1 AND (placeholders IS NOT NULL OR recipient <> '' \
    OR provider_id IS NOT NULL OR detail IS NOT NULL OR state = 'QUEUED') \
    UNION ALL SELECT 1 FROM idempotency_record WHERE client_key = $1 LIMIT 1";

/// The outcome of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Data was erased. Counts the audit records that had contents.
    Now { records: u64 },
    /// Everything was erased at this time, and nothing was added since. Nothing was written.
    Before(DateTime<Utc>),
}

impl Clients {
    /// Erases all personal data of a client outside its own rows, in one transaction, and records that. None if there
    /// is no such client.
    ///
    /// # Errors
    /// [`clientele_core::error::Error::Forbidden`] without DELETE_CLIENT.
    pub async fn erase_traces(&self, caller: &Caller, client_key: &str, now: DateTime<Utc>) -> Result<Option<Erased>> {
        caller.require(Permission::DeleteClient)?;
        let erasure = Erasure {
            audit: &self.audit,
            caller,
            client_key,
            now,
        };
        self.db.write(&erasure).await
    }
}

struct Erasure<'a> {
    audit: &'a AuditLog,
    caller: &'a Caller,
    client_key: &'a str,
    now: DateTime<Utc>,
}

impl Work for Erasure<'_> {
    type Output = Option<Erased>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Option<Erased>>> {
        let Self {
            audit,
            caller,
            client_key,
            now,
        } = *self;
        let lock = match transaction.dialect {
            Dialect::Postgres => " FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let sql = format!("SELECT history_head, history_count FROM client WHERE encoded_key = $1{lock}");
        let Some(row) = transaction.one(sql, [client_key.into()]).await? else {
            return Ok(Step::Discard(None));
        };
        let head = Head {
            seal: row.try_get_by_index(0)?,
            count: row.try_get_by_index(1)?,
        };
        let left = transaction.one(LEFT, [client_key.into()]).await?;
        if left.is_none()
            && let Some(at) = audit::erased_at(transaction, client_key, &head).await?
        {
            return Ok(Step::Discard(Some(Erased::Before(at))));
        }
        let (records, head) = audit.erase(transaction, caller, client_key, &head, now).await?;
        let sql = "UPDATE client SET history_head = $2, history_count = $3 WHERE encoded_key = $1";
        let values = [client_key.into(), head.seal.into(), head.count.into()];
        transaction.run(sql, values).await?;
        let at = transaction.dialect.cast("$2", "timestamptz");
        let values = [client_key.into(), entity::instant::to_text(&now).into()];
        transaction.run(MESSAGES.replace("$2", &at), values).await?;
        transaction.run(OUTCOMES, [client_key.into()]).await?;
        Ok(Step::Commit(Some(Erased::Now { records })))
    }
}
