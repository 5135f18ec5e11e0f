//! Creates or changes a client with all that belongs to it: one transaction, everything or nothing.
//!
//! lock → read → check → difference → write. Every API calls [`Clients::upsert`], and nothing else writes
//! clients.

mod changes;
mod check;
mod collection;
mod fingerprint;
mod idempotency;
mod input;
mod recorded;
mod store;
mod target;
mod unknown;

use std::{collections::HashSet, sync::Arc};

use self::check::{Facts, check};
use crate::client::aggregate::{self, Aggregate, Wanted};
use crate::client_by::ClientBy;
use async_graphql::MaybeUndefined;
use chrono::{DateTime, SubsecRound, Utc};
pub use input::{
    AddressInput, ClientInput, ClientMatch, CustomFieldValueInput, IdDocumentInput, LONGEST_LIST, UpsertClient,
};
use serde::{Deserialize, Serialize};
use store::taken;
pub use target::NAMED;
use target::forbidden;
use target::unclear_target;

use crate::{
    audit::Head,
    caller::{Caller, Permission},
    client::Clients,
    definitions::{self, Definitions},
    enums::{Channel, Event},
    idempotency::Slot,
    notify::event,
};
use clientele_core::{
    error::{Error, Result},
    problem::{Problem, ProblemCode},
    scalar::is_key,
};
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// The result of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Created,
    Changed,
    /// The submission equals what was stored: nothing was written.
    Unchanged,
}

/// A client as it is stored after an upsert.
#[derive(Clone, Debug)]
pub struct Upserted {
    pub client: Aggregate,
    pub definitions: Arc<Definitions>,
    pub outcome: Outcome,
    /// The channels of the messages that this upsert queued.
    pub queued: Vec<Channel>,
}

impl Clients {
    /// Creates the client that `input` describes, or changes the one it names. Returns at least the `wanted`
    /// collections, without the values that the caller may not see; it needs no permission to see clients. Under an
    /// idempotency key the change is made once.
    ///
    /// # Errors
    /// Every problem of the submission as the inner error, internal errors as the outer one. Nothing is written with
    /// either.
    pub async fn upsert(
        &self,
        caller: &Caller,
        input: &UpsertClient,
        wanted: Wanted,
        now: DateTime<Utc>,
    ) -> Result<Result<Upserted, Vec<Problem>>> {
        if !caller.may(Permission::CreateClient) {
            caller.needs(Permission::EditClient)?;
        }
        if let Some(problem) = unclear_target(input) {
            return Ok(Err(vec![problem]));
        }
        // The databases keep microseconds, and the answer is the stored value.
        let now = now.trunc_subsecs(6);
        let slot = match idempotency::slot(input, caller, self.idempotency, now) {
            Ok(slot) => slot,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let answer = self
            .db
            .write(&Upsert {
                clients: self,
                caller,
                input,
                // A stored outcome may have to be shown in full later.
                wanted: if slot.is_some() { Wanted::ALL } else { wanted },
                slot,
                now,
            })
            .await?;
        let answer = answer.map(|mut upserted| {
            upserted.client.hide_values(&caller.rights, &upserted.definitions);
            upserted
        });
        if let Ok(upserted) = &answer {
            upserted.queued.iter().for_each(|channel| self.outbox.send(*channel));
        }
        Ok(answer)
    }
}

struct Upsert<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    input: &'a UpsertClient,
    wanted: Wanted,
    slot: Option<Slot>,
    now: DateTime<Utc>,
}

type Answer = Result<Upserted, Vec<Problem>>;

impl Work for Upsert<'_> {
    type Output = Answer;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        match self.carried_out_already(transaction).await? {
            Some(end) => Ok(end),
            None => self.carry_out(transaction).await,
        }
    }

    /// The error after waiting too long in SQLite's queue. Under a key, the wait can be for the first request, and must
    /// then end in a conflict, as on PostgreSQL. The queue doesn't tell this from a wait for other requests, so those
    /// get the same error: the caller can retry under the same key.
    fn kept_waiting(&self) -> Option<Error> {
        self.slot.as_ref().map(|_| Error::Conflict)
    }
}

