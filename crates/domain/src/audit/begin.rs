//! Begins the audit log: a record founds each shared chain at the first start, and another one marks each new
//! configured key.
//!
//! These records are sealed like any other. They state what verification can't derive from the clients: how many lacked
//! the record of their creation then, and how many had records under earlier keys. Neither number can grow later, even
//! if an attacker resets chains. The next such record signs the numbers again: none is written to a chain that has
//! findings.

use std::slice;

use chrono::{DateTime, Utc};

use super::{Action, AuditLog, Chain, Change, Finding, Head, Keys, Subject, What, genesis::Genesis, stretch::Reading};
use crate::caller::Caller;
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

/// The last genesis record and the end of the chain with it, so that this part isn't walked again.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    end: Head,
    begun: Genesis,
}

impl AuditLog {
    /// Founds the audit log at the first start, and records at a later start that another key is in use. Must run
    /// before anything is written. Doesn't touch an audit log with findings: verification reports them.
    pub async fn start(&self, now: DateTime<Utc>) -> Result<()> {
        self.db.write(&Beginning { audit: self, now }).await
    }

    /// Records in `transaction` that `clients` more clients are stored without a record, which only seeding does.
    /// `noted` is the result of the call before.
    pub(crate) async fn allow_unrecorded(
        &self,
        transaction: &Transaction,
        clients: usize,
        noted: Option<&Noted>,
        now: DateTime<Utc>,
    ) -> Result<Option<Noted>> {
        let chain = Chain::Definitions;
        let end = super::lock(transaction, chain).await?;
        let begun = match noted.filter(|noted| noted.end == end) {
            // Without the key this end can't fit another chain.
            Some(noted) => noted.begun.clone(),
            None => match Walked::along(transaction, self.keys(transaction).await?, chain).await? {
                Walked {
                    begun: Some(begun),
                    found,
                } if found.is_empty() => begun,
                walked => {
                    walked.warn(chain);
                    return Ok(None);
                }
            },
        };
        let unrecorded = begun.unrecorded + i64::try_from(clients).map_err(Error::internal)?;
        let begun = Genesis { unrecorded, ..begun };
        self.note(transaction, chain, Action::Changed, &begun, now).await?;
        let end = super::lock(transaction, chain).await?;
        Ok(Some(Noted { end, begun }))
    }

    async fn note(
        &self,
        transaction: &Transaction,
        chain: Chain<'_>,
        action: Action,
        begun: &Genesis,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let change = Change {
            chain,
            subject: Subject::History,
            subject_key: chain.name(),
            action,
            members: begun.members(),
        };
        self.record(transaction, &Caller::operator(), &change, now).await
    }
}

struct Beginning<'a> {
    audit: &'a AuditLog,
    now: DateTime<Utc>,
}

impl Work for Beginning<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let keys = self.audit.keys(transaction).await?;
        // First without a lock: a read-only database allows none.
        if are_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        // Counting ten million clients takes long, and another server may be doing it.
        transaction.take_any_time().await?;
        let mut there = true;
        for chain in Chain::SHARED {
            there &= super::end(transaction, chain).await?.is_some();
        }
        // Another server may have finished first.
        if are_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        let mut walked = Vec::new();
        for chain in Chain::SHARED {
            walked.push((chain, Walked::along(transaction, keys, chain).await?));
        }
        // Both chains are founded together and change keys together: one alone was emptied or recreated.
        let all = |what| walked.iter().all(|(_, walked)| walked.found == slice::from_ref(&what));
        let under_one_key = walked.windows(2).all(|pair| pair[0].1.key_id() == pair[1].1.key_id());
        let action = if there && all(What::NotBegun) && !is_known(transaction).await? {
            Action::Created
        } else if all(What::NotUnderKey) && under_one_key {
            Action::Changed
        } else {
            let findings: Vec<_> = walked.iter().filter(|(_, walked)| !walked.found.is_empty()).collect();
            match !findings.is_empty() && findings.iter().all(|(_, walked)| walked.is_only_unverified()) {
                true => warn_of_unknown_key(),
                false => findings.iter().for_each(|(chain, walked)| walked.warn(*chain)),
            }
            return Ok(Step::Discard(()));
        };
        for (chain, walked) in walked {
            let begun = self.begun(transaction, keys, chain, walked.begun).await?;
            let note = self.audit.note(transaction, chain, action, &begun, self.now);
            note.await?;
            let (chain, key) = (chain.name(), begun.key_id);
            tracing::info!(chain, key, "the history begins under this key");
        }
        Ok(Step::Commit(()))
    }
}

