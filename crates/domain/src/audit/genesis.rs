//! Writes the genesis records of the audit log: one begins each shared chain at the first start, and another one marks
//! each new configured key.
//!
//! These records are sealed like any other. They state what verification can't derive from the clients: how many lacked
//! the record of their creation then, and how many had records under earlier keys. Neither number can grow later, even
//! if an attacker resets chains. The next such record signs the numbers again: none is written to a chain that has
//! findings.

use std::slice;

use chrono::{DateTime, Utc};

use super::{
    Action, AuditLog, Chain, Change, Finding, FindingKind, Head, Keys, Subject, record::Genesis, verify::ChainReader,
};
use crate::caller::Caller;
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

/// A genesis record and the end of the chain with it, so that this part isn't walked again.
#[derive(Clone, Debug)]
pub(super) struct LastGenesis {
    end: Head,
    genesis: Genesis,
}

impl AuditLog {
    /// Begins the audit log at the first start, and records at a later start that another key is in use. Must run
    /// before anything is written. Doesn't touch an audit log with findings: verification reports them.
    pub async fn start(&self, now: DateTime<Utc>) -> Result<()> {
        self.db.write(&Begin { audit: self, now }).await
    }

    /// Records in `transaction` that `clients` more clients are stored without a record of their creation, which only
    /// seeding and imports do.
    pub(crate) async fn allow_unrecorded(
        &self,
        transaction: &Transaction,
        clients: usize,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if clients == 0 {
            return Ok(());
        }
        let chain = Chain::Definitions;
        let end = super::lock(transaction, chain).await?;
        let last = self.genesis.lock().ok().and_then(|last| last.clone());
        let genesis = match last.filter(|last| last.end == end) {
            // Without the key this end can't fit another chain, nor if the transaction that wrote it was undone.
            Some(last) => last.genesis,
            None => match SharedChain::walk(transaction, self.keys(transaction).await?, chain).await? {
                SharedChain {
                    genesis: Some(genesis),
                    findings,
                    ..
                } if findings.is_empty() => genesis,
                walked => {
                    walked.warn();
                    return Ok(());
                }
            },
        };
        let unrecorded = genesis.unrecorded + i64::try_from(clients).map_err(Error::internal)?;
        let genesis = Genesis { unrecorded, ..genesis };
        self.record_genesis(transaction, chain, Action::Changed, &genesis, now)
            .await?;
        let end = super::lock(transaction, chain).await?;
        if let Ok(mut last) = self.genesis.lock() {
            *last = Some(LastGenesis { end, genesis });
        }
        Ok(())
    }

    async fn record_genesis(
        &self,
        transaction: &Transaction,
        chain: Chain<'_>,
        action: Action,
        genesis: &Genesis,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let change = Change {
            chain,
            subject: Subject::History,
            subject_key: chain.name(),
            action,
            members: genesis.members(),
        };
        self.record(transaction, &Caller::operator(), &change, now).await
    }
}

struct Begin<'a> {
    audit: &'a AuditLog,
    now: DateTime<Utc>,
}

impl Work for Begin<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let keys = self.audit.keys(transaction).await?;
        // First without a lock: a read-only database allows none.
        if have_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        // Counting ten million clients takes long, and another server may be doing it.
        transaction.take_any_time().await?;
        let mut exist = true;
        for chain in Chain::SHARED {
            exist &= super::end(transaction, chain).await?.is_some();
        }
        // Another server may have finished first.
        if have_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        let mut chains = Vec::new();
        for chain in Chain::SHARED {
            chains.push(SharedChain::walk(transaction, keys, chain).await?);
        }
        // Both chains begin together and change keys together: one alone was emptied or recreated.
        let all = |kind| chains.iter().all(|chain| chain.findings == slice::from_ref(&kind));
        let under_one_key = chains.windows(2).all(|pair| pair[0].key_id() == pair[1].key_id());
        let action = if exist && all(FindingKind::NoGenesis) && !has_records(transaction).await? {
            Action::Created
        } else if all(FindingKind::NoGenesisUnderKey) && under_one_key {
            Action::Changed
        } else {
            let altered: Vec<_> = chains.iter().filter(|chain| !chain.findings.is_empty()).collect();
            match !altered.is_empty() && altered.iter().all(|chain| chain.is_only_unverified()) {
                true => tracing::warn!(
                    "the history is sealed by a key that isn't configured: set audit.key to it, or add it to \
                     audit.previous_keys if audit.key has replaced it. Records that are written until then are \
                     findings of `clientele audit verify`"
                ),
                false => altered.iter().for_each(|chain| chain.warn()),
            }
            return Ok(Step::Discard(()));
        };
        for SharedChain { chain, genesis, .. } in chains {
            let genesis = self.genesis(transaction, keys, chain, genesis).await?;
            let written = self
                .audit
                .record_genesis(transaction, chain, action, &genesis, self.now);
            written.await?;
            let (chain, key) = (chain.name(), genesis.key_id);
            tracing::info!(chain, key, "the history begins under this key");
        }
        Ok(Step::Commit(()))
    }
}