impl Upsert<'_> {
    async fn carry_out(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        let refused = |problem| Ok(Step::Discard(Err(vec![problem])));
        let present = match self.input.target() {
            Some(target) => self.lock_and_read(&target, transaction).await?,
            None => None,
        };
        let (present, head, version) = match present {
            Some((present, head, version)) => (Some(present), head, version),
            None => (None, Head::default(), lock_definitions(transaction).await?),
        };
        if let Some(problem) = self.wrong_target(present.as_ref(), transaction).await? {
            let problems = match problem.code {
                ProblemCode::NotFound => self.with_other_problems(problem, version, transaction).await?,
                _ => vec![problem],
            };
            return Ok(Step::Discard(Err(problems)));
        }
        if let Some(problem) = self.wrong_version(present.as_ref()) {
            return refused(problem);
        }
        let definitions = self.clients.definitions.at(version, transaction).await?;
        if let Some(present) = &present
            && !present.has(event::wanted(Event::ClientUpdated, &definitions))
        {
            // The templates have changed since the client was read for the cached ones.
            return Ok(Step::Again);
        }
        let facts = Facts {
            caller: self.caller,
            present: present.as_ref(),
            is_change: present.is_some(),
            definitions: &definitions,
            linked: &self.linked(&definitions, transaction).await?,
            taken: present.is_none() && self.is_id_taken(transaction).await?,
            settings: &self.clients.settings,
            now: self.now,
        };
        let after = match check(self.input, &facts) {
            Ok(after) => after,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        match present {
            Some(present) => self.change((present, head), after, definitions, transaction).await,
            None => self.create(after, definitions, transaction).await,
        }
    }

    /// Locks and reads the stored client, with the collections that the submission replaces, the answer needs and
    /// templates use. Also reads the end of its audit chain, and the definitions' version, which can't change before
    /// the transaction ends.
    async fn lock_and_read(
        &self,
        target: &ClientBy,
        transaction: &Transaction,
    ) -> Result<Option<(Aggregate, Head, i64)>> {
        let (condition, named) = target.condition();
        if named.contains('\0') {
            return Ok(None);
        }
        // SQLite's one writer has locked everything. On PostgreSQL the lock needs a separate statement: the next one
        // then sees what was committed while this one waited.
        if transaction.dialect == Dialect::Postgres {
            let definitions = definitions::shared_lock();
            let lock = format!("SELECT {definitions} FROM client c WHERE {condition} FOR UPDATE OF c");
            if transaction.one(lock, [named.into()]).await?.is_none() {
                return Ok(None);
            }
        }
        let replaced = Wanted {
            addresses: !self.input.addresses.is_undefined(),
            id_documents: !self.input.id_documents.is_undefined(),
            custom_values: !self.input.custom_information.is_undefined(),
        };
        let told = match self.clients.definitions.known().await {
            Some(definitions) => event::wanted(Event::ClientUpdated, &definitions),
            None => Wanted::default(),
        };
        let select = aggregate::select_for_change(transaction.dialect, self.wanted.or(replaced).or(told));
        aggregate::read_for_change(transaction, format!("{select} WHERE {condition}"), [named.into()]).await
    }

    /// Returns the existing clients among those that the submission links to.
    async fn linked(&self, definitions: &Definitions, transaction: &Transaction) -> Result<HashSet<String>> {
        let MaybeUndefined::Value(values) = &self.input.custom_information else {
            return Ok(HashSet::new());
        };
        let links: Vec<&String> = values
            .iter()
            .filter(|value| {
                definitions
                    .field(&value.field_id)
                    .is_some_and(|field| field.links_clients())
            })
            .filter_map(|value| value.linked_key.value())
            .filter(|key| is_key(key))
            .collect();
        if links.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!(
            "SELECT encoded_key FROM client WHERE {}",
            transaction.dialect.is_one_of("encoded_key", "$1")
        );
        let links = serde_json::to_string(&links).map_err(Error::internal)?;
        let rows = transaction.all(sql, [links.into()]).await?;
        rows.iter()
            .map(|row| row.try_get_by_index(0).map_err(Error::from))
            .collect()
    }

    /// Returns true if a chosen id belongs to another client, or equals another client's key.
    async fn is_id_taken(&self, transaction: &Transaction) -> Result<bool> {
        let MaybeUndefined::Value(id) = &self.input.client.client_id else {
            return Ok(false);
        };
        if id.contains('\0') {
            return Ok(false);
        }
        let sql = match self.input.match_on {
            ClientMatch::EncodedKey => {
                "SELECT 1 FROM client_id_claim WHERE client_id = $1 \
                 UNION ALL SELECT 1 FROM client WHERE encoded_key = $1"
            }
            // If another request has claimed the id meanwhile, its client must be changed: claiming the id finds that
            // out.
            ClientMatch::ClientId => "SELECT 1 FROM client WHERE encoded_key = $1",
        };
        Ok(transaction.one(sql, [id.into()]).await?.is_some())
    }
}

/// Reads the definitions' version, which can't change before the transaction ends.
async fn lock_definitions(transaction: &Transaction) -> Result<i64> {
    // A separate statement reads the version, so that it sees what was committed while the lock waited.
    if transaction.dialect == Dialect::Postgres {
        transaction
            .one(format!("SELECT {}", definitions::shared_lock()), [])
            .await?;
    }
    definitions::version(transaction).await
}
