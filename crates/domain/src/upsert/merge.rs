//! Merges a client into another one: copies members, moves collections, redirects links, and exits the merged client.
//!
//! The resulting client is checked and written as by an upsert; the merged one keeps a reference to it.

mod consequences;
mod links;
mod moved;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

pub(super) use self::consequences::merged_into;
pub use self::links::MOST_LINKS;
pub(crate) use self::links::links_to;
use self::moved::Moved;
use super::{
    ClientMember, Scope, Upsert, UpsertClient, Upserted,
    check::{ValidationContext, check},
    duplicates, linked, replay,
    state::reason,
    unknown_client, version_conflict,
};
use crate::{
    audit::Head,
    caller::{Caller, Rights},
    client::{
        Aggregate, ClientParts, Clients, Transition,
        aggregate::{read_for_change, select_for_change},
    },
    client_by::ClientBy,
    definitions::{self, Definitions},
    enums::ClientState,
    idempotency::{Acquired, Fingerprint, IdempotencyEntry, Key, outcome_unavailable},
    member::Problems,
    message_guard::Raised,
};
use async_graphql::Enum;
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode, Step as PathStep},
};
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// Limit of the clients that were merged into the same client, directly or through others.
pub const MOST_MERGED: usize = 100;

/// Limit of the members that a merge copies: all of them.
pub const MOST_MEMBERS: usize = 15;

/// The part of a collection that moves to the other client. Its entries keep their keys.
#[derive(Enum, Serialize, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum MergeMode {
    /// Nothing: both clients keep what they have.
    #[default]
    Keep,
    /// The parts that `into` lacks: its address if it has none, documents of a type and number that it doesn't have,
    /// values of fields that it has no value for, and all groups of GROUPED sets, after its own. The rest stays with
    /// `from`.
    Add,
    /// Everything, in place of what `into` has. If `from` has nothing, `into` loses what it has.
    Replace,
}

/// A request to merge one client into another.
#[derive(Serialize, Clone, Debug)]
pub struct MergeClients {
    pub from: ClientBy,
    pub into: ClientBy,
    /// The members that `into` gets from `from`.
    pub members: Vec<ClientMember>,
    pub addresses: MergeMode,
    pub id_documents: MergeMode,
    pub custom_information: MergeMode,
    pub reason: Option<String>,
    pub expected_from_version: Option<i32>,
    pub expected_into_version: Option<i32>,
    #[serde(skip)]
    pub validate_only: bool,
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// The result of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The client that the other one was merged into.
    pub into: Upserted,
    /// The key of the merged client.
    pub from_key: String,
    /// The number of links of other clients that were redirected to `into`.
    pub links: usize,
}

type Answer = Result<Merged, Vec<Problem>>;

impl Clients {
    /// Merges a client into another one, which is returned with at least these parts, without the values that the
    /// caller may not see. Under an idempotency key the merge is made once.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn merge(
        &self,
        caller: &Caller,
        input: &MergeClients,
        parts: ClientParts,
        now: DateTime<Utc>,
    ) -> Result<Answer> {
        Scope::Merge.require(caller)?;
        let mut problems = Problems::default();
        let reason = reason(input.reason.as_deref(), &mut problems);
        if input.members.len() > MOST_MEMBERS {
            let message = format!("Send at most {MOST_MEMBERS} fields.");
            problems.add(ProblemCode::TooMany, path!["fields"], message);
        }
        for (index, member) in input.members.iter().enumerate().take(MOST_MEMBERS) {
            if input.members[..index].contains(member) {
                let message = format!("{} is listed twice: list each field once.", member.as_str());
                problems.add(ProblemCode::Duplicate, path!["fields", index], message);
            }
        }
        let key = input.idempotency_key.as_deref().map(Key::parse).transpose();
        let key = key.unwrap_or_else(|problem| {
            problems.0.push(problem);
            None
        });
        if !problems.0.is_empty() {
            return Ok(Err(problems.0));
        }
        // The databases keep microseconds.
        let now = now.trunc_subsecs(6);
        let request = serde_json::to_vec(input).map_err(Error::internal)?;
        let request = Fingerprint::of(["mergeClients".as_bytes(), &request]);
        let expiry = self.idempotency.expiry(now);
        let entry = key.filter(|_| !input.validate_only);
        let merge = Merge {
            clients: self,
            caller,
            input,
            reason,
            parts,
            entry: entry.map(|key| IdempotencyEntry::new(caller, &key, request, expiry)),
            now,
        };
        let answer = self.db.write(&merge).await?;
        Ok(answer.map(|Attempted { mut merged, raised }| {
            let into = &mut merged.into;
            into.client.hide_values(&caller.rights, &into.definitions);
            if !input.validate_only {
                self.guard.announce(&raised, &self.outbox, caller);
            }
            merged
        }))
    }
}

