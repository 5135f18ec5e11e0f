//! Creating or changing a client with all that belongs to it: one transaction, everything or nothing.
//!
//! lock → read → check → difference → write. Every door calls [`Clientele::upsert_client`], and nothing else writes
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
    Clientele,
    audit::Head,
    caller::{Caller, Permission},
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

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Created,
    Changed,
    /// The submission says what was stored already: nothing was written.
    Unchanged,
}

/// A client as it is stored after an upsert.
#[derive(Clone, Debug)]
pub struct Upserted {
    pub client: Aggregate,
    pub definitions: Arc<Definitions>,
    pub outcome: Outcome,
    /// The channels that messages have been queued on by this.
    pub queued: Vec<Channel>,
}

impl Clientele {
    /// Creates the client that `input` describes, or changes the one it names. The answer has the `wanted` collections
    /// at least, without the values that the caller may not see; it needs no permission to see clients. Under an
    /// idempotency key that is done once.
    ///
    /// # Errors
    /// Every problem of the submission as the inner error, surprises as the outer one. Nothing is written with either.
    pub async fn upsert_client(
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
        // The databases keep microseconds, and the answer is what is stored.
        let now = now.trunc_subsecs(6);
        let slot = match idempotency::slot(input, caller, self.idempotency, now) {
            Ok(slot) => slot,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let answer = self
            .db
            .write(&Upsert {
                clientele: self,
                caller,
                input,
                // What is kept may be shown in full another time.
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
            upserted.queued.iter().for_each(|channel| self.bell.ring(*channel));
        }
        Ok(answer)
    }
}

struct Upsert<'a> {
    clientele: &'a Clientele,
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

    /// SQLite's queue doesn't tell whom it is that one waits for. Under a key it may be the first request, still being
    /// carried out, and whoever waits too long for that is promised a conflict: as on PostgreSQL, where it is waited
    /// for by its key. Who waits for strangers only is told the same, and does the same about it: it sends the request
    /// again, as its key lets it.
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
        let definitions = self.clientele.definitions.at(version, transaction).await?;
        if let Some(present) = &present
            && !present.has(event::wanted(Event::ClientUpdated, &definitions))
        {
            // The templates have changed since the client was read for those that were known.
            return Ok(Step::Again);
        }
        let facts = Facts {
            caller: self.caller,
            present: present.as_ref(),
            is_change: present.is_some(),
            definitions: &definitions,
            linked: &self.linked(&definitions, transaction).await?,
            taken: present.is_none() && self.is_id_taken(transaction).await?,
            settings: &self.clientele.settings,
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

    /// The stored client, locked, with the collections that the submission replaces, the answer needs and templates
    /// look at; where its history ends; and the definitions' version, which can't change before the transaction ends.
    async fn lock_and_read(
        &self,
        target: &ClientBy,
        transaction: &Transaction,
    ) -> Result<Option<(Aggregate, Head, i64)>> {
        let (condition, named) = target.condition();
        if named.contains('\0') {
            return Ok(None);
        }
        // SQLite's one writer has locked everything. On PostgreSQL the lock needs a statement of its own: the next one
        // sees what was committed while this one waited.
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
        let told = match self.clientele.definitions.known().await {
            Some(definitions) => event::wanted(Event::ClientUpdated, &definitions),
            None => Wanted::default(),
        };
        let select = aggregate::select_for_change(transaction.dialect, self.wanted.or(replaced).or(told));
        aggregate::read_for_change(transaction, format!("{select} WHERE {condition}"), [named.into()]).await
    }

    /// Of the clients that the submission links to, those that exist.
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

    /// Whether a chosen id is another client's, or could be mistaken for another client's key.
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
            // Who has claimed the id since it was looked for is to be changed: that is found out when it is claimed.
            ClientMatch::ClientId => "SELECT 1 FROM client WHERE encoded_key = $1",
        };
        Ok(transaction.one(sql, [id.into()]).await?.is_some())
    }
}

/// The definitions' version, which can't change before the transaction ends.
async fn lock_definitions(transaction: &Transaction) -> Result<i64> {
    // The version is read by a statement of its own: it sees what was committed while the lock was waited for.
    if transaction.dialect == Dialect::Postgres {
        transaction
            .one(format!("SELECT {}", definitions::shared_lock()), [])
            .await?;
    }
    definitions::version(transaction).await
}
