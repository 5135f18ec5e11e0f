//! Clients of a list that share a transaction.
//!
//! Two lists can concern the same clients, and claim the same ids and values, in different orders. On PostgreSQL each
//! transaction therefore locks these before its first client, in one order: idempotency entries, the definitions,
//! clients, and what is unique. The values of duplicate checks are known only when their client is checked: after the
//! first client that is written, the transaction ends instead of waiting for one.

use std::{
    collections::{BTreeSet, HashSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{
    super::{Answer, ClientMatch, claims::Claim, duplicates::ValueLocks, import, replay::Replayed},
    List, Upsert,
    size::{size, size_of_problem},
};
use crate::{
    client::Aggregate,
    client_by::ClientBy,
    definitions::{self, Definitions},
    idempotency::{Acquired, IdempotencyEntry, acquire_all, release},
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// After this time, no further client joins a transaction: its locks stop other writers.
const LONGEST: Duration = Duration::from_millis(500);
/// A transaction may always hold results of this size, in bytes.
const LEAST_BYTES: usize = 1 << 20;
/// Limit of the ids and values that one transaction locks before they are claimed. PostgreSQL keeps these locks in
/// shared memory.
const MOST_CLAIMS: usize = 256;
/// The class of the locks of ids and values. The number is arbitrary but must not change.
const CLAIMS_LOCK: i32 = 0x636c_616d;

/// Clients to store in one transaction.
pub(super) struct Together<'a> {
    list: List<'a>,
    /// The indexes of the clients. No two of them have one idempotency key.
    indexes: &'a [usize],
    /// The transaction ends early, with fewer results than clients, when they have this many bytes.
    bytes: usize,
    is_committing: AtomicBool,
}

/// The result of a transaction.
pub(super) enum Done {
    /// The results of the first clients, in order.
    Parts(Vec<Part>),
    /// The key of the list belongs to another request: nothing of the list is stored.
    Refused(Problem),
}

pub(super) enum Part {
    New(Answer),
    /// An earlier request has stored the client.
    Replayed(Replayed),
}

impl<'a> Together<'a> {
    pub fn new(list: List<'a>, indexes: &'a [usize], left: usize) -> Self {
        Self {
            list,
            indexes,
            bytes: left.max(LEAST_BYTES),
            is_committing: AtomicBool::new(false),
        }
    }

    /// Returns true after a failure of the COMMIT, with which the clients may be stored or not.
    pub fn is_committing(&self) -> bool {
        self.is_committing.load(Relaxed)
    }
}

/// The entries of a transaction.
struct Entries {
    of_list: Option<IdempotencyEntry>,
    /// Those of the clients, in order.
    of_clients: Vec<Option<IdempotencyEntry>>,
    /// The keys of those that this transaction has acquired.
    acquired: HashSet<String>,
}

impl Work for Together<'_> {
    type Output = Done;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Done>> {
        self.is_committing.store(false, Relaxed);
        let begun = Instant::now();
        let mut entries = match self.acquire(transaction).await? {
            Ok(entries) => entries,
            Err(end) => return Ok(end),
        };
        let most = self.lock_in_order(transaction).await?;
        let (mut parts, mut bytes, mut is_written) = (Vec::new(), 0_usize, false);
        let locks = ValueLocks::default();
        for (at, index) in self.indexes.iter().take(most).enumerate() {
            let part = match &self.list.upserts[*index] {
                Err(problem) => Step::Discard(Part::New(Err(vec![problem.clone()]))),
                Ok(upsert) => self.part(upsert, at, &mut entries, &locks, transaction).await?,
            };
            let part = match part {
                Step::Commit(part) => {
                    is_written = true;
                    locks.set_written();
                    part
                }
                Step::Discard(part) => part,
                Step::Again if parts.is_empty() => return Ok(Step::Again),
                Step::Again => break,
            };
            bytes = bytes.saturating_add(size_of_answer(&part));
            parts.push(part);
            if bytes > self.bytes || begun.elapsed() > LONGEST || locks.are_used_up() {
                break;
            }
        }
        if !is_written {
            return Ok(Step::Discard(Done::Parts(parts)));
        }
        let unused = entries.of_clients.iter().flatten();
        let unused: Vec<_> = unused.filter(|entry| entries.acquired.contains(entry.key())).collect();
        release(&unused, transaction).await?;
        self.is_committing.store(true, Relaxed);
        Ok(Step::Commit(Done::Parts(parts)))
    }

    /// As for a single client: under a key, a long wait must end in a conflict.
    fn busy_error(&self) -> Option<Error> {
        let mut upserts = self.indexes.iter().flat_map(|index| &self.list.upserts[*index]);
        upserts.any(|upsert| upsert.entry.is_some()).then_some(Error::Conflict)
    }
}

impl Together<'_> {
    fn upserts(&self) -> impl Iterator<Item = &Upsert<'_>> {
        self.indexes
            .iter()
            .filter_map(|index| self.list.upserts[*index].as_ref().ok())
    }

    /// Acquires the entries of the list and of its clients. The inner error is the end of the transaction if the key of
    /// the list belongs to another request.
    async fn acquire(&self, transaction: &Transaction) -> Result<Result<Entries, Step<Done>>> {
        let entry = |index: &usize| self.list.upserts[*index].as_ref().ok()?.entry.clone();
        let mut of_clients: Vec<_> = self.indexes.iter().map(entry).collect();
        let mut of_list = self.list.key.map(|key| key.entry.clone());
        let all: Vec<_> = of_list.iter().chain(of_clients.iter().flatten()).collect();
        let mut acquired = acquire_all(&all, transaction).await?;
        if let Some(entry) = &of_list
            && !acquired.remove(entry.key())
        {
            match entry.read(self.list.now, transaction).await? {
                Acquired::First => {}
                Acquired::Stored(stored) => {
                    // The outcomes of all clients of a list are kept for the same time.
                    of_list.iter_mut().for_each(|entry| entry.expire_at(stored.expires_at));
                    let of_parts = of_clients.iter_mut().zip(self.indexes);
                    for (entry, _) in of_parts.filter(|(_, index)| !self.has_own_key(**index)) {
                        entry.iter_mut().for_each(|entry| entry.expire_at(stored.expires_at));
                    }
                }
                Acquired::Refused(problem) => return Ok(Err(Step::Discard(Done::Refused(problem)))),
                Acquired::Again => return Ok(Err(Step::Again)),
            }
        }
        Ok(Ok(Entries {
            of_list,
            of_clients,
            acquired,
        }))
    }

    /// Fills the part of the list's entry for a client with a key of its own, whose entry erases only itself.
    async fn fill_part(
        &self,
        at: usize,
        client: &Aggregate,
        entries: &Entries,
        transaction: &Transaction,
    ) -> Result<()> {
        let index = self.indexes[at];
        let mut batch = transaction.batch();
        if let Some(of_list) = entries.of_list.as_ref().filter(|_| self.has_own_key(index)) {
            of_list.fill_part(index, &client.client.encoded_key, &mut batch)?;
        }
        transaction.write(batch).await
    }

    /// Returns true if the input of the client has its own idempotency key.
    fn has_own_key(&self, index: usize) -> bool {
        let upsert = self.list.upserts[index].as_ref();
        upsert.is_ok_and(|upsert| upsert.input.idempotency_key.is_some())
    }

    /// Carries out the client at this place of the transaction, or returns its stored outcome.
    async fn part(
        &self,
        upsert: &Upsert<'_>,
        at: usize,
        entries: &mut Entries,
        locks: &ValueLocks,
        transaction: &Transaction,
    ) -> Result<Step<Part>> {
        let entry = entries.of_clients[at].clone();
        if let Some(entry) = &entry
            && !entries.acquired.contains(entry.key())
        {
            match entry.read(self.list.now, transaction).await? {
                Acquired::First => drop(entries.acquired.insert(entry.key().to_owned())),
                Acquired::Stored(stored) => {
                    let replayed = upsert.replayed(&stored, transaction).await?;
                    return Ok(Step::Discard(match replayed {
                        Ok(replayed) => {
                            self.fill_part(at, &replayed.client, entries, transaction).await?;
                            Part::Replayed(replayed)
                        }
                        Err(problem) => Part::New(Err(vec![problem])),
                    }));
                }
                Acquired::Refused(problem) => return Ok(Step::Discard(Part::New(Err(vec![problem])))),
                Acquired::Again => return Ok(Step::Again),
            }
        }
        let upsert = Upsert {
            entry,
            shared: Some(locks),
            ..upsert.clone()
        };
        let step = transaction.part(upsert.attempt(transaction)).await?;
        if let (Step::Commit(answer), Some(entry)) = (&step, &upsert.entry) {
            entries.acquired.remove(entry.key());
            if let Ok(upserted) = answer {
                self.fill_part(at, &upserted.client, entries, transaction).await?;
            }
        }
        Ok(match step {
            Step::Commit(answer) => Step::Commit(Part::New(answer)),
            Step::Discard(answer) => Step::Discard(Part::New(answer)),
            Step::Again => Step::Again,
        })
    }

    /// Locks the clients in the order of their keys, and what they may claim, so that two transactions never wait for
    /// each other. Returns the number of clients for which this was done: the transaction must not carry out more.
    async fn lock_in_order(&self, transaction: &Transaction) -> Result<usize> {
        let all = self.indexes.len();
        // SQLite's one writer has locked everything. A single client is locked by its own statements.
        if transaction.dialect == Dialect::Sqlite || all < 2 || !self.upserts().any(names_anything) {
            return Ok(all);
        }
        // The definitions are locked before any client, as for a single one, and imports are kept out.
        let mut locks = vec![definitions::shared_lock()];
        locks.extend(self.upserts().any(Upsert::chooses_id).then(import::shared_lock));
        transaction.one(format!("SELECT {}", locks.join(", ")), []).await?;
        let version = definitions::version(transaction).await?;
        let definitions = self.list.clients.definitions.at(version, transaction).await?;
        let mut claims = BTreeSet::new();
        let mut most = 0;
        for index in self.indexes {
            let of_client = self.list.upserts[*index]
                .as_ref()
                .map(|upsert| claimed(upsert, &definitions));
            let of_client = of_client.unwrap_or_default();
            if most > 0 && claims.len() + of_client.len() > MOST_CLAIMS {
                break;
            }
            claims.extend(of_client);
            most += 1;
        }
        if most > 1 {
            self.lock_clients(most, &definitions, transaction).await?;
            lock_claims(&claims, transaction).await?;
        }
        Ok(most)
    }

    async fn lock_clients(&self, most: usize, definitions: &Definitions, transaction: &Transaction) -> Result<()> {
        let (mut keys, mut ids, mut matched) = (Vec::new(), Vec::new(), Vec::new());
        for upsert in self.upserts().take(most) {
            match upsert.input.target() {
                Some(ClientBy::ClientId(id)) => ids.push(id),
                Some(ClientBy::EncodedKey(key) | ClientBy::Either(key)) => keys.push(key),
                None => matched.extend(matched_claim(upsert, definitions)),
            }
        }
        let texts = |mut texts: Vec<String>| {
            texts.retain(|text| !text.contains('\0'));
            serde_json::to_string(&texts).map_err(Error::internal)
        };
        let matched = serde_json::to_string(&matched).map_err(Error::internal)?;
        let mut values = vec![texts(keys)?.into(), texts(ids)?.into(), matched.into()];
        let rights = self.upserts().next().map(|upsert| &upsert.caller.rights);
        let limit = rights.map(|rights| rights.and_limit(transaction.dialect, "c", &mut values));
        let sql = format!(
            "SELECT c.encoded_key FROM client c WHERE c.encoded_key IN (SELECT k.value FROM {} UNION ALL \
             SELECT i.client_key FROM client_id_claim i WHERE {} UNION ALL \
             SELECT v.client_key FROM custom_field_claim v WHERE {}){} ORDER BY c.encoded_key",
            transaction.dialect.texts("$1", "k"),
            transaction.dialect.is_one_of("i.client_id", "$2"),
            Claim::is_one_of(transaction.dialect, "$3"),
            limit.unwrap_or_default(),
        );
        let locked = transaction.lock_each::<entity::client::Entity>(sql.as_str(), values.clone(), "NO KEY UPDATE");
        if locked.await?.is_none() {
            transaction.all(sql + " FOR NO KEY UPDATE OF c", values).await?;
        }
        Ok(())
    }
}

