//! The audit log: records the caller, the time and the API of each change. Every change of a client, a definition, a
//! user or a token appends a record in its own transaction.
//!
//! Records form chains. Each client has its own; definitions share one, and so do users with their tokens. So writers
//! of different clients never wait for one another. A record's HMAC covers the end of the chain before it, its metadata
//! and a salted digest of its contents: contents can be erased and the chain still verifies.
//!
//! To record a new kind of change, add a [`Subject`], and call [`AuditLog::record`] where the change is written.

mod begin;
mod chain;
mod erase;
mod finding;
mod genesis;
mod keys;
mod read;
mod record;
mod removed;
mod search;
mod settings;
mod stretch;
mod tally;
mod unknown;
mod verify;
mod walk;

pub(crate) use begin::Noted;
pub use chain::Head;
pub(crate) use erase::erased_at;
pub use finding::{Finding, What};
pub use keys::Keys;
pub use read::{BY_POSITION, HistoryPage, NEWEST_FIRST, Record, RecordKey, Rows, Shown, Stored};
pub use record::{Action, Chain, Change, Member, Members, Subject};
pub use search::{AuditFilter, LARGEST_CONTENTS};
pub use settings::AuditSettings;
pub use walk::Counts;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use entity::{audit_chain, audit_record};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use sea_orm::ConnectionTrait;
use tokio::sync::OnceCell;

use crate::caller::Caller;
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Batch, Connection, Database, Dialect, Transaction};

/// Appends to the audit log, reads and verifies it. Clones share everything.
#[derive(Clone, Debug)]
pub struct AuditLog {
    db: Database,
    settings: Arc<AuditSettings>,
    keys: Arc<OnceCell<Keys>>,
    sealed: Counter,
    #[cfg(feature = "unrecorded")]
    left_out: bool,
}

impl AuditLog {
    pub fn new(db: Database, settings: AuditSettings) -> Self {
        Self {
            db,
            settings: Arc::new(settings),
            keys: Arc::default(),
            sealed: Counter::default(),
            #[cfg(feature = "unrecorded")]
            left_out: false,
        }
    }

    /// Records nothing about clients: the baseline of a measurement.
    #[cfg(feature = "unrecorded")]
    pub fn left_out(db: Database) -> Self {
        Self {
            left_out: true,
            ..Self::new(db, AuditSettings::default())
        }
    }

    /// Returns the keys of the HMACs. The key in the database is read once: it never changes.
    async fn keys<C: ConnectionTrait>(&self, connection: &Connection<C>) -> Result<&Keys> {
        self.keys
            .get_or_try_init(async || {
                let row = connection.one("SELECT key FROM audit_key", []).await?;
                let kept: String = row
                    .ok_or_else(|| Error::defect("the database keeps no key for the history"))?
                    .try_get_by_index(0)?;
                Ok(Keys::new(&self.settings, &kept))
            })
            .await
    }

    /// Appends a record to a shared chain. The next writer waits until `transaction` has ended, so call this after all
    /// other writes.
    pub async fn record(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        change: &Change<'_>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let head = lock(transaction, change.chain).await?;
        let mut batch = Batch::new(transaction.dialect);
        let head = self.append(transaction, &mut batch, caller, change, &head, now).await?;
        batch.put::<audit_chain::Entity>(&[&audit_chain::Model {
            chain: change.chain.name().to_owned(),
            head: head.seal,
            count: head.count,
        }])?;
        transaction.write(batch).await
    }

    /// Adds a record to the batch, and returns the new end of its chain. The calling function must hold a lock on the
    /// chain's present end and write the new one.
    pub async fn append(
        &self,
        transaction: &Transaction,
        batch: &mut Batch,
        caller: &Caller,
        change: &Change<'_>,
        head: &Head,
        now: DateTime<Utc>,
    ) -> Result<Head> {
        #[cfg(feature = "unrecorded")]
        if self.left_out {
            return Ok(head.clone());
        }
        let keys = self.keys(transaction).await?;
        // The databases keep microseconds, and the HMAC covers the stored value.
        let record = keys.record(change, caller, head, now.trunc_subsecs(6))?;
        let head = keys.end(&record)?;
        batch.insert::<audit_record::Entity>(&[&record])?;
        self.sealed.inc();
        Ok(head)
    }

    /// Adds the metrics of the audit log to a registry.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let help = "Audit records sealed, those included whose transaction was rolled back";
        registry.register("audit_records", help, self.sealed.clone());
    }
}

/// Locks the end of a shared chain until `transaction` has ended, and returns it.
async fn lock(transaction: &Transaction, chain: Chain<'_>) -> Result<Head> {
    let end = end(transaction, chain).await?;
    end.ok_or_else(|| Error::defect("a shared chain of the history is missing: run `clientele audit verify`"))
}

/// Does the same; none if the end was removed.
async fn end(transaction: &Transaction, chain: Chain<'_>) -> Result<Option<Head>> {
    let lock = match transaction.dialect {
        Dialect::Postgres => " FOR UPDATE",
        Dialect::Sqlite => "",
    };
    let sql = format!("SELECT head, count FROM audit_chain WHERE chain = $1{lock}");
    let row = transaction.one(sql, [chain.name().into()]).await?;
    row.map(|row| stretch::head(&row, 0)).transpose()
}
