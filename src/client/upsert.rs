//! Creating or changing a client with all that belongs to it: one transaction, everything or nothing.
//!
//! lock → read → check → difference → write. Every door calls [`Clientele::upsert_client`], and nothing else writes clients.

mod changes;
mod target;

use std::{collections::HashSet, sync::Arc};

use async_graphql::MaybeUndefined;
use chrono::{DateTime, SubsecRound, Utc};
use entity::client;

use super::{
    aggregate::{self, Aggregate, ClientBy, Wanted},
    check::{Facts, check},
    input::{ClientMatch, UpsertClient},
};
use changes::Changes;
pub use target::NAMED;
use target::unclear_target;

use crate::{
    Clientele,
    custom_field::{self, Definitions},
    db::{Dialect, Step, Transaction, Work},
    error::{Error, Result},
    problem::{Problem, ProblemCode, path},
    scalar::is_key,
};

/// How many generated ids are tried before a pattern counts as used up.
const ID_ATTEMPTS: usize = 20;

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Clientele {
    /// Creates the client that `input` describes, or changes the one it names. The answer has the `wanted` collections.
    ///
    /// # Errors
    /// Every problem of the submission as the inner error, surprises as the outer one. Nothing is written with either.
    pub async fn upsert_client(
        &self,
        input: &UpsertClient,
        wanted: Wanted,
        now: DateTime<Utc>,
    ) -> Result<Result<Upserted, Vec<Problem>>> {
        if let Some(problem) = unclear_target(input) {
            return Ok(Err(vec![problem]));
        }
        // The databases keep microseconds, and the answer is what is stored.
        let now = now.trunc_subsecs(6);
        self.db
            .write(&Upsert {
                clientele: self,
                input,
                wanted,
                now,
            })
            .await
    }
}

struct Upsert<'a> {
    clientele: &'a Clientele,
    input: &'a UpsertClient,
    wanted: Wanted,
    now: DateTime<Utc>,
}

type Answer = Result<Upserted, Vec<Problem>>;

impl Work for Upsert<'_> {
    type Output = Answer;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        let refused = |problem| Ok(Step::Discard(Err(vec![problem])));
        let present = match self.target() {
            Some(target) => self.lock_and_read(&target, transaction).await?,
            None => None,
        };
        let (present, version) = match present {
            Some((present, version)) => (Some(present), version),
            None => (None, lock_definitions(transaction).await?),
        };
        if let Some(problem) = self.wrong_target(present.as_ref(), transaction).await? {
            return refused(problem);
        }
        if let Some(problem) = self.wrong_version(present.as_ref()) {
            return refused(problem);
        }
        let definitions = self.clientele.definitions.at(version, transaction).await?;
        let facts = Facts {
            present: present.as_ref(),
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
            Some(present) => self.change(present, after, definitions, transaction).await,
            None => self.create(after, definitions, transaction).await,
        }
    }
}

impl Upsert<'_> {
    /// The stored client, locked, with the collections that the submission replaces and the answer needs; and the
    /// definitions' version, which can't change before the transaction ends.
    async fn lock_and_read(&self, target: &ClientBy, transaction: &Transaction) -> Result<Option<(Aggregate, i64)>> {
        let (condition, named) = target.condition();
        if named.contains('\0') {
            return Ok(None);
        }
        // SQLite's one writer has locked everything. On PostgreSQL the lock needs a statement of its own: the next one
        // sees what was committed while this one waited.
        if transaction.dialect == Dialect::Postgres {
            let definitions = custom_field::shared_lock();
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
        let select = aggregate::select(transaction.dialect, self.wanted.or(replaced));
        let (version, mut rows) =
            aggregate::read(transaction, format!("{select} WHERE {condition}"), [named.into()]).await?;
        Ok(rows.pop().zip(version))
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

    async fn create(
        &self,
        mut after: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let chosen = !after.client.client_id.is_empty();
        if !self.claim_id(&mut after.client, transaction).await? {
            return match (chosen, self.input.match_on) {
                // Somebody else has created it just now: it is to be changed instead.
                (true, ClientMatch::ClientId) => Ok(Step::Again),
                (true, ClientMatch::EncodedKey) => Ok(Step::Discard(Err(vec![taken()]))),
                (false, _) => Err(Error::defect(
                    "the pattern of client ids is used up: configure a longer one",
                )),
            };
        }
        after.addresses.get_or_insert_default();
        after.id_documents.get_or_insert_default();
        after.custom_values.get_or_insert_default();
        Changes::between(None, &after).write(&after.client, transaction).await?;
        Ok(Step::Commit(Ok(Upserted {
            client: after,
            definitions,
            outcome: Outcome::Created,
        })))
    }

    /// Makes the client's id its own, across all clients. An id that is to be generated is generated here.
    async fn claim_id(&self, client: &mut client::Model, transaction: &Transaction) -> Result<bool> {
        let generate = client.client_id.is_empty();
        for _ in 0..if generate { ID_ATTEMPTS } else { 1 } {
            if generate {
                client.client_id = self.clientele.settings.id_pattern.generate(&mut rand::rng());
            }
            let claim = "INSERT INTO client_id_claim (client_id, client_key) \
                         SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM client WHERE encoded_key = $1) \
                         ON CONFLICT DO NOTHING";
            let values = [client.client_id.clone().into(), client.encoded_key.clone().into()];
            if transaction.run(claim, values).await? == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn change(
        &self,
        before: Aggregate,
        after: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let changes = Changes::between(Some(&before), &after);
        if before.client == after.client && changes.is_empty() {
            return Ok(Step::Discard(Ok(Upserted {
                client: before,
                definitions,
                outcome: Outcome::Unchanged,
            })));
        }
        let client = client::Model {
            version: before.client.version + 1,
            // Clocks of several servers differ; a client's own time doesn't run backwards.
            updated_at: self.now.max(before.client.updated_at),
            ..after.client.clone()
        };
        changes.write(&client, transaction).await?;
        let client = Aggregate {
            client,
            addresses: after.addresses.or(before.addresses),
            id_documents: after.id_documents.or(before.id_documents),
            custom_values: after.custom_values.or(before.custom_values),
        };
        Ok(Step::Commit(Ok(Upserted {
            client,
            definitions,
            outcome: Outcome::Changed,
        })))
    }
}

pub(super) fn taken() -> Problem {
    let message = "Another client has this clientId: choose another, or leave it out to have one generated.";
    Problem::new(ProblemCode::Taken, path!["client", "clientId"], message)
}

/// The definitions' version, which can't change before the transaction ends.
async fn lock_definitions(transaction: &Transaction) -> Result<i64> {
    // The version is read by a statement of its own: it sees what was committed while the lock was waited for.
    if transaction.dialect == Dialect::Postgres {
        transaction
            .one(format!("SELECT {}", custom_field::shared_lock()), [])
            .await?;
    }
    custom_field::version(transaction).await
}