impl Beginning<'_> {
    /// Returns the genesis of a chain under the current key, from its last one and the number of clients.
    async fn begun(
        &self,
        transaction: &Transaction,
        keys: &Keys,
        chain: Chain<'_>,
        last: Option<Genesis>,
    ) -> Result<Genesis> {
        let of_clients = chain == Chain::Definitions;
        let unrecorded = match &last {
            _ if !of_clients => 0,
            // What was allowed under another configured key stays allowed: a new count would also allow later
            // manipulation.
            Some(last) if !keys.is_outdone(&last.key_id) => last.unrecorded,
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

/// Counts the clients that match. Runs once in the life of a database, and once for each configured key.
async fn count(transaction: &Transaction, which: &str) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM client c WHERE {which}");
    let row = transaction.one(sql, []).await?;
    let row = row.ok_or_else(|| Error::defect("counting has no result"))?;
    Ok(row.try_get_by_index(0)?)
}

/// Returns true if there is any record.
async fn is_known(transaction: &Transaction) -> Result<bool> {
    let row = transaction.one("SELECT 1 FROM audit_record LIMIT 1", []).await?;
    Ok(row.is_some())
}

/// Returns true if every shared chain has begun.
async fn are_begun(transaction: &Transaction, keys: &Keys) -> Result<bool> {
    for chain in Chain::SHARED {
        if !is_begun(transaction, keys, chain).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns true if a chain says that it continues under the current key. The statement isn't checked here: verification
/// finds a false one.
async fn is_begun(transaction: &Transaction, keys: &Keys, chain: Chain<'_>) -> Result<bool> {
    let subject = Subject::History.as_str();
    let sql = format!(
        "SELECT a.key_id FROM audit_record a WHERE a.chain = $1 AND a.subject = '{subject}' \
         ORDER BY a.position DESC LIMIT 1"
    );
    let row = transaction.one(sql, [chain.name().into()]).await?;
    let key_id = row.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
    Ok(key_id.is_some_and(|key_id| match keys.are_configured() {
        true => key_id == keys.current().id,
        false => keys.key(&key_id).is_some(),
    }))
}

fn warn_of_unknown_key() {
    tracing::warn!(
        "the history is sealed by a key that isn't configured: set audit.key to it, or add it to audit.previous_keys if \
         audit.key has replaced it. Records that are written until then are findings of `clientele audit verify`"
    );
}

/// The result of a walk along a shared chain.
struct Walked {
    /// The last genesis record.
    begun: Option<Genesis>,
    found: Vec<What>,
}

impl Walked {
    async fn along(transaction: &Transaction, keys: &Keys, chain: Chain<'_>) -> Result<Self> {
        let mut found = Vec::new();
        let mut report = |finding: &Finding| found.push(finding.what.clone());
        let mut walk = Reading(transaction).walk(keys, chain.name(), &mut report).await?;
        let begun = walk.begun.pop();
        found.extend(walk.unknown.findings().map(|finding| finding.what));
        Ok(Self { begun, found })
    }

    fn key_id(&self) -> Option<&str> {
        self.begun.as_ref().map(|begun| &*begun.key_id)
    }

    /// Returns true if the only finding is a key that isn't configured.
    fn is_only_unverified(&self) -> bool {
        self.found.iter().all(|what| matches!(what, What::UnknownKey { .. }))
    }

    fn warn(&self, chain: Chain<'_>) {
        let (chain, findings) = (chain.name(), self.found.len());
        tracing::warn!(
            chain,
            findings,
            "the history isn't as it was written, and nothing is added to its beginning: run `clientele audit verify`"
        );
    }
}
