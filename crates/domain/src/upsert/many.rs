//! Creates or changes many clients in one call. Each is stored or refused by itself.
//!
//! Clients share transactions, because most of the time of an upsert is its commit. Each is a part of its transaction
//! that can be undone alone. If a transaction fails, its clients are tried again one by one.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;

use super::{Answer, LONGEST_LIST, Outcome, Scope, Upsert, UpsertClient, Upserted, replay};
use crate::{
    caller::Caller,
    client::{Aggregate, ClientParts, Clients},
    client_by::ClientBy,
    definitions::Definitions,
    idempotency::{Fingerprint, IdempotencyEntry, Key},
};
use clientele_core::{
    budget::{self, RequestBudget},
    error::{Cause, Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// Limit of the clients in one call.
pub const MOST_CLIENTS: usize = LONGEST_LIST;
/// Limit of the clients in one transaction. Beyond 64 parts of a transaction, PostgreSQL slows down all readers.
const MOST_TOGETHER: usize = 50;
/// After this time, no further client joins a transaction: its locks stop other writers.
const LONGEST_TOGETHER: Duration = Duration::from_millis(500);
/// The part of a request's memory that the stored clients may take. The rest is for the answer.
const SHARE: usize = 4;
/// The memory of a field in definitions that only one client is shown with, about.
const FIELD_BYTES: usize = 300;

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
    /// clients that were stored as they were then, and carries out the others. An input with a key of its own keeps
    /// that key, which `upsertClient` accepts as well. Null means no key.
    pub idempotency_key: Option<String>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// A client as it is stored after an upsert of many.
#[derive(Clone, Debug)]
pub struct Stored {
    /// None if it wasn't requested, or was only checked.
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
    /// the clients with these parts; none of them if `parts` is none.
    ///
    /// When the time of the request is over, its memory is used up or the database fails, the clients left are reported
    /// as not carried out.
    ///
    /// # Errors
    /// The inner error is a problem of the whole input. The outer one came before any client was stored.
    pub async fn upsert_many(
        &self,
        caller: &Caller,
        input: &mut UpsertClients,
        parts: Option<ClientParts>,
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
        let key = match input.idempotency_key.as_deref().map(Key::parse).transpose() {
            Ok(key) => key.map(|key| (key, input.fingerprint())),
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let now = now.trunc_subsecs(6);
        let upsert = |(index, client)| {
            let key = key.as_ref().map(|(key, request)| (key.of_part(index), *request));
            self.prepared(caller, client, key, parts, now)
        };
        let upserts: Vec<Prepared<'_>> = input.clients.iter().enumerate().map(upsert).collect();
        let mut progress = Progress {
            parts,
            definitions: None,
            left: RequestBudget::current().map_or(usize::MAX, |budget| budget.most() / SHARE),
            answers: Vec::with_capacity(upserts.len()),
        };
        progress.carry_out(self, &upserts).await?;
        let answers = progress.answers.into_iter().enumerate();
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
        key: Option<(Key, Fingerprint)>,
        parts: Option<ClientParts>,
        now: DateTime<Utc>,
    ) -> Prepared<'a> {
        if let Some(problem) = input.unclear_target() {
            return Err(problem);
        }
        let own = replay::entry(input, caller, self.idempotency, now)?;
        let of_all = key.filter(|_| !input.validate_only && input.idempotency_key.is_none());
        let of_all = of_all.map(|(key, request)| {
            let expiry = self.idempotency.expiry(now);
            IdempotencyEntry::new(caller, &key, request, expiry)
        });
        let entry = own.or(of_all);
        Ok(Upsert {
            clients: self,
            caller,
            input,
            parts: match entry {
                Some(_) => ClientParts::ALL,
                None => parts.unwrap_or_default(),
            },
            entry,
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

/// The answers so far.
struct Progress {
    parts: Option<ClientParts>,
    /// Those of the last client: most clients share them.
    definitions: Option<Arc<Definitions>>,
    /// The bytes that further clients may take.
    left: usize,
    answers: Many,
}

impl Progress {
    async fn carry_out(&mut self, clients: &Clients, upserts: &[Prepared<'_>]) -> Result<()> {
        // The clients to try one by one, because their transaction failed.
        let mut alone: usize = 0;
        while let Some(rest) = upserts.get(self.answers.len()..).filter(|rest| !rest.is_empty()) {
            let most = if alone > 0 { 1 } else { MOST_TOGETHER };
            let together = Together {
                upserts: &rest[..rest.len().min(most)],
                left: self.left,
            };
            let failed = match clients.db.write(&together).await {
                Ok(done) => {
                    alone = alone.saturating_sub(done.len());
                    for (upsert, answer) in rest.iter().zip(done) {
                        self.add(upsert, answer);
                    }
                    if self.left == 0 {
                        let message = "The clients before this one fill the memory of the request: send fewer at once, \
                                       or select less of them.";
                        self.give_up(rest.len(), ProblemCode::NotCarriedOut, message, upserts.len());
                    }
                    continue;
                }
                Err(error) => error,
            };
            match failed {
                Error::Conflict | Error::Internal(_) if together.upserts.len() > 1 => alone = together.upserts.len(),
                Error::Conflict => {
                    alone = alone.saturating_sub(1);
                    let message = "Other changes kept colliding with this one: send it again.";
                    self.answers.push(Err(vec![left_out(message)]));
                }
                Error::Internal(_) => {
                    alone = alone.saturating_sub(1);
                    tracing::error!(error = failed.kind(), "a client in a list of clients can't be stored");
                    let message = "Something went wrong on the server. Its log has the cause.";
                    self.answers.push(Err(vec![left_out(message)]));
                }
                Error::TimedOut => {
                    let message = "The time of the request was over before this client: send it again, with fewer at \
                                   once.";
                    self.give_up(upserts.len(), ProblemCode::NotCarriedOut, message, upserts.len());
                }
                error if self.answers.iter().all(Result::is_err) => return Err(error),
                error => {
                    tracing::error!(error = error.kind(), "a list of clients can't be stored to its end");
                    // An outage can begin while the COMMIT is under way.
                    if matches!(&error, Error::Unavailable(cause) if *cause != Cause::NoFreeConnection) {
                        let message = "The database failed while it stored this client: read it, or repeat the request \
                                       under its idempotency key.";
                        self.give_up(
                            together.upserts.len(),
                            ProblemCode::OutcomeUnknown,
                            message,
                            upserts.len(),
                        );
                    }
                    let message = "The database failed before this client: send it again.";
                    self.give_up(upserts.len(), ProblemCode::NotCarriedOut, message, upserts.len());
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, upsert: &Prepared<'_>, answer: Answer) {
        let stored = |mut upserted: Upserted| {
            if let Ok(upsert) = upsert {
                upsert.finish(&mut upserted);
            }
            let outcome = upserted.outcome;
            let warnings = std::mem::take(&mut upserted.warnings);
            let is_stored = upsert.as_ref().is_ok_and(|upsert| !upsert.input.validate_only);
            let client = self.parts.filter(|_| is_stored).map(|parts| {
                upserted.client.keep(parts);
                (upserted.client, upserted.definitions)
            });
            Stored {
                client,
                outcome,
                warnings,
            }
        };
        let answer = answer.map(stored);
        if let Ok(Stored {
            client: Some((client, definitions)),
            ..
        }) = &answer
        {
            let known = self.definitions.replace(definitions.clone());
            let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, definitions));
            let own = if is_known {
                0
            } else {
                definitions.fields.len() * FIELD_BYTES
            };
            let bytes = size(client).saturating_add(own);
            // The client is stored: when memory is short, writing the answer fails and says so.
            let _ = budget::hold(bytes);
            self.left = self.left.saturating_sub(bytes);
        }
        self.answers.push(answer);
    }

    /// Gives the next `most` of the `all` clients this problem, or those that are left.
    fn give_up(&mut self, most: usize, code: ProblemCode, message: &'static str, all: usize) {
        for _ in 0..most.min(all - self.answers.len()) {
            self.answers.push(Err(vec![Problem::new(code, [], message)]));
        }
    }
}

fn left_out(message: &'static str) -> Problem {
    Problem::new(ProblemCode::NotCarriedOut, [], message)
}

/// The bytes of a client as JSON, which are about those of its rows.
fn size(client: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, client) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// Clients to store in one transaction. Ends early, with fewer answers than clients, when it takes long or when the
/// clients are large.
struct Together<'a> {
    upserts: &'a [Prepared<'a>],
    left: usize,
}

impl Work for Together<'_> {
    type Output = Vec<Answer>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<Answer>>> {
        let (begun, mut answers, mut bytes, mut is_written) = (Instant::now(), Vec::new(), 0_usize, false);
        self.lock_in_order(transaction).await?;
        for upsert in self.upserts {
            let answer = match upsert {
                Err(problem) => Err(vec![problem.clone()]),
                Ok(upsert) => match transaction.part(upsert.attempt(transaction)).await? {
                    Step::Commit(answer) => {
                        is_written = true;
                        answer
                    }
                    Step::Discard(answer) => answer,
                    Step::Again if answers.is_empty() => return Ok(Step::Again),
                    Step::Again => break,
                },
            };
            bytes = bytes.saturating_add(answer.as_ref().map_or(0, |upserted| size(&upserted.client)));
            answers.push(answer);
            if bytes > self.left || begun.elapsed() > LONGEST_TOGETHER {
                break;
            }
        }
        Ok(match is_written {
            true => Step::Commit(answers),
            false => Step::Discard(answers),
        })
    }

    /// As for a single client.
    fn busy_error(&self) -> Option<Error> {
        let mut upserts = self.upserts.iter().flatten();
        upserts.any(|upsert| upsert.entry.is_some()).then_some(Error::Conflict)
    }
}

impl Together<'_> {
    /// Locks the clients in the order of their keys, so that two calls with the same clients don't block each other.
    async fn lock_in_order(&self, transaction: &Transaction) -> Result<()> {
        let (mut keys, mut ids) = (Vec::new(), Vec::new());
        for target in self.upserts.iter().flatten().filter_map(|upsert| upsert.input.target()) {
            match target {
                ClientBy::ClientId(id) => ids.push(id),
                ClientBy::EncodedKey(key) | ClientBy::Either(key) => keys.push(key),
            }
        }
        // SQLite's one writer has locked everything.
        if transaction.dialect == Dialect::Sqlite || keys.len() + ids.len() < 2 {
            return Ok(());
        }
        let texts = |mut texts: Vec<String>| {
            texts.retain(|text| !text.contains('\0'));
            serde_json::to_string(&texts).map_err(Error::internal)
        };
        let sql = format!(
            "SELECT 1 FROM client c WHERE c.encoded_key IN (SELECT k.value FROM {} UNION ALL \
             SELECT i.client_key FROM client_id_claim i WHERE {}) ORDER BY c.encoded_key \
             FOR NO KEY UPDATE OF c",
            transaction.dialect.texts("$1", "k"),
            transaction.dialect.is_one_of("i.client_id", "$2"),
        );
        transaction.all(sql, [texts(keys)?.into(), texts(ids)?.into()]).await?;
        Ok(())
    }
}
