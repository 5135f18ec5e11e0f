//! Removes clients: deletes them, or erases all their personal data. Both remove the row, the collections, the claims
//! and the messages in one transaction. This is one function, so that no place is forgotten.
//!
//! The end of the client's audit chain moves to `audit_chain`. It keeps the key in use: no later client can get it.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{Table, audit_chain, client, client_search, custom_field_claim, id_document_search};
use serde::{Deserialize, Serialize};

use crate::{
    audit::{self, Action, Chain, Change, Head, Member, Members, Subject},
    caller::{Caller, Permission},
    client::{
        Aggregate, ClientParts, Clients,
        aggregate::{read_for_change, select_for_change},
    },
    client_by::ClientBy,
    definitions::{self, Definitions, Field},
    enums::MessageState,
    idempotency::{Acquired, Fingerprint, IdempotencyEntry, Key},
    upsert::{ClientDiff, unknown_client, version_conflict},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
    scalar::is_key,
};
use clientele_storage::db::{Batch, Dialect, Step, Transaction, Work};

/// Limit of the linking clients that a refusal names.
const MOST_NAMED: usize = 3;

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
    /// The audit records whose contents were erased.
    pub records: u64,
    /// True if everything was erased before, at that time, and nothing was added since. Nothing was written.
    pub was_erased: bool,
}

type Answer = Result<Removed, Vec<Problem>>;

impl Clients {
    /// Deletes a client, unless custom field values of other clients link to it. Its audit records stay.
    ///
    /// # Errors
    /// The problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn delete(&self, caller: &Caller, input: &RemoveClient, now: DateTime<Utc>) -> Result<Answer> {
        caller.require(Permission::DeleteClient)?;
        self.remove(caller, Kind::Delete, input, now).await
    }

    /// Erases all personal data of a client, or of one that was deleted: also the contents of its audit records and the
    /// stored outcomes of requests about it. Links of other clients to its key stay.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn erase(&self, caller: &Caller, input: &RemoveClient, now: DateTime<Utc>) -> Result<Answer> {
        caller.require(Permission::EraseClient)?;
        self.remove(caller, Kind::Erase, input, now).await
    }

    async fn remove(&self, caller: &Caller, kind: Kind, input: &RemoveClient, now: DateTime<Utc>) -> Result<Answer> {
        let entry = match input.idempotency_key.as_deref().map(Key::parse).transpose() {
            Ok(key) => key,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let fingerprint = match input.request {
            Some(request) => request,
            None => {
                let members = serde_json::to_vec(input).map_err(Error::internal)?;
                Fingerprint::of([kind.operation().as_bytes(), &members])
            }
        };
        // The databases keep microseconds.
        let now = now.trunc_subsecs(6);
        let expiry = self.idempotency.expiry(now);
        let removal = Removal {
            clients: self,
            caller,
            kind,
            input,
            entry: entry.map(|key| IdempotencyEntry::new(caller, &key, fingerprint, expiry)),
            now,
        };
        self.db.write(&removal).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Delete,
    Erase,
}

impl Kind {
    fn operation(self) -> &'static str {
        match self {
            Self::Delete => "deleteClient",
            Self::Erase => "eraseClient",
        }
    }
}

struct Removal<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    kind: Kind,
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
        let Some((client, head, version)) = self.lock_and_read(transaction).await? else {
            let deleted = match self.kind {
                Kind::Delete => None,
                Kind::Erase => self.lock_deleted(transaction).await?,
            };
            return match deleted {
                Some((key, head)) => self.erase_deleted(key, &head, transaction).await,
                None => refused(unknown_client(&self.input.by)),
            };
        };
        let row = &client.client;
        let expected = self.input.expected_version;
        if let Some(problem) = expected.and_then(|expected| version_conflict(expected, row.version)) {
            return refused(problem);
        }
        let definitions = self.clients.definitions.at(version, transaction).await?;
        if self.kind == Kind::Delete
            && let Some(problem) = self.links(&row.encoded_key, &definitions, transaction).await?
        {
            return refused(problem);
        }
        let (caller, now) = (self.caller, self.now);
        let release = self.clients.release_merged(caller, row, &definitions, now, transaction);
        release.await?;
        let states = delete_rows(row, transaction).await?;
        let is_unsent = |state: &&String| **state == MessageState::Queued.as_str();
        let removed = Removed {
            client_key: row.encoded_key.clone(),
            at: self.now,
            messages: states.len(),
            unsent: states.iter().filter(is_unsent).count(),
            records: 0,
            was_erased: false,
        };
        match self.kind {
            Kind::Delete => {
                let members = ClientDiff::deletion(&client).members(&definitions);
                self.record_deletion(removed, members, &head, transaction).await
            }
            Kind::Erase => self.erase_traces(removed, &head, transaction).await,
        }
    }

    /// As for upserts: under a key, a long wait must end in a conflict.
    fn busy_error(&self) -> Option<Error> {
        self.entry.as_ref().map(|_| Error::Conflict)
    }
}