impl Begin<'_> {
    /// Returns the genesis of a chain under the current key, from its last one and the number of clients.
    async fn genesis(
        &self,
        transaction: &Transaction,
        keys: &Keys,
        chain: Chain<'_>,
        last: Option<Genesis>,
    ) -> Result<Genesis> {
        let of_clients = chain == Chain::Definitions;
        let unrecorded = match &last {
            _ if !of_clients => 0,
            // The number allowed under another configured key stays: a new count would also allow later manipulation.
            Some(last) if !keys.is_weak(&last.key_id) => last.unrecorded,
            _ => count(transaction, UNCREATED).await?,
        };
        let earlier = match last {
            Some(_) if of_clients => count(transaction, "c.history_count > 0").await?,
            _ => 0,
        };
        Ok(Genesis {
            key_id: keys.current().id.clone(),
            since: self.now,
            unrecorded,
            earlier,
        })
    }
}

/// Selects clients whose records don't begin with their creation.
const UNCREATED: &str = "NOT EXISTS (SELECT 1 FROM audit_record a \
    WHERE a.chain = c.encoded_key AND a.position = 1 AND a.action = 'CREATED')";

/// Counts the clients that match, deleted ones included. Runs once in the life of a database, and once for each
/// configured key.
async fn count(transaction: &Transaction, which: &str) -> Result<i64> {
    let [definitions, users] = Chain::SHARED.map(Chain::name);
    let sql = format!(
        "SELECT count(*) FROM (SELECT encoded_key, history_count FROM client UNION ALL SELECT chain, count \
         FROM audit_chain WHERE chain NOT IN ('{definitions}', '{users}')) c WHERE {which}"
    );
    let row = transaction.one(sql, []).await?;
    let row = row.ok_or_else(|| Error::defect("counting has no result"))?;
    Ok(row.try_get_by_index(0)?)
}

async fn has_records(transaction: &Transaction) -> Result<bool> {
    let row = transaction.one("SELECT 1 FROM audit_record LIMIT 1", []).await?;
    Ok(row.is_some())
}

/// Returns true if every shared chain says that it continues under the current key. The statement isn't checked here:
/// verification finds a false one.
async fn have_begun(transaction: &Transaction, keys: &Keys) -> Result<bool> {
    let subject = Subject::History.as_str();
    for chain in Chain::SHARED {
        let sql = format!(
            "SELECT a.key_id FROM audit_record a WHERE a.chain = $1 AND a.subject = '{subject}' \
             ORDER BY a.position DESC LIMIT 1"
        );
        let row = transaction.one(sql, [chain.name().into()]).await?;
        let key_id = row.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
        let has_begun = key_id.is_some_and(|key_id| match keys.are_configured() {
            true => key_id == keys.current().id,
            false => keys.key(&key_id).is_some(),
        });
        if !has_begun {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The result of a walk along a shared chain.
struct SharedChain {
    chain: Chain<'static>,
    /// The last genesis record.
    genesis: Option<Genesis>,
    findings: Vec<FindingKind>,
}

impl SharedChain {
    async fn walk(transaction: &Transaction, keys: &Keys, chain: Chain<'static>) -> Result<Self> {
        let mut findings = Vec::new();
        let mut report = |finding: &Finding| findings.push(finding.kind.clone());
        let mut walk = ChainReader(transaction).walk(keys, chain.name(), &mut report).await?;
        findings.extend(walk.unknown.findings().map(|finding| finding.kind));
        Ok(Self {
            chain,
            genesis: walk.genesis.pop(),
            findings,
        })
    }

    fn key_id(&self) -> Option<&str> {
        self.genesis.as_ref().map(|genesis| &*genesis.key_id)
    }

    /// Returns true if the only finding is a key that isn't configured.
    fn is_only_unverified(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.all(|kind| matches!(kind, FindingKind::UnknownKey { .. }))
    }

    fn warn(&self) {
        let (chain, findings) = (self.chain.name(), self.findings.len());
        tracing::warn!(
            chain,
            findings,
            "the history isn't as it was written, and nothing is added to its beginning: run `clientele audit verify`"
        );
    }
}