impl MergeClients {
    /// Gives problems of the upsert of `into` their paths in this input.
    fn of_merge(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let path = |problem: &Problem| match problem.path.as_slice() {
            [PathStep::Name("client"), PathStep::Name(name), ..] => {
                let is_it = |member: &ClientMember| member.as_str().replace('_', "").eq_ignore_ascii_case(name);
                match self.members.iter().position(is_it) {
                    Some(index) => path!["fields", index].to_vec(),
                    None => path!["fields"].to_vec(),
                }
            }
            [
                PathStep::Name(list @ ("addresses" | "idDocuments" | "customInformation")),
                ..,
            ] => path![*list].to_vec(),
            [] => Vec::new(),
            _ => path!["into"].to_vec(),
        };
        let problems = problems.into_iter();
        let in_input = problems.map(|problem| Problem {
            path: path(&problem),
            ..problem
        });
        in_input.collect()
    }
}

struct Merge<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    input: &'a MergeClients,
    reason: Option<String>,
    parts: ClientParts,
    entry: Option<IdempotencyEntry>,
    now: DateTime<Utc>,
}

struct Attempted {
    merged: Merged,
    /// The messages that the merge raised.
    raised: Raised,
}

/// A locked client with the end of its audit chain.
type LockedClient = (Aggregate, Head);

/// The stored outcome of a merge.
#[derive(Serialize, Deserialize)]
struct StoredMerge {
    /// In the form of the outcome of an upsert of this client.
    into: String,
    from_key: String,
    links: usize,
}

impl Work for Merge<'_> {
    type Output = Result<Attempted, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        if let Some(entry) = &self.entry {
            match entry.acquire(self.now, transaction).await? {
                Acquired::First => {}
                Acquired::Stored(stored) => {
                    let StoredMerge { into, from_key, links } =
                        serde_json::from_str(&stored.outcome).map_err(Error::internal)?;
                    let definitions = &self.clients.definitions;
                    let present = definitions.at(stored.definition_version, transaction).await?;
                    let into = replay::Replayed::of(&into, present)?;
                    if replay::is_hidden(&into, &self.caller.rights, transaction).await? {
                        return Ok(Step::Discard(Err(vec![outcome_unavailable()])));
                    }
                    let into = into.upserted()?;
                    let merged = Merged { into, from_key, links };
                    let raised = Raised::default();
                    return Ok(Step::Discard(Ok(Attempted { merged, raised })));
                }
                Acquired::Refused(problem) => return Ok(Step::Discard(Err(vec![problem]))),
                Acquired::Again => return Ok(Step::Again),
            }
        }
        // As in all writers, the definitions are locked first.
        if transaction.dialect == Dialect::Postgres {
            let lock = definitions::shared_lock();
            transaction.one(format!("SELECT {lock}"), []).await?;
        }
        let version = definitions::version(transaction).await?;
        let definitions = self.clients.definitions.at(version, transaction).await?;
        let Some(keys) = self.lock(&definitions, transaction).await? else {
            return Ok(Step::Again);
        };
        let (from, into) = match keys {
            Ok(clients) => clients,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        self.merge(from, into, &definitions, transaction).await
    }

    /// As for upserts: under a key, a long wait must end in a conflict.
    fn busy_error(&self) -> Option<Error> {
        self.entry.as_ref().map(|_| Error::Conflict)
    }
}