impl Removal<'_> {
    /// Locks and reads the client. As for upserts, the lock needs a statement of its own on PostgreSQL, and locks the
    /// definitions, too. It waits for clients that are about to store a link to this one.
    async fn lock_and_read(&self, transaction: &Transaction) -> Result<Option<(Aggregate, Head, i64)>> {
        let (condition, name) = self.input.by.condition();
        if name.contains('\0') {
            return Ok(None);
        }
        if transaction.dialect == Dialect::Postgres {
            let lock = definitions::shared_lock();
            let lock = format!("SELECT {lock} FROM client c WHERE {condition} FOR UPDATE OF c");
            if transaction.one(lock, [name.into()]).await?.is_none() {
                return Ok(None);
            }
        }
        let select = select_for_change(transaction.dialect, ClientParts::ALL);
        read_for_change(transaction, format!("{select} WHERE {condition}"), [name.into()]).await
    }

    /// Locks the end of the audit chain of a client that was deleted.
    async fn lock_deleted(&self, transaction: &Transaction) -> Result<Option<(String, Head)>> {
        let key = match &self.input.by {
            ClientBy::EncodedKey(key) | ClientBy::Either(key) if is_key(key) => key,
            _ => return Ok(None),
        };
        let head = audit::end(transaction, Chain::Client(key)).await?;
        Ok(head.map(|head| (key.clone(), head)))
    }

    /// Returns the problem of a client that others link to. It names those that the caller may know.
    async fn links(
        &self,
        client_key: &str,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Problem>> {
        let rights = &self.caller.rights;
        let views_clients = self.caller.can(Permission::ViewClient);
        let fields = definitions.fields.iter().filter(|field| field.links_clients());
        let (shown, hidden): (Vec<_>, Vec<_>) = fields.partition(|field| views_clients && field.is_shown(rights));
        let linked_from = linking_clients(client_key, &shown, transaction).await?;
        if linked_from.is_empty() && linking_clients(client_key, &hidden, transaction).await?.is_empty() {
            return Ok(None);
        }
        let examples = match linked_from.is_empty() {
            true => String::new(),
            false => format!(", such as {}", linked_from.join(", ")),
        };
        let message = format!("Other clients link to this client{examples}: remove all these links first.");
        Ok(Some(Problem {
            linked_from,
            ..Problem::new(ProblemCode::StillLinked, path!["by"], message)
        }))
    }

    async fn record_deletion(
        &self,
        removed: Removed,
        mut members: Vec<Member>,
        head: &Head,
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
        let mut batch = Batch::new(transaction.dialect);
        let audit = &self.clients.audit;
        let head = audit.append(transaction, &mut batch, self.caller, &change, head, self.now);
        let head = head.await?;
        self.finish(removed, head, batch, transaction).await
    }

    /// Erases what is left of a client that was deleted.
    async fn erase_deleted(&self, client_key: String, head: &Head, transaction: &Transaction) -> Result<Step<Answer>> {
        let removed = Removed {
            client_key,
            at: self.now,
            messages: 0,
            unsent: 0,
            records: 0,
            was_erased: false,
        };
        let outcome = "SELECT 1 FROM idempotency_record WHERE client_key = $1 LIMIT 1";
        let outcome = transaction.one(outcome, [(&removed.client_key).into()]).await?;
        if outcome.is_none()
            && let Some(at) = audit::erased_at(transaction, &removed.client_key, head).await?
        {
            return Ok(Step::Discard(Ok(Removed {
                at,
                was_erased: true,
                ..removed
            })));
        }
        self.erase_traces(removed, head, transaction).await
    }

    /// Erases the contents of the audit records, and the stored outcomes of requests about the client. The keys of
    /// these requests stay in use until they expire: otherwise a request that is sent again would create the client
    /// anew.
    async fn erase_traces(&self, removed: Removed, head: &Head, transaction: &Transaction) -> Result<Step<Answer>> {
        let (audit, key) = (&self.clients.audit, &removed.client_key);
        let members = removed.message_members();
        let erased = audit.erase(transaction, self.caller, key, head, members, self.now);
        let (records, head) = erased.await?;
        let outcomes = "UPDATE idempotency_record SET outcome = NULL, client_key = NULL WHERE client_key = $1";
        transaction.run(outcomes, [key.into()]).await?;
        let removed = Removed { records, ..removed };
        self.finish(removed, head, Batch::new(transaction.dialect), transaction)
            .await
    }

    /// Writes the batch with the end of the audit chain, which no longer has a client's row, and the outcome.
    async fn finish(
        &self,
        removed: Removed,
        head: Head,
        mut batch: Batch,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        batch.put::<audit_chain::Entity>(&[&audit_chain::Model {
            chain: removed.client_key.clone(),
            head: head.seal,
            count: head.count,
        }])?;
        if let Some(entry) = &self.entry {
            // It has no personal data, so an erasure leaves it.
            let outcome = serde_json::to_string(&removed).map_err(Error::internal)?;
            entry.fill(None, outcome, &mut batch)?;
        }
        transaction.write(batch).await?;
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

/// Returns the ids of some other clients that link to this one with values of these fields.
async fn linking_clients(client_key: &str, fields: &[&Arc<Field>], transaction: &Transaction) -> Result<Vec<String>> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<&str> = fields.iter().map(|field| field.row.encoded_key.as_str()).collect();
    // One client can have many of these values. The condition on the value is that of the index.
    let sql = format!(
        "SELECT c.client_id FROM custom_field_value v JOIN client c ON c.encoded_key = v.client_key \
         WHERE {} AND substr(coalesce(v.value, v.linked_key), 1, 100) = $2 AND v.client_key <> $2 LIMIT 20",
        transaction.dialect.is_one_of("v.field_key", "$1")
    );
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    let rows = transaction.all(sql, [keys.into(), client_key.into()]).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index(0));
    let ids: BTreeSet<String> = ids.collect::<Result<_, _>>()?;
    Ok(ids.into_iter().take(MOST_NAMED).collect())
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
    Ok(rows
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?)
}