/// Returns true if the submission can concern a stored client, or claim what another one has.
fn names_anything(upsert: &Upsert<'_>) -> bool {
    let input = upsert.input;
    let has_values = input
        .custom_information
        .value()
        .is_some_and(|values| !values.is_empty());
    has_values
        || input.match_on != ClientMatch::EncodedKey
        || input.client.encoded_key.value().is_some()
        || input.client.client_id.value().is_some()
}

/// The value by which the submission names its client.
fn matched_claim(upsert: &Upsert<'_>, definitions: &Definitions) -> Option<Claim> {
    let (field, value) = upsert.matched(definitions).ok()??;
    Some(Claim::new(field, value))
}

/// The ids and values that the submission may claim, as texts of which no two have the same form.
fn claimed(upsert: &Upsert<'_>, definitions: &Definitions) -> BTreeSet<String> {
    let input = upsert.input;
    let sent = Claim::sent(input, definitions).map(|(_, claim)| claim);
    let values = sent.chain(matched_claim(upsert, definitions)).map(|claim| claim.text());
    let id = input.client.client_id.value().map(|id| format!("id {id}"));
    values.chain(id).filter(|text| !text.contains('\0')).collect()
}

/// Locks ids and values that this transaction may claim, in the same order in all transactions.
async fn lock_claims(claims: &BTreeSet<String>, transaction: &Transaction) -> Result<()> {
    if claims.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT pg_advisory_xact_lock({CLAIMS_LOCK}, h.hash) FROM \
         (SELECT DISTINCT hashtext(c.value) AS hash FROM {} ORDER BY 1) h",
        transaction.dialect.texts("$1", "c")
    );
    let claims = serde_json::to_string(claims).map_err(Error::internal)?;
    transaction.all(sql, [claims.into()]).await.map(|_| ())
}

/// The approximate bytes of a result in memory.
fn size_of_answer(part: &Part) -> usize {
    match part {
        Part::New(Ok(upserted)) => size(&upserted.client),
        Part::New(Err(problems)) => problems.iter().map(size_of_problem).sum(),
        Part::Replayed(replayed) => size(&replayed.client),
    }
}
