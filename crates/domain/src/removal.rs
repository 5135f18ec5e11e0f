//! Removes clients: deletes them, or erases all their personal data. Both remove the row, the collections, the claims
//! and the messages in one transaction. This is one function, so that no place is forgotten.
//!
//! The end of the client's audit chain moves to `audit_chain`. It keeps the key in use: no later client can get it.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use entity::{
    Table, audit_chain, audit_record, client, client_search, custom_field_claim, id_document_search, provider_message,
    suppression,
};
use serde::{Deserialize, Serialize};

use crate::{
    audit::{self, Action, Chain, Change, Head, Member, Members, Subject},
    caller::{Caller, Permission, Rights},
    client::{
        ClientParts, Clients,
        aggregate::{Locked, RowLock, lock_and_read},
    },
    client_by::ClientBy,
    definitions::{Definitions, Field},
    enums::MessageState,
    idempotency::{self, Acquired, Fingerprint, IdempotencyEntry, Key},
    notify::suppression::{forget, record_forgotten},
    upsert::{ClientDiff, links_to, unknown_client, version_conflict},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{ConcernedClients, Problem, ProblemCode},
    scalar::is_key,
};
use clientele_storage::db::{Step, Transaction, Work};

/// Limit of the linking clients that a refusal names.
const MOST_NAMED: usize = 3;
/// Limit of the linking clients that a refusal counts, so that its work doesn't grow with the number of links.
pub const MOST_COUNTED: usize = 1_000;

/// A request to delete a client, or to erase it.
#[derive(Serialize, Clone, Debug)]
pub struct RemoveClient {
    pub by: ClientBy,
    pub expected_version: Option<i32>,
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// The API's own fingerprint of the request, if it isn't that of this input.
    #[serde(skip)]
    pub request: Option<Fingerprint>,
}

impl From<ClientBy> for RemoveClient {
    fn from(by: ClientBy) -> Self {
        Self {
            by,
            expected_version: None,
            idempotency_key: None,
            request: None,
        }
    }
}

/// The result of a removal. It has no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub client_key: String,
    #[serde(with = "entity::instant")]
    pub at: DateTime<Utc>,
    /// The removed messages.
    pub messages: usize,
    /// Those of them that were waiting to be sent, and never will be.
    pub unsent: usize,
    /// The keys of the clients that were merged into it, as far as the caller may see them. They keep their data.
    #[serde(default)]
    pub merged_keys: Vec<String>,
    /// The audit records whose contents were erased.
    pub records: u64,
    /// True if everything was erased before, at that time, and nothing was added since. Nothing was written.
    pub was_erased: bool,
}

/// The end of the audit chain of a removed client, with the columns that the change feed needs.
struct ChainEnd {
    head: Head,
    /// The number of versions before the first audit record.
    earlier_versions: i64,
    branch_key: Option<String>,
    centre_key: Option<String>,
}

type Answer = Result<Removed, Vec<Problem>>;

impl Clients {
    /// Deletes a client, unless custom field values of other clients link to it. Its audit records stay.
    ///
    /// # Errors
    /// The problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn delete(&self, caller: &Caller, input: &RemoveClient, now: DateTime<Utc>) -> Result<Answer> {
        caller.require(Permission::DeleteClient)?;
        self.remove(caller, Operation::Delete, input, now).await
    }

    /// Erases all personal data of a client, or of one that was deleted: also the contents of its audit records and the
    /// stored outcomes of requests about it. Links of other clients to its key stay.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn erase(&self, caller: &Caller, input: &RemoveClient, now: DateTime<Utc>) -> Result<Answer> {
        caller.require(Permission::EraseClient)?;
        self.remove(caller, Operation::Erase, input, now).await
    }

    async fn remove(
        &self,
        caller: &Caller,
        operation: Operation,
        input: &RemoveClient,
        now: DateTime<Utc>,
    ) -> Result<Answer> {
        let entry = match input.idempotency_key.as_deref().map(Key::parse).transpose() {
            Ok(key) => key,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let fingerprint = match input.request {
            Some(request) => request,
            None => {
                let members = serde_json::to_vec(input).map_err(Error::internal)?;
                Fingerprint::of([operation.name().as_bytes(), &members])
            }
        };
        // The databases keep microseconds.
        let now = now.trunc_subsecs(6);
        let expiry = self.idempotency.expiry(now);
        let removal = Removal {
            clients: self,
            caller,
            operation,
            input,
            entry: entry.map(|key| IdempotencyEntry::new(caller, &key, fingerprint, expiry)),
            now,
        };
        self.db.write(&removal).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Delete,
    Erase,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Delete => "deleteClient",
            Self::Erase => "eraseClient",
        }
    }
}

