//! Creates or changes a client with all that belongs to it: one transaction, everything or nothing.
//!
//! lock → read → check → compare → write. Every API creates and changes clients with [`Clients::upsert`].
//! Merges and imports check them by the same rules.

mod check;
mod claims;
mod client_id;
mod diff;
mod duplicates;
mod import;
mod input;
mod many;
mod match_field;
mod merge;
mod replay;
mod state;
mod target;

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{Table, audit_record, client, message, raised_message};
use sea_orm::Value;
use serde::{Deserialize, Serialize};

pub use import::{
    CheckedClients, CheckedHistories, ImportRules, Imported, ImportedClient, ImportedHistory, ONLY_STORED,
};
pub use input::{
    AddressInput, ClientInput, ClientMatch, ClientMember, CustomFieldMatchInput, CustomFieldValueInput,
    IdDocumentInput, LONGEST_LIST, Scope, UpsertClient,
};
pub use many::{MOST_CLIENTS, Many, Shown, Stored, UpsertClients};
pub use merge::{MOST_LINKS, MOST_MEMBERS, MOST_MERGED, MergeClients, MergeMode, Merged};
pub use state::{ChangeClientState, LONGEST_REASON};
pub use target::NAMED;
pub(crate) use {
    diff::ClientDiff,
    many::size_as_json,
    merge::links_to,
    target::{unknown_client, version_conflict},
};

use self::{
    check::{ValidationContext, check},
    client_id::{ID_ATTEMPTS, id_pattern},
    duplicates::{ValueLocks, with_warnings},
};
use crate::{
    audit::{self, Action, Chain, Change, Head, Subject},
    caller::{Caller, Rights},
    client::{
        Aggregate, ClientParts, Clients, LAST_VERSION, Transition,
        aggregate::{Locked, RowLock, lock_and_read},
        search::{SEARCHED, SearchRows},
    },
    client_by::ClientBy,
    definitions::{self, Definitions},
    enums::Event,
    idempotency::IdempotencyEntry,
    message_guard::{Raised, raised},
    notify::event,
};
use clientele_core::{
    error::{Error, Result},
    problem::{Problem, ProblemCode},
    scalar::is_key,
};
use clientele_storage::db::{Dialect, Step, Transaction, Work, is_locked};

/// The result of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Created,
    Changed,
    /// The submission equals the stored client: nothing was written.
    Unchanged,
}

/// A client as it is stored after an upsert.
#[derive(Clone, Debug)]
pub struct Upserted {
    pub client: Aggregate,
    pub definitions: Arc<Definitions>,
    pub outcome: Outcome,
    /// The messages that this upsert raised.
    pub raised: Raised,
    /// The duplicate checks that warn. A repetition under an idempotency key has none.
    pub warnings: Vec<Problem>,
}

type Answer = Result<Upserted, Vec<Problem>>;

impl Clients {
    /// Creates the client that `input` describes, or changes the one it names. Returns at least these parts of
    /// it, without the values that the caller may not see; it needs no permission to see clients. Under an idempotency
    /// key the change is made once. With `validate_only` nothing is written, not even the id that was claimed.
    ///
    /// # Errors
    /// Every problem of the submission as the inner error, internal errors as the outer one. Nothing is written with
    /// either.
    pub async fn upsert(
        &self,
        caller: &Caller,
        input: &UpsertClient,
        parts: ClientParts,
        now: DateTime<Utc>,
    ) -> Result<Answer> {
        input.scope.require(caller)?;
        if let Some(problem) = input.unclear_target() {
            return Ok(Err(vec![problem]));
        }
        // The databases keep microseconds, and the answer is the stored value.
        let now = now.trunc_subsecs(6);
        let entry = match replay::entry(input, caller, self.idempotency, now) {
            Ok(entry) => entry,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let upsert = Upsert {
            clients: self,
            caller,
            input,
            // A stored outcome may have to be shown in full later.
            parts: if entry.is_some() { ClientParts::ALL } else { parts },
            entry,
            shared: None,
            now,
        };
        let mut answer = self.db.write(&upsert).await?;
        if let Ok(upserted) = &mut answer {
            upsert.finish(upserted);
        }
        Ok(answer)
    }
}

#[derive(Clone)]
struct Upsert<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    input: &'a UpsertClient,
    parts: ClientParts,
    entry: Option<IdempotencyEntry>,
    /// The locks of a transaction that several clients share, which has acquired the entry already.
    shared: Option<&'a ValueLocks>,
    now: DateTime<Utc>,
}

