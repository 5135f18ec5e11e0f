//! The beginning of the history: a record that founds each shared chain at the first start, and one more when a
//! configured key comes into force.
//!
//! Sealed like any other record, they say what verifying can't know from the clients: how many lacked the record of
//! their creation then, and how many had records under earlier keys. More than that can't be later, whoever resets
//! their chains. What such a record says is signed again by the next one: none is written to a chain that has findings.

use std::slice;

use chrono::{DateTime, Utc};

use super::{Action, Chain, Change, Finding, Head, Keys, Subject, What, genesis::Genesis, stretch::Reading};
use crate::{Clientele, caller::Caller};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

/// What has been noted, and where the chain ends with it: so far it needn't be walked again.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    end: Head,
    begun: Genesis,
}

impl Clientele {
    /// Founds the history at the first start, and notes at later ones that another key has come into force. To be
    /// called before anything is written. A history that isn't as it was written is left as it is: verifying says what
    /// is wrong.
    pub async fn begin_history(&self, now: DateTime<Utc>) -> Result<()> {
        self.db.write(&Beginning { clientele: self, now }).await
    }

    /// Notes that so many more clients are stored without a record, which only seeding does: by `transaction`. `noted`
    /// is what this answered before.
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
            // Nobody without the key can have this end fit another chain.
            Some(noted) => noted.begun.clone(),
            None => match Walked::along(transaction, self.history.keys(transaction).await?, chain).await? {
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
        self.history
            .record(transaction, &Caller::operator(), &change, now)
            .await
    }
}

struct Beginning<'a> {
    clientele: &'a Clientele,
    now: DateTime<Utc>,
}

impl Work for Beginning<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let keys = self.clientele.history.keys(transaction).await?;
        // Without a lock first: a read-only database allows none.
        if are_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        // Counting ten million clients may take its time, and so may another server that does.
        transaction.take_any_time().await?;
        let mut there = true;
        for chain in Chain::SHARED {
            there &= super::end(transaction, chain).await?.is_some();
        }
        // Another server may have been faster.
        if are_begun(transaction, keys).await? {
            return Ok(Step::Discard(()));
        }
        let mut walked = Vec::new();
        for chain in Chain::SHARED {
            walked.push((chain, Walked::along(transaction, keys, chain).await?));
        }
        // Both are founded, and go on under another key, together: one alone was emptied or made anew.
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
            let note = self.clientele.note(transaction, chain, action, &begun, self.now);
            note.await?;
            let (chain, key) = (chain.name(), begun.key_id);
            tracing::info!(chain, key, "the history begins under this key");
        }
        Ok(Step::Commit(()))
    }
}

impl Beginning<'_> {
    /// What a chain's beginning under the current key is to say, by what the last one says and how many clients there
    /// are.
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
            // What was allowed under another configured key stays so: counting again would allow what was done since.
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

/// Clients whose records don't begin with their creation.
const UNCREATED: &str = "NOT EXISTS (SELECT 1 FROM audit_record a \
    WHERE a.chain = c.encoded_key AND a.position = 1 AND a.action = 'CREATED')";

/// How many clients there are of a kind. Done once in the life of a database, and once for each configured key.
async fn count(transaction: &Transaction, which: &str) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM client c WHERE {which}");
    let row = transaction.one(sql, []).await?;
    let row = row.ok_or_else(|| Error::defect("counting has no result"))?;
    Ok(row.try_get_by_index(0)?)
}

/// Whether there is any record.
async fn is_known(transaction: &Transaction) -> Result<bool> {
    let row = transaction.one("SELECT 1 FROM audit_record LIMIT 1", []).await?;
    Ok(row.is_some())
}

/// Whether every shared chain has begun.
async fn are_begun(transaction: &Transaction, keys: &Keys) -> Result<bool> {
    for chain in Chain::SHARED {
        if !is_begun(transaction, keys, chain).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a chain says that it goes on under the current key, so that there is nothing to be noted. That is taken on
/// trust: verifying finds it if it isn't so.
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

/// What a walk along a shared chain has come to.
struct Walked {
    /// What the last record of its beginning says.
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

    /// True if the only fault is a key that isn't configured.
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