struct Removal<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    operation: Operation,
    input: &'a RemoveClient,
    entry: Option<IdempotencyEntry>,
    now: DateTime<Utc>,
}

impl Work for Removal<'_> {
    type Output = Answer;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        let refused = |problem| Ok(Step::Discard(Err(vec![problem])));
        if let Some(entry) = &self.entry {
            match entry.acquire(self.now, transaction).await? {
                Acquired::First => {}
                Acquired::Stored(stored) => {
                    let removed = serde_json::from_str(&stored.outcome).map_err(Error::internal)?;
                    return Ok(Step::Discard(Ok(removed)));
                }
                Acquired::Refused(problem) => return refused(problem),
                Acquired::Again => return Ok(Step::Again),
            }
        }
        let locked = lock_and_read(
            transaction,
            &self.input.by,
            &self.caller.rights,
            RowLock::Removal,
            ClientParts::ALL,
        );
        let (client, head, version) = match locked.await? {
            Locked::Client(found) => *found,
            Locked::Renamed => return Ok(Step::Again),
            Locked::Unknown => {
                let deleted = match self.operation {
                    Operation::Delete => None,
                    Operation::Erase => self.lock_deleted(transaction).await?,
                };
                return match deleted {
                    Some((key, end)) => self.erase_deleted(key, end, transaction).await,
                    None => refused(self.unknown()),
                };
            }
        };
        let row = &client.client;
        let expected = self.input.expected_version;
        if let Some(problem) = expected.and_then(|expected| version_conflict(expected, row.version)) {
            return refused(problem);
        }
        let definitions = self.clients.definitions.at(version, transaction).await?;
        if self.operation == Operation::Delete
            && let Some(problem) = self.links(&row.encoded_key, &definitions, transaction).await?
        {
            return refused(problem);
        }
        let (caller, now) = (self.caller, self.now);
        let release = self.clients.release_merged(caller, row, &definitions, now, transaction);
        let mut merged = release.await?;
        merged.retain(|row| self.caller.rights.shows(row));
        let states = delete_rows(row, transaction).await?;
        // A receipt that is being recorded holds its message, which is removed by now.
        let forgotten = forget(&row.encoded_key, transaction).await?;
        let is_unsent = |state: &&String| **state == MessageState::Queued.as_str();
        let removed = Removed {
            client_key: row.encoded_key.clone(),
            at: self.now,
            messages: states.len(),
            unsent: states.iter().filter(is_unsent).count(),
            merged_keys: merged.into_iter().map(|row| row.encoded_key).collect(),
            records: 0,
            was_erased: false,
        };
        let end = ChainEnd {
            earlier_versions: i64::from(row.version) - head.count,
            head,
            branch_key: row.assigned_branch_key.clone(),
            centre_key: row.assigned_centre_key.clone(),
        };
        match self.operation {
            Operation::Delete => {
                let members = ClientDiff::deletion(&client).members(&definitions);
                self.record_deletion(removed, members, end, &forgotten, transaction)
                    .await
            }
            Operation::Erase => self.erase_traces(removed, end, &forgotten, transaction).await,
        }
    }

    /// As for upserts: under a key, a long wait must end in a conflict.
    fn busy_error(&self) -> Option<Error> {
        self.entry.as_ref().map(|_| Error::Conflict)
    }
}

