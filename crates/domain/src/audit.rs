//! The audit log: records the caller, the time and the API of each change. Every change of a client, a definition, a
//! user or a token appends a record in its own transaction.
//!
//! Records form chains. Each client has its own; definitions share one, and so do users with their tokens. So writers
//! of different clients never wait for one another. A record's HMAC covers the end of the chain before it, its metadata
//! and a salted digest of its contents: contents can be erased and the chain still verifies.
//!
//! To record a new kind of change, add a [`Subject`], and call [`AuditLog::record`] where the change is written.

mod difference;
mod export;
mod finding;
mod genesis;
mod inspect;
mod keys;
mod read;
mod record;
mod replay;
mod search;
mod transfer;
mod verify;
mod walk;

use genesis::LastGenesis;

pub use difference::Difference;
pub use export::{AuditLine, AuditSnapshot};
pub use finding::{Finding, FindingKind};
pub use inspect::KeyInUse;
pub use keys::{Head, Keys};
pub(crate) use read::is_hidden_now;
pub use read::{BY_POSITION, DefinedFields, HistoryPage, NEWEST_FIRST, Record, RecordKey, Rows, Shown, Stored};
pub(crate) use record::column_name;
pub use record::{Action, Chain, Change, Member, Members, Subject};
pub use replay::MOST_VERSIONS;
pub(crate) use replay::{Allowance, Direction, Records, Unreadable};
pub(crate) use search::CONTENTS_SIZE;
pub use search::{AuditFilter, LARGEST_CONTENTS};
pub use transfer::{ChainPart, ExportedRecord};
pub(crate) use transfer::{ChainParts, CheckedPart};
pub use walk::{Counts, PartEnd};

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{audit_chain, audit_record};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::caller::Caller;
use clientele_core::{
    error::{Error, Result},
    secret::Secret,
};
use clientele_storage::db::{Batch, Connection, Database, Dialect, Transaction};

/// Protects the audit log against forgery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// The key for the HMACs of new records. Without one, a key in the database is used: an attacker who can write the
    /// database can read it there, and forge records that verify.
    pub key: Secret,
    /// The keys of older records, newest first. A key that was replaced must never be used again.
    pub previous_keys: Vec<Secret>,
}

/// Appends to the audit log, reads and verifies it. Clones share everything.
#[derive(Clone, Debug)]
pub struct AuditLog {
    db: Database,
    settings: Arc<AuditSettings>,
    keys: Arc<OnceCell<Keys>>,
    /// The last genesis record that this process has written.
    genesis: Arc<Mutex<Option<LastGenesis>>>,
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
            genesis: Arc::default(),
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
    pub(crate) async fn keys<C: ConnectionTrait>(&self, connection: &Connection<C>) -> Result<&Keys> {
        self.keys
            .get_or_try_init(async || {
                let row = connection.one("SELECT key FROM audit_key", []).await?;
                let row = row.ok_or_else(|| Error::defect("the database keeps no key for the history"))?;
                Ok(Keys::new(&self.settings, &row.try_get_by_index::<String>(0)?))
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
        let mut batch = transaction.batch();
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
        let (record, head) = self.next(transaction, caller, change, head, now).await?;
        batch.insert::<audit_record::Entity>(&Vec::from_iter(&record))?;
        Ok(head)
    }

    /// As [`append`](Self::append), but the calling function must write the record, if there is one. A client's must
    /// come after the client's row, because SQLite adds it to the change feed with the branch of that row.
    pub(crate) async fn next(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        change: &Change<'_>,
        head: &Head,
        now: DateTime<Utc>,
    ) -> Result<(Option<audit_record::Model>, Head)> {
        #[cfg(feature = "unrecorded")]
        if self.left_out {
            return Ok((None, head.clone()));
        }
        let (record, head) = self.seal(transaction, caller, change, head, now).await?;
        Ok((Some(record), head))
    }

    /// Returns a record that the calling function must write, and the new end of its chain.
    pub(crate) async fn seal<C: ConnectionTrait>(
        &self,
        connection: &Connection<C>,
        caller: &Caller,
        change: &Change<'_>,
        head: &Head,
        now: DateTime<Utc>,
    ) -> Result<(audit_record::Model, Head)> {
        let keys = self.keys(connection).await?;
        // The databases keep microseconds, and the HMAC covers the stored value.
        let record = keys.record(change, caller, head, now.trunc_subsecs(6))?;
        let head = keys.end(&record)?;
        self.sealed.inc();
        Ok((record, head))
    }

    /// Seals imported records that follow `head` anew, which the calling function must write with the end that it gets.
    pub(crate) fn seal_anew(&self, keys: &Keys, rows: &mut [audit_record::Model], head: &Head) -> Head {
        self.sealed.inc_by(rows.len() as u64);
        keys.seal_anew(rows, head)
    }

    /// Erases the contents of all records of a client's chain, which ends at `head`. Callers and times of changes stay,
    /// and the chain still verifies. Returns how many records had contents, a record of the erasure with these members,
    /// and the new end. The calling function must hold a lock on the present end, and write the new one and the record:
    /// contents that are missing without it are a finding.
    pub async fn erase(
        &self,
        transaction: &Transaction,
        caller: &Caller,
        client_key: &str,
        head: &Head,
        mut members: Vec<Member>,
        now: DateTime<Utc>,
    ) -> Result<(u64, Option<audit_record::Model>, Head)> {
        let sql = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = $1 AND contents IS NOT NULL";
        let erased = transaction.run(sql, [client_key.into()]).await?;
        let last = Some(head.count).filter(|count| *count > 0);
        Members::new(&mut members).text("records", None, last.map(|last| format!("1 to {last}")).as_deref());
        let change = Change {
            chain: Chain::Client(client_key),
            subject: Subject::Client,
            subject_key: client_key,
            action: Action::Erased,
            members,
        };
        let (record, head) = self.next(transaction, caller, &change, head, now).await?;
        Ok((erased, record, head))
    }

    /// Adds the metrics of the audit log to a registry.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let help = "Audit records sealed, those included whose transaction was rolled back";
        registry.register("audit_records", help, self.sealed.clone());
    }
}

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
    Ok(row
        .as_ref()
        .map(search::decode)
        .transpose()?
        .map(|record| record.recorded_at))
}

/// Locks the end of a shared chain until `transaction` has ended, and returns it.
async fn lock(transaction: &Transaction, chain: Chain<'_>) -> Result<Head> {
    let end = end(transaction, chain).await?;
    end.ok_or_else(|| Error::defect("a shared chain of the history is missing: run `clientele audit verify`"))
}

/// Does the same, and for the chain of a deleted client; none if there is no such end.
pub(crate) async fn end(transaction: &Transaction, chain: Chain<'_>) -> Result<Option<Head>> {
    let lock = match transaction.dialect {
        Dialect::Postgres => " FOR UPDATE",
        Dialect::Sqlite => "",
    };
    let sql = format!("SELECT head, count FROM audit_chain WHERE chain = $1{lock}");
    let row = transaction.one(sql, [chain.name().into()]).await?;
    row.map(|row| verify::head(&row, 0)).transpose()
}
