//! Creates or changes many clients in one call. Each is stored or refused by itself.
//!
//! Clients share transactions, because most of the time of an upsert is its commit. Each is a part of its transaction
//! that can be undone alone. If a transaction fails, its clients are tried again one by one.

mod progress;
mod size;
mod together;

use std::sync::Arc;

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};

use self::progress::Progress;
pub(crate) use self::size::size as size_as_json;
use super::{LONGEST_LIST, Outcome, Scope, Upsert, UpsertClient, replay};
use crate::{
    caller::Caller,
    client::{Aggregate, ClientParts, Clients},
    definitions::Definitions,
    idempotency::{Fingerprint, IdempotencyEntry, Key, carried_out},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};

/// Limit of the clients in one call.
pub const MOST_CLIENTS: usize = LONGEST_LIST;

/// Creates or changes many clients. Each is stored by itself: a problem with one doesn't stop the others.
#[derive(InputObject, Clone, Debug, Default)]
#[graphql(name = "UpsertClientsInput")]
pub struct UpsertClients {
    /// The clients, at most 1,000, as in `upsertClient`. They are carried out in order, so that an input sees what an
    /// earlier one has stored, also if both are for the same client.
    pub clients: Vec<UpsertClient>,
    /// True to only check the clients, each by itself: nothing is stored, and an input doesn't see earlier ones.
    #[graphql(default)]
    pub validate_only: bool,
    /// Makes it safe to repeat the request, as in `upsertClient`. A repetition with the same `clients` returns the
    /// clients that were stored as they were then, and carries out the others. Once a client of the list is stored, the
    /// key belongs to the whole list: another list under it is refused with IDEMPOTENCY_KEY_REUSED, and nothing of it
    /// is stored. To send corrected inputs, choose another key. An input with a key of its own keeps that key, which
    /// `upsertClient` accepts as well. Null means no key.
    pub idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// The parts of stored clients that are shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub parts: ClientParts,
    /// False to leave out the notes, which can be most of a client.
    pub notes: bool,
}

/// A client as it is stored after an upsert of many.
#[derive(Clone, Debug)]
pub struct Stored {
    /// None if it wasn't requested or was only checked, and if an earlier request under the key has stored it and the
    /// memory of the request has no room for it.
    pub client: Option<(Aggregate, Arc<Definitions>)>,
    pub outcome: Outcome,
    /// The duplicate checks that warn.
    pub warnings: Vec<Problem>,
}

/// For each client of the input, in order, the stored client or its problems, whose paths begin with `clients` and its
/// index.
pub type Many = Vec<Result<Stored, Vec<Problem>>>;

