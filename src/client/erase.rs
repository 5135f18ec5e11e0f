//! Erasing what is kept of a client outside its own rows: what its history says, what its messages said and whom they
//! went to, and what requests about it came to. One function, so that no place is forgotten.

use chrono::{DateTime, Utc};

use crate::{
    Clientele,
    access::{Caller, Permission},
    db::{Dialect, Step, Transaction, Work},
    error::Result,
    history::Head,
};

/// Once its values are gone a message can't be written any more: one that waits is given up, one that is being sent ends
/// as it ends. Providers quote addresses in what they answer; what is settled later leaves that out ([`crate::notify`]).
const MESSAGES: &str = "UPDATE message SET placeholders = NULL, recipient = '', provider_id = NULL, detail = NULL, \
    failed_at = CASE WHEN state = 'QUEUED' THEN $2 ELSE failed_at END, \
    due_at = CASE WHEN state = 'QUEUED' THEN NULL ELSE due_at END, \
    state = CASE WHEN state = 'QUEUED' THEN 'FAILED' ELSE state END WHERE client_key = $1";
/// The keys of these requests stay taken for as long as they would: were they free, a request that is sent again would
/// create the client anew.
const OUTCOMES: &str = "UPDATE idempotency_record SET outcome = NULL, client_key = NULL WHERE client_key = $1";

impl Clientele {
    /// Erases all personal data of a client but its own rows, in one transaction, and records that. Answers how many records
    /// of its history said something; none when there is no such client.
    ///
    /// # Errors
    /// [`crate::error::Error::Forbidden`] without DELETE_CLIENT.
    pub async fn erase_traces(&self, caller: &Caller, client_key: &str, now: DateTime<Utc>) -> Result<Option<u64>> {
        caller.needs(Permission::DeleteClient)?;
        let erasure = Erasure {
            clientele: self,
            caller,
            client_key,
            now,
        };
        self.db.write(&erasure).await
    }

    /// The same as a part of `transaction`, which has checked who asks.
    pub(crate) async fn erase_traces_in(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        client_key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>> {
        let lock = match transaction.dialect {
            Dialect::Postgres => " FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let sql = format!("SELECT history_head, history_count FROM client WHERE encoded_key = $1{lock}");
        let Some(row) = transaction.one(sql, [client_key.into()]).await? else {
            return Ok(None);
        };
        let head = Head {
            seal: row.try_get_by_index(0)?,
            count: row.try_get_by_index(1)?,
        };
        let (erased, head) = self.history.erase(transaction, caller, client_key, &head, now).await?;
        let sql = "UPDATE client SET history_head = $2, history_count = $3 WHERE encoded_key = $1";
        let values = [client_key.into(), head.seal.into(), head.count.into()];
        transaction.run(sql, values).await?;
        let at = transaction.dialect.cast("$2", "timestamptz");
        let values = [client_key.into(), entity::instant::to_text(&now).into()];
        transaction.run(MESSAGES.replace("$2", &at), values).await?;
        transaction.run(OUTCOMES, [client_key.into()]).await?;
        Ok(Some(erased))
    }
}

struct Erasure<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    client_key: &'a str,
    now: DateTime<Utc>,
}

impl Work for Erasure<'_> {
    type Output = Option<u64>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Option<u64>>> {
        let Self {
            clientele,
            caller,
            client_key,
            now,
        } = self;
        let erased = clientele.erase_traces_in(transaction, caller, client_key, *now).await?;
        Ok(match erased {
            Some(erased) => Step::Commit(Some(erased)),
            None => Step::Discard(None),
        })
    }
}