impl Removal<'_> {
    /// The problem of a client that doesn't exist. The id of a client goes with it, but its data may be left to erase.
    fn unknown(&self) -> Problem {
        let problem = unknown_client(&self.input.by);
        match (self.operation, &self.input.by) {
            (Operation::Erase, ClientBy::ClientId(_)) => {
                let message = "There is no client with this id: one that was deleted or erased is named by its key, \
                    which its audit records have.";
                Problem::new(problem.code, problem.path.to_vec(), message)
            }
            _ => problem,
        }
    }

    /// Locks the end of the audit chain of a client that was deleted. It has no branch and no centre any more.
    async fn lock_deleted(&self, transaction: &Transaction) -> Result<Option<(String, ChainEnd)>> {
        let key = match &self.input.by {
            ClientBy::EncodedKey(key) | ClientBy::Either(key) if is_key(key) && !self.caller.rights.are_limited() => {
                key
            }
            _ => return Ok(None),
        };
        let Some(head) = audit::end(transaction, Chain::Client(key)).await? else {
            return Ok(None);
        };
        let sql = "SELECT earlier_versions, branch_key, centre_key FROM audit_chain WHERE chain = $1";
        let row = transaction.one(sql, [key.into()]).await?;
        let row = row.map(|row| row.try_get_many_by_index()).transpose()?;
        let (earlier_versions, branch_key, centre_key): (i64, Option<String>, Option<String>) = row.unwrap_or_default();
        let end = ChainEnd {
            head,
            earlier_versions,
            branch_key,
            centre_key,
        };
        Ok(Some((key.clone(), end)))
    }

    /// Returns the problem of a client that others link to, with those that the caller may view.
    async fn links(
        &self,
        client_key: &str,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Problem>> {
        let rights = &self.caller.rights;
        let views_clients = self.caller.can(Permission::ViewClient);
        let fields = definitions.fields.iter().filter(|field| field.links_clients());
        let fields: Vec<&Arc<Field>> = fields.collect();
        let shown: Vec<&Arc<Field>> = match views_clients {
            true => fields.iter().copied().filter(|field| field.is_shown(rights)).collect(),
            false => Vec::new(),
        };
        let clients = linking_clients(client_key, &shown, rights, transaction).await?;
        // Links that the caller may not see count, too.
        let all = Rights::all();
        if clients.is_none() && linking_clients(client_key, &fields, &all, transaction).await?.is_none() {
            return Ok(None);
        }
        let message = "Other clients link to this client: remove all these links first.";
        Ok(Some(Problem {
            clients: clients.map(Box::new),
            ..Problem::new(ProblemCode::StillLinked, path!["by"], message)
        }))
    }

    async fn record_deletion(
        &self,
        removed: Removed,
        mut members: Vec<Member>,
        end: ChainEnd,
        forgotten: &[suppression::Model],
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        members.extend(removed.message_members());
        let key = &removed.client_key;
        let change = Change {
            chain: Chain::Client(key),
            subject: Subject::Client,
            subject_key: key,
            action: Action::Deleted,
            members,
        };
        let audit = &self.clients.audit;
        let next = audit.next(transaction, self.caller, &change, &end.head, self.now);
        let (record, head) = next.await?;
        let end = ChainEnd { head, ..end };
        self.finish(removed, &end, record, forgotten, transaction).await
    }

    /// Erases what is left of a client that was deleted.
    async fn erase_deleted(
        &self,
        client_key: String,
        end: ChainEnd,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let removed = Removed {
            client_key,
            at: self.now,
            messages: 0,
            unsent: 0,
            merged_keys: Vec::new(),
            records: 0,
            was_erased: false,
        };
        let outcome = "SELECT 1 FROM idempotency_record WHERE client_key = $1 LIMIT 1";
        let outcome = transaction.one(outcome, [(&removed.client_key).into()]).await?;
        if outcome.is_none()
            && let Some(at) = audit::erased_at(transaction, &removed.client_key, &end.head).await?
        {
            return Ok(Step::Discard(Ok(Removed {
                at,
                was_erased: true,
                ..removed
            })));
        }
        self.erase_traces(removed, end, &[], transaction).await
    }

    /// Erases the contents of the audit records, and the stored outcomes of requests about the client with their
    /// fingerprints, by which guesses of the requests' contents could be verified. The keys of these requests stay in
    /// use until they expire: otherwise a request that is sent again would create the client anew.
    async fn erase_traces(
        &self,
        removed: Removed,
        end: ChainEnd,
        forgotten: &[suppression::Model],
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let (audit, key) = (&self.clients.audit, &removed.client_key);
        let members = removed.message_members();
        let erased = audit.erase(transaction, self.caller, key, &end.head, members, self.now);
        let (records, record, head) = erased.await?;
        idempotency::erase(key, transaction).await?;
        let removed = Removed { records, ..removed };
        let end = ChainEnd { head, ..end };
        self.finish(removed, &end, record, forgotten, transaction).await
    }

    /// Writes the end of the audit chain, which no longer has a client's row, its last record and the outcome.
    async fn finish(
        &self,
        removed: Removed,
        end: &ChainEnd,
        record: Option<audit_record::Model>,
        forgotten: &[suppression::Model],
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let mut batch = transaction.batch();
        let row = audit_chain::Model {
            chain: removed.client_key.clone(),
            head: end.head.seal.clone(),
            count: end.head.count,
        };
        let of_feed = [
            ("earlier_versions", end.earlier_versions.into()),
            ("branch_key", end.branch_key.clone().into()),
            ("centre_key", end.centre_key.clone().into()),
        ];
        // Before the record, which SQLite adds to the change feed with these columns.
        batch.put_one::<audit_chain::Entity, 3>(&row, of_feed);
        batch.insert::<audit_record::Entity>(&Vec::from_iter(&record))?;
        if let Some(entry) = &self.entry {
            let outcome = serde_json::to_string(&removed).map_err(Error::internal)?;
            match (self.operation, &self.input.by) {
                // An erasure removes the fingerprint, which covers the client's id.
                (Operation::Delete, _) => entry.fill(Some(&removed.client_key), outcome, &mut batch)?,
                // A client's key isn't personal data, so this outcome and its fingerprint can stay.
                (Operation::Erase, ClientBy::EncodedKey(_)) => entry.fill(None, outcome, &mut batch)?,
                (Operation::Erase, ClientBy::ClientId(_) | ClientBy::Either(_)) => entry.fill_erased(&mut batch)?,
            }
        }
        transaction.write(batch).await?;
        record_forgotten(&self.clients.audit, self.caller, forgotten, self.now, transaction).await?;
        Ok(Step::Commit(Ok(removed)))
    }
}