impl Clients {
    /// Does what [`Self::upsert`] does for each client of the input. Passes `validate_only` on to each of them. Returns
    /// what is `shown` of the clients; no clients if it is `None`.
    ///
    /// When the time of the request is over, its memory is used up or the database fails, the clients left are reported
    /// as not carried out.
    ///
    /// # Errors
    /// The inner error is a problem of the whole input. With either error nothing was stored.
    pub async fn upsert_many(
        &self,
        caller: &Caller,
        input: &mut UpsertClients,
        shown: Option<Shown>,
        now: DateTime<Utc>,
    ) -> Result<Result<Many, Vec<Problem>>> {
        Scope::Upsert.require(caller)?;
        if input.clients.len() > MOST_CLIENTS {
            let message = format!("Send at most {MOST_CLIENTS} clients.");
            return Ok(Err(vec![Problem::new(ProblemCode::TooMany, path!["clients"], message)]));
        }
        for client in &mut input.clients {
            client.validate_only |= input.validate_only;
        }
        let now = now.trunc_subsecs(6);
        let key = match input.idempotency_key.as_deref().map(Key::parse).transpose() {
            Ok(key) => key
                .filter(|_| !input.validate_only)
                .map(|key| ListKey::new(self, caller, key, input.fingerprint(), now)),
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let parts = shown.map(|shown| shown.parts);
        let upserts = input.clients.iter().enumerate();
        let upserts: Vec<Prepared<'_>> = upserts
            .map(|(index, client)| self.prepared(caller, client, (index, key.as_ref()), parts, now))
            .collect();
        let entries = upserts.iter().flatten().filter_map(|upsert| upsert.entry.as_ref());
        let known = carried_out(&entries.collect::<Vec<_>>(), now, &self.db).await?;
        let list = List {
            clients: self,
            key: key.as_ref(),
            upserts: &upserts,
            now,
        };
        let mut progress = Progress::new(&list, shown, &known);
        if let Some(problem) = progress.carry_out().await? {
            return Ok(Err(vec![problem]));
        }
        let answers = progress.finish(caller)?.into_iter().enumerate();
        let of_input = |(index, answer): (usize, Result<Stored, Vec<Problem>>)| {
            let below = |problem: Problem| problem.below(path!["clients", index]);
            let all_below = |problems: Vec<Problem>| problems.into_iter().map(below).collect();
            match answer {
                Ok(stored) => Ok(Stored {
                    warnings: all_below(stored.warnings),
                    ..stored
                }),
                Err(problems) => Err(all_below(problems)),
            }
        };
        Ok(Ok(answers.map(of_input).collect()))
    }

    /// # Errors
    /// A problem that needs no database. It is reported when it is the client's turn.
    fn prepared<'a>(
        &'a self,
        caller: &'a Caller,
        input: &'a UpsertClient,
        (index, key): (usize, Option<&ListKey<'_>>),
        parts: Option<ClientParts>,
        now: DateTime<Utc>,
    ) -> Prepared<'a> {
        if let Some(problem) = input.unclear_target() {
            return Err(problem);
        }
        let own = replay::entry(input, caller, self.idempotency, now)?;
        if key.is_some_and(|key| own.as_ref().is_some_and(|own| own.key() == key.entry.key())) {
            let message = "This is the idempotency key of the whole list: leave it out, or choose another.";
            let place = path!["idempotencyKey"];
            return Err(Problem::new(ProblemCode::IdempotencyKeyReused, place, message));
        }
        let of_list = key.filter(|_| !input.validate_only && input.idempotency_key.is_none());
        let entry = own.or_else(|| of_list.map(|key| key.of_part(index, input)));
        Ok(Upsert {
            clients: self,
            caller,
            input,
            parts: match entry {
                Some(_) => ClientParts::ALL,
                None => parts.unwrap_or_default(),
            },
            entry,
            shared: None,
            now,
        })
    }
}

impl UpsertClients {
    fn fingerprint(&self) -> Fingerprint {
        let clients = serde_json::to_vec(&self.clients).expect("an input of texts and numbers is JSON");
        Fingerprint::of(["upsertClients".as_bytes(), &clients])
    }
}

type Prepared<'a> = Result<Upsert<'a>, Problem>;

/// The idempotency key of a whole list.
struct ListKey<'a> {
    caller: &'a Caller,
    key: Key,
    expires_at: DateTime<Utc>,
    /// Recognises the list.
    entry: IdempotencyEntry,
}

impl<'a> ListKey<'a> {
    fn new(clients: &Clients, caller: &'a Caller, key: Key, request: Fingerprint, now: DateTime<Utc>) -> Self {
        let expires_at = clients.idempotency.expiry(now);
        Self {
            caller,
            expires_at,
            entry: IdempotencyEntry::of_parts(caller, &key, request, expires_at),
            key,
        }
    }

    /// The entry of the client at this index. Its fingerprint covers no other client, whose data may be erased.
    fn of_part(&self, index: usize, input: &UpsertClient) -> IdempotencyEntry {
        let key = self.key.of_part(index);
        IdempotencyEntry::new(self.caller, &key, input.fingerprint(), self.expires_at)
    }
}

/// The clients to carry out.
#[derive(Clone, Copy)]
struct List<'a> {
    clients: &'a Clients,
    key: Option<&'a ListKey<'a>>,
    upserts: &'a [Prepared<'a>],
    now: DateTime<Utc>,
}