impl Merge<'_> {
    /// Locks both clients and those that link to `from`, in the order of their keys, and reads the two. None if an id
    /// has gone to another client meanwhile.
    ///
    /// # Errors
    /// The inner error is that one of them doesn't exist, that they are one client, or that they have other versions.
    async fn lock(
        &self,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Result<(LockedClient, LockedClient), Vec<Problem>>>> {
        let MergeClients { from, into, .. } = self.input;
        let mut locked = None;
        // SQLite's one writer has locked everything.
        if transaction.dialect == Dialect::Postgres && ![from, into].iter().any(|by| by.name().contains('\0')) {
            let sql = format!("SELECT {}, {}", from.key("$1::text"), into.key("$2::text"));
            let row = transaction.one(sql, [from.name().into(), into.name().into()]).await?;
            let keys = row.map(|row| row.try_get_many_by_index()).transpose()?;
            let (from_key, into_key): (Option<String>, Option<String>) = keys.unwrap_or_default();
            links::lock(from_key.as_deref(), into_key.as_deref(), definitions, transaction).await?;
            locked = Some((from_key, into_key));
        }
        let rights = &self.caller.rights;
        let found = (
            read(from, rights, transaction).await?,
            read(into, rights, transaction).await?,
        );
        if let Some((from_key, into_key)) = locked {
            let is_other = |found: &Option<LockedClient>, key: Option<String>| {
                let found = found.as_ref().map(|(client, _)| &client.client.encoded_key);
                found.is_some() && found != key.as_ref()
            };
            if is_other(&found.0, from_key) || is_other(&found.1, into_key) {
                return Ok(None);
            }
        }
        let unknown = |found: &Option<LockedClient>, by: &ClientBy, place: &'static str| {
            found.is_none().then(|| Problem {
                path: path![place].to_vec(),
                ..unknown_client(by)
            })
        };
        let problems = [unknown(&found.0, from, "from"), unknown(&found.1, into, "into")];
        let (Some(from), Some(into)) = found else {
            return Ok(Some(Err(problems.into_iter().flatten().collect())));
        };
        if from.0.client.encoded_key == into.0.client.encoded_key {
            let message = "from and into name the same client.";
            let problem = Problem::new(ProblemCode::Invalid, path!["into"], message);
            return Ok(Some(Err(vec![problem])));
        }
        let wrong = |expected: Option<i32>, client: &LockedClient, place: &'static str| {
            let problem = version_conflict(expected?, client.0.client.version)?;
            let path = path![place].to_vec();
            Some(Problem { path, ..problem })
        };
        let problems = [
            wrong(self.input.expected_from_version, &from, "expectedFromVersion"),
            wrong(self.input.expected_into_version, &into, "expectedIntoVersion"),
        ];
        let problems: Vec<Problem> = problems.into_iter().flatten().collect();
        Ok(Some(match problems.is_empty() {
            true => Ok((from, into)),
            false => Err(problems),
        }))
    }

    async fn merge(
        &self,
        from: LockedClient,
        into: LockedClient,
        definitions: &std::sync::Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Result<Attempted, Vec<Problem>>>> {
        let (from_key, into_key) = (&from.0.client.encoded_key, &into.0.client.encoded_key);
        let mut problems = state_problems(&from.0, &into.0);
        if consequences::count_merged(from_key, into_key, transaction).await? >= MOST_MERGED {
            let message = format!(
                "At most {MOST_MERGED} clients can be merged into one client, with those that were merged into them: \
                 delete some of them first."
            );
            problems.push(Problem::new(ProblemCode::TooMany, path!["into"], message));
        }
        let links = links::read(from_key, into_key, definitions, transaction).await?;
        problems.extend(links.problems(into_key, self.caller, definitions, transaction).await?);
        let moved = Moved::of(self.input, &from.0, &into.0, definitions, &self.caller.rights);
        problems.extend(moved.remaining_link(self.input, &from.0, &into.0, definitions, &self.caller.rights));
        let upsert = moved.upsert(self.input, &from.0, &into.0);
        let context = ValidationContext {
            caller: self.caller,
            stored: Some(&into.0),
            is_change: true,
            definitions,
            linked: linked(&upsert, definitions, &self.caller.rights, transaction).await?,
            is_id_taken: false,
            exported: None,
            settings: &self.clients.settings,
            now: self.now,
        };
        let after = match check(&upsert, &context) {
            Ok(after) if problems.is_empty() => after,
            Ok(_) => return Ok(Step::Discard(Err(problems))),
            Err(found) => {
                let mut of_merge = self.input.of_merge(found);
                // The state of `into` has been reported already.
                of_merge.retain(|problem| problem.code != ProblemCode::Blacklisted);
                problems.extend(of_merge);
                return Ok(Step::Discard(Err(problems)));
            }
        };
        let checks = &self.clients.settings.duplicates;
        let checked = duplicates::of_merge(&from.0, &into.0, &after, checks, self.caller, transaction);
        let warnings = match checked.await? {
            Ok(warnings) => self.input.of_merge(warnings),
            Err(problems) => return Ok(Step::Discard(Err(self.input.of_merge(problems)))),
        };
        let exited = moved.left(&from.0, self.exited(&from.0, into_key), &context_of(&context, &from.0));
        let after = moved.with_keys(after, &into.0, &exited);
        let exit = UpsertClient {
            scope: Scope::State,
            reason: self.reason.clone(),
            validate_only: self.input.validate_only,
            ..UpsertClient::default()
        };
        let (from_key, into_key) = (from_key.clone(), into_key.clone());
        // The values that are unique must be released before the other client claims them.
        let exit = self.upsert(&exit);
        let exited = exit.write(Some(from), exited, definitions.clone(), transaction);
        let mut raised = match exited.await? {
            Step::Commit(Ok(exited)) | Step::Discard(Ok(exited)) => exited.raised,
            Step::Commit(Err(problems)) | Step::Discard(Err(problems)) => {
                let of_from = problems.into_iter().map(|problem| Problem {
                    path: path!["from"].to_vec(),
                    ..problem
                });
                return Ok(Step::Discard(Err(of_from.collect())));
            }
            Step::Again => return Ok(Step::Again),
        };
        let upsert = self.upsert(&upsert);
        let written = upsert.write(Some(into), after, definitions.clone(), transaction);
        let into = match written.await? {
            Step::Commit(Ok(into)) | Step::Discard(Ok(into)) => Upserted { warnings, ..into },
            Step::Commit(Err(problems)) | Step::Discard(Err(problems)) => {
                return Ok(Step::Discard(Err(self.input.of_merge(problems))));
            }
            Step::Again => return Ok(Step::Again),
        };
        raised.extend(&into.raised);
        let mut batch = transaction.batch();
        let count = links.count();
        let redirected = links.redirect(&into_key, self, definitions, transaction, &mut batch);
        if !redirected.await? {
            return Ok(Step::Again);
        }
        let merged = Merged {
            into,
            from_key,
            links: count,
        };
        if self.input.validate_only {
            return Ok(Step::Discard(Ok(Attempted { merged, raised })));
        }
        if let Some(entry) = &self.entry {
            let record = StoredMerge {
                into: replay::record(merged.into.outcome, &merged.into.client, definitions)?,
                from_key: merged.from_key.clone(),
                links: count,
            };
            let record = serde_json::to_string(&record).map_err(Error::internal)?;
            entry.fill(Some(&into_key), record, &mut batch)?;
            entry.fill_part(0, &merged.from_key, &mut batch)?;
        }
        transaction.write(batch).await?;
        Ok(Step::Commit(Ok(Attempted { merged, raised })))
    }

    fn upsert<'u>(&'u self, input: &'u UpsertClient) -> Upsert<'u> {
        Upsert {
            clients: self.clients,
            caller: self.caller,
            input,
            parts: match self.entry {
                // A stored outcome may have to be shown in full later.
                Some(_) => ClientParts::ALL,
                None => self.parts,
            },
            entry: None,
            shared: None,
            now: self.now,
        }
    }

    /// The row of the merged client.
    fn exited(&self, from: &Aggregate, into_key: &str) -> entity::client::Model {
        let mut row = from.client.clone();
        if let Some(exit) = Transition::between(&row.state, ClientState::Exited.as_str()) {
            exit.apply(&mut row, self.now);
        }
        row.merged_into_key = Some(into_key.to_owned());
        row
    }
}