impl Work for Upsert<'_> {
    type Output = Answer;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        if let Some(entry) = &self.entry
            && self.shared.is_none()
            && let Some(end) = self.replay(entry, transaction).await?
        {
            return Ok(end);
        }
        let target = match self.input.match_on {
            ClientMatch::CustomField => self.matched_key(transaction).await?.map(ClientBy::EncodedKey),
            ClientMatch::EncodedKey | ClientMatch::ClientId => self.input.target(),
        };
        let Some((stored, version)) = self.lock_and_read(target.as_ref(), transaction).await? else {
            return Ok(Step::Again);
        };
        let client = stored.as_ref().map(|(client, _)| client);
        let refused = |problem| Ok(Step::Discard(Err(vec![problem])));
        let definitions = self.clients.definitions.at(version, transaction).await?;
        let matched = match self.matched(&definitions) {
            Ok(matched) => matched,
            Err(problem) => return refused(problem),
        };
        let mut input = Cow::Borrowed(self.input);
        if let Some((field, value)) = &matched {
            // Before the client was locked, the value may have gone to another one.
            let holder = self.holder((field, value), transaction).await?;
            if holder.as_deref() != client.map(|client| &*client.client.encoded_key) {
                return Ok(Step::Again);
            }
            input = self.input.with_matched(field, client.is_some());
        }
        let wrong_target = self.wrong_target(client, transaction).await?;
        let unknown = match wrong_target {
            Some(problem) if problem.code == ProblemCode::NotFound => Some(problem),
            Some(problem) => return refused(problem),
            None => None,
        };
        if let Some(problem) = self.wrong_version(client).filter(|_| unknown.is_none()) {
            return refused(problem);
        }
        let mut context = ValidationContext {
            caller: self.caller,
            stored: client,
            is_change: client.is_some(),
            definitions: &definitions,
            linked: linked(&input, &definitions, &self.caller.rights, transaction).await?,
            is_id_taken: false,
            exported: None,
            settings: &self.clients.settings,
            now: self.now,
        };
        if let Some(problem) = unknown {
            return Ok(Step::Discard(Err(self.input.with_other_problems(problem, context))));
        }
        if client.is_some_and(|client| !client.has(self.parts_of_templates(&definitions))) {
            // The templates have changed since the client was read for the cached ones.
            return Ok(Step::Again);
        }
        if self.claims_id(client) {
            context.is_id_taken = self.is_id_taken(transaction).await?;
        }
        match check(&input, &context) {
            Ok(after) => {
                let matched = matched.as_ref().map(|(field, value)| (*field, value.as_str()));
                match self.duplicates(client, &after, matched, transaction).await? {
                    Some(Ok(warnings)) => {
                        let step = self.write(stored, after, definitions, transaction).await?;
                        Ok(with_warnings(step, warnings))
                    }
                    Some(Err(problems)) => Ok(Step::Discard(Err(problems))),
                    None => Ok(Step::Again),
                }
            }
            Err(problems) => {
                let problems = self.with_taken_values(problems, &input, client, &definitions, transaction);
                let problems = self.with_hint(problems.await?, client.is_none(), transaction).await?;
                Ok(Step::Discard(Err(self.input.at_matched(problems))))
            }
        }
    }

    /// The error after waiting too long in SQLite's queue. Under a key, the wait can be for the first request, and must
    /// then end in a conflict, as on PostgreSQL. The queue doesn't tell this from a wait for other requests, so those
    /// get the same error: the caller can retry under the same key.
    fn busy_error(&self) -> Option<Error> {
        self.entry.as_ref().map(|_| Error::Conflict)
    }
}