impl Removed {
    /// The removed messages, as audit records have them.
    fn message_members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for (name, count) in [("messages", self.messages), ("unsentMessages", self.unsent)] {
            let count = Some(count).filter(|count| *count > 0).map(|count| count.to_string());
            Members::new(&mut members).text(name, count.as_deref(), None);
        }
        members
    }
}

/// Returns the other clients of these rights that link to this one with values of these fields; `None` without any.
async fn linking_clients(
    client_key: &str,
    fields: &[&Arc<Field>],
    rights: &Rights,
    transaction: &Transaction,
) -> Result<Option<ConcernedClients>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let keys: Vec<&str> = fields.iter().map(|field| field.row.encoded_key.as_str()).collect();
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    let mut values = vec![keys.into(), client_key.into()];
    let limit = rights.and_limit(transaction.dialect, "o", &mut values);
    let owner = match limit.is_empty() {
        true => "",
        false => " JOIN client o ON o.encoded_key = v.client_key",
    };
    let sql = format!(
        "WITH linking AS (SELECT DISTINCT v.client_key FROM custom_field_value v{owner} \
         WHERE {}{limit} LIMIT {MOST_COUNTED}) SELECT (SELECT count(*) FROM linking), c.client_id \
         FROM linking l JOIN client c ON c.encoded_key = l.client_key \
         ORDER BY c.created_at, c.encoded_key LIMIT {MOST_NAMED}",
        links_to(transaction.dialect)
    );
    let rows = transaction.all(sql, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let ids = rows.iter().map(|row| row.try_get_by_index(1));
    Ok(Some(ConcernedClients {
        count: first.try_get_by_index(0)?,
        ids: ids.collect::<Result<_, _>>()?,
    }))
}

/// Deletes everything that belongs to a client, and its row. Returns the states of its messages.
async fn delete_rows(client: &client::Model, transaction: &Transaction) -> Result<Vec<String>> {
    let key = &client.encoded_key;
    let sql = "DELETE FROM message WHERE client_key = $1 RETURNING state";
    let rows = transaction.all(sql, [key.into()]).await?;
    let others = [
        custom_field_claim::Entity::table(),
        client_search::Entity::table(),
        id_document_search::Entity::table(),
        // On a distributed database, it isn't deleted with the messages.
        provider_message::Entity::table(),
    ];
    for table in entity::collections().chain(others) {
        let sql = format!("DELETE FROM {table} WHERE client_key = $1");
        transaction.run(sql, [key.into()]).await?;
    }
    let claim = "DELETE FROM client_id_claim WHERE client_id = $1";
    transaction.run(claim, [(&client.client_id).into()]).await?;
    transaction
        .run("DELETE FROM client WHERE encoded_key = $1", [key.into()])
        .await?;
    let states = rows.iter().map(|row| row.try_get_by_index(0));
    Ok(states.collect::<Result<_, _>>()?)
}