/// The same context for another stored client.
fn context_of<'a>(context: &ValidationContext<'a>, stored: &'a Aggregate) -> ValidationContext<'a> {
    ValidationContext {
        stored: Some(stored),
        linked: std::collections::HashSet::new(),
        ..*context
    }
}

/// Reads a client that exists for a caller with these rights, with everything that belongs to it. It must be locked
/// already.
async fn read(by: &ClientBy, rights: &Rights, transaction: &Transaction) -> Result<Option<LockedClient>> {
    let (condition, name) = by.condition();
    if name.contains('\0') {
        return Ok(None);
    }
    let mut values = vec![name.into()];
    let limit = rights.and_limit(transaction.dialect, "c", &mut values);
    let select = select_for_change(transaction.record_form(), ClientParts::ALL);
    let found = read_for_change(transaction, format!("{select} WHERE {condition}{limit}"), values).await?;
    Ok(found.map(|(client, head, _)| (client, head)))
}

/// The problems with the states of the two clients.
fn state_problems(from: &Aggregate, into: &Aggregate) -> Vec<Problem> {
    let mut problems = Problems::default();
    for (client, place) in [(from, "from"), (into, "into")] {
        let row = &client.client;
        if row.state == ClientState::Blacklisted.as_str() {
            let message = "This client is blacklisted and can't be merged: change its state first.";
            problems.add(ProblemCode::Blacklisted, path![place], message);
        } else if row.merged_into_key.is_some() {
            let message = "This client has been merged into another one: name that one, or undo its exit first.";
            problems.add(ProblemCode::AlreadyMerged, path![place], message);
        }
    }
    let (state, exited) = (from.client.state.as_str(), ClientState::Exited.as_str());
    let is_reported = state == ClientState::Blacklisted.as_str();
    if state != exited && !is_reported && Transition::between(state, exited).is_none() {
        let message = format!("A client that is {state} can't become EXITED: change its state first.");
        problems.add(ProblemCode::InvalidTransition, path!["from"], message);
    }
    problems.0
}