impl Upsert<'_> {
    /// Hides the values that the caller may not see, and announces the messages of a committed change.
    fn finish(&self, upserted: &mut Upserted) {
        let rights = &self.caller.rights;
        upserted.client.hide_values(rights, &upserted.definitions);
        if !self.input.validate_only {
            let Clients { guard, outbox, .. } = self.clients;
            guard.announce(&upserted.raised, outbox, self.caller);
        }
    }

    /// Locks and reads the client that the submission names, and locks the definitions. Returns the client, if it
    /// exists for the caller, with the end of its audit chain, and the definitions' version; none to start over. The
    /// client has the collections that the submission replaces, the answer needs and templates use.
    async fn lock_and_read(
        &self,
        target: Option<&ClientBy>,
        transaction: &Transaction,
    ) -> Result<Option<(Option<(Aggregate, Head)>, i64)>> {
        if let Some(target) = target {
            if transaction.dialect == Dialect::Postgres && self.input.scope == Scope::Patch && self.chooses_id() {
                // An import takes these before it locks clients.
                let locks = format!("SELECT {}, {}", definitions::shared_lock(), import::shared_lock());
                transaction.one(locks, []).await?;
            }
            let parts = self.parts_to_read().await;
            match lock_and_read(transaction, target, &self.caller.rights, RowLock::Change, parts).await? {
                Locked::Client(found) => {
                    let (client, head, version) = *found;
                    return Ok(Some((Some((client, head)), version)));
                }
                Locked::Renamed => return Ok(None),
                Locked::Unknown => {}
            }
        }
        if transaction.dialect == Dialect::Postgres {
            let mut locks = vec![definitions::shared_lock()];
            locks.extend(self.chooses_id().then(import::shared_lock));
            transaction.one(format!("SELECT {}", locks.join(", ")), []).await?;
        }
        Ok(Some((None, definitions::version(transaction).await?)))
    }

    /// Returns the key of the client with the unique value in the submission, which isn't locked yet.
    async fn matched_key(&self, transaction: &Transaction) -> Result<Option<String>> {
        let version = definitions::version(transaction).await?;
        let definitions = self.clients.definitions.at(version, transaction).await?;
        match self.matched(&definitions) {
            Ok(Some((field, value))) => self.holder((field, &value), transaction).await,
            // The problem is reported by the definitions that are locked.
            Ok(None) | Err(_) => Ok(None),
        }
    }

    async fn parts_to_read(&self) -> ClientParts {
        let replaced = ClientParts {
            custom_values: !self.input.custom_information.is_undefined(),
            ..match self.input.is_searched() {
                true => SEARCHED,
                false => ClientParts::default(),
            }
        };
        let of_templates = match self.clients.definitions.known().await {
            Some(definitions) => self.parts_of_templates(&definitions),
            None => ClientParts::default(),
        };
        self.parts.or(replaced).or(of_templates)
    }

    /// Returns the collections that the templates of a change need.
    fn parts_of_templates(&self, definitions: &Definitions) -> ClientParts {
        let events = match self.input.scope {
            Scope::Upsert | Scope::Merge => &[Event::ClientUpdated][..],
            Scope::Patch | Scope::State => &Event::OF_CHANGES,
        };
        let parts = events.iter().map(|event| event::parts(*event, definitions));
        parts.fold(ClientParts::default(), ClientParts::or)
    }

    /// Writes what differs from the stored client, its audit record, the messages that the change causes, and the
    /// outcome under an idempotency key, in one batch.
    async fn write(
        &self,
        stored: Option<(Aggregate, Head)>,
        mut after: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let (before, head) = stored.unzip();
        let former_id = before.as_ref().map(|before| &before.client.client_id);
        if former_id != Some(&after.client.client_id) {
            let is_new = former_id.is_none();
            let claimed = self.claim_id(&mut after.client, is_new, &definitions, transaction);
            if let Some(end) = claimed.await? {
                return Ok(end);
            }
            if let Some(id) = former_id {
                let sql = "DELETE FROM client_id_claim WHERE client_id = $1";
                transaction.run(sql, [id.into()]).await?;
            }
        }
        if before.is_none() {
            after.addresses.get_or_insert_default();
            after.id_documents.get_or_insert_default();
            after.custom_values.get_or_insert_default();
        }
        let claimed = self.claim_values(before.as_ref(), &after, &definitions, transaction);
        if let Some(end) = claimed.await? {
            return Ok(end);
        }
        let diff = ClientDiff::between(before.as_ref(), &after);
        let (outcome, events) = match &before {
            None => (Outcome::Created, vec![Event::ClientCreated]),
            // A merge needs a record of `into`, even if nothing else has changed.
            Some(_) if diff.is_empty() && self.input.merged_from.is_none() => (Outcome::Unchanged, Vec::new()),
            Some(before) => (Outcome::Changed, events(before, &after, &diff)),
        };
        let mut row = after.client.clone();
        let mut batch = transaction.batch();
        if outcome != Outcome::Unchanged {
            if let Some(before) = &before {
                if before.client.version >= LAST_VERSION {
                    return Ok(Step::Discard(Err(vec![target::last_version()])));
                }
                row.version = before.client.version + 1;
                // The clocks of servers differ; a client's own time must not run backwards.
                row.updated_at = self.now.max(before.client.updated_at);
            }
            let mut members = diff.members(&definitions);
            if diff.changes_state() || diff.is_merged() {
                audit::Members::new(&mut members).text("reason", None, self.input.reason.as_deref());
            }
            audit::Members::new(&mut members).text("mergedFrom", None, self.input.merged_from.as_deref());
            let change = Change {
                chain: Chain::Client(&row.encoded_key),
                subject: Subject::Client,
                subject_key: &row.encoded_key,
                action: Action::of(before.as_ref()),
                members,
            };
            let audit = &self.clients.audit;
            let head = head.unwrap_or_default();
            let (record, head) = audit.next(transaction, self.caller, &change, &head, self.now).await?;
            match &before {
                Some(before) => batch.put_over::<client::Entity, 2>(&before.client, &row, head_columns(&head)),
                None => batch.put_one::<client::Entity, 2>(&row, head_columns(&head)),
            }
            diff.write(&row.encoded_key, &mut batch)?;
            SearchRows::write_changes(before.as_ref(), &after, &mut batch)?;
            batch.insert::<audit_record::Entity>(&Vec::from_iter(&record))?;
        }
        let mut client = Aggregate { client: row, ..after };
        let before = before.map(|before| client.complete_from(before));
        let mut messages = Vec::new();
        for event in events {
            let change = event::Change {
                event,
                before: before.as_ref(),
                rights: &self.caller.rights,
                now: self.now,
            };
            messages.extend(event::messages(&change, &client, &definitions)?);
        }
        let raised = match self.input.validate_only {
            // Nothing is stored.
            true => Raised::default(),
            false => {
                let guard = &self.clients.guard;
                let counted = guard.check(&mut messages, self.caller, self.now, transaction).await?;
                batch.put::<message::Entity>(&Vec::from_iter(&messages))?;
                batch.put::<raised_message::Entity>(&Vec::from_iter(&counted))?;
                raised(&messages)
            }
        };
        if let Some(entry) = &self.entry {
            let record = replay::record(outcome, &client, &definitions)?;
            entry.fill(Some(&client.client.encoded_key), record, &mut batch)?;
        }
        let answer = Ok(Upserted {
            client,
            definitions,
            outcome,
            raised,
            warnings: Vec::new(),
        });
        // Claims are made even if the input is only checked: no other check finds all that must be unique.
        if batch.is_empty() || self.input.validate_only {
            return Ok(Step::Discard(answer));
        }
        transaction.write(batch).await?;
        Ok(Step::Commit(answer))
    }
}

/// Returns the clients that exist for a caller with these rights among those that the submission links to.
async fn linked(
    input: &UpsertClient,
    definitions: &Definitions,
    rights: &Rights,
    transaction: &Transaction,
) -> Result<HashSet<String>> {
    let is_link = |id: &str| definitions.field(id).is_some_and(|field| field.links_clients());
    let values = input.custom_information.value().into_iter().flatten();
    let links: Vec<&String> = values
        .filter(|value| is_link(&value.field_id))
        .filter_map(|value| value.linked_key.value())
        .filter(|key| is_key(key))
        .collect();
    if links.is_empty() {
        return Ok(HashSet::new());
    }
    let which = transaction.dialect.is_one_of("c.encoded_key", "$1");
    let mut values = vec![serde_json::to_string(&links).map_err(Error::internal)?.into()];
    let limit = rights.and_limit(transaction.dialect, "c", &mut values);
    let sql = format!("SELECT c.encoded_key FROM client c WHERE {which}{limit}");
    // They can't be deleted before the links are stored.
    let locked = transaction.lock_each::<client::Entity>(sql.as_str(), values.clone(), "KEY SHARE");
    let locked = locked.await?;
    let sql = sql + transaction.locking(" FOR KEY SHARE");
    let rows = transaction.all(sql, values).await?;
    let mut linked: HashSet<String> = rows
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?;
    linked.retain(|key| is_locked(locked.as_deref(), &[key]));
    Ok(linked)
}

/// Returns the events of a change: that of the new state, and CLIENT_UPDATED if anything else changes. What leaves
/// a merged client raises no event of that client.
fn events(before: &Aggregate, after: &Aggregate, diff: &ClientDiff<'_>) -> Vec<Event> {
    let transition = Transition::between(&before.client.state, &after.client.state);
    let of_state = transition.map(|transition| transition.event_for(&before.client));
    let of_others = (diff.exceeds_state() && !diff.is_merged()).then_some(Event::ClientUpdated);
    let mut events: Vec<Event> = of_state.into_iter().chain(of_others).collect();
    events.dedup();
    events
}

/// The columns of a client's row with the end of its audit chain, which readers of clients don't need.
const HEAD_COLUMNS: [&str; 2] = ["history_head", "history_count"];

fn head_columns(head: &Head) -> [(&'static str, Value); 2] {
    let [seal, count] = HEAD_COLUMNS;
    [(seal, head.seal.clone().into()), (count, head.count.into())]
}

/// A client's row with the end of its audit chain.
#[derive(Serialize)]
struct ClientRow<'a> {
    #[serde(flatten)]
    client: &'a client::Model,
    history_head: Option<&'a str>,
    history_count: i64,
}

impl<'a> ClientRow<'a> {
    fn new(client: &'a client::Model, head: &'a Head) -> Self {
        Self {
            client,
            history_head: head.seal.as_deref(),
            history_count: head.count,
        }
    }

    fn columns() -> Vec<&'static str> {
        [client::Entity::columns(), HEAD_COLUMNS.to_vec()].concat()
    }
}
