//! The progress of a list of clients: its results so far, and the memory that is left for them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{Outcome, Upserted, replay::Replayed},
    List, Many, Shown, Stored,
    size::{size, size_of_problem},
    together::{Done, Part, Together},
};
use crate::{
    caller::Caller,
    client::Aggregate,
    definitions::{Definitions, Excerpts},
};
use clientele_core::{
    budget::{self, RequestBudget},
    error::{Cause, Error, Result},
    problem::{Problem, ProblemCode},
};

/// Limit of the clients in one transaction. Beyond 64 subtransactions, PostgreSQL slows down all readers.
const MOST_TOGETHER: usize = 50;
/// The results may take one in this many bytes of a request's memory. The rest is for the answer.
const SHARE: usize = 4;
/// The approximate bytes of a field in definitions that only one client is shown with.
const FIELD_BYTES: usize = 300;

/// The results so far, and how to get the others.
pub(super) struct Progress<'a> {
    list: &'a List<'a>,
    shown: Option<Shown>,
    /// For each client of the input; none before its turn.
    results: Vec<Option<Result<Stored, Vec<Problem>>>>,
    /// The clients that earlier requests have stored under their keys, as far as known before the first transaction.
    known: Vec<usize>,
    /// The stored outcomes to show, with the indexes of their clients.
    replays: Vec<Replay>,
    /// The definitions to show them with, by the version of their excerpts and the version of that time.
    excerpts: HashMap<(i64, i64), (Excerpts, Arc<Definitions>)>,
    /// The definitions of the last client: most clients share them.
    definitions: Option<Arc<Definitions>>,
    /// The bytes that further results may take.
    left: usize,
    /// True when the time is over or the database has failed.
    has_failed: bool,
}

struct Replay {
    index: usize,
    outcome: Outcome,
    /// None if there was no room for it.
    client: Option<(Aggregate, (i64, i64))>,
}

impl<'a> Progress<'a> {
    pub fn new(list: &'a List<'a>, shown: Option<Shown>, known: &HashSet<String>) -> Self {
        let upserts = list.upserts.iter().enumerate();
        let is_known = |(index, upsert): (usize, &super::Prepared<'_>)| {
            let entry = upsert.as_ref().ok()?.entry.as_ref()?;
            known.contains(entry.key()).then_some(index)
        };
        Self {
            list,
            shown,
            results: list.upserts.iter().map(|_| None).collect(),
            known: upserts.filter_map(is_known).collect(),
            replays: Vec::new(),
            excerpts: HashMap::new(),
            definitions: None,
            left: RequestBudget::current().map_or(usize::MAX, |budget| budget.most() / SHARE),
            has_failed: false,
        }
    }

    /// Carries out the clients. Those that are stored already come last: showing them changes nothing, and must not
    /// take the memory of the others, so that a list that was too large is completed by repeating it.
    ///
    /// # Errors
    /// The problem of the whole list, of which nothing is stored then.
    pub async fn carry_out(&mut self) -> Result<Option<Problem>> {
        let known: HashSet<usize> = self.known.iter().copied().collect();
        let new: Vec<usize> = (0..self.results.len()).filter(|index| !known.contains(index)).collect();
        let refused = self.carry_out_in_order(&new).await?;
        if refused.is_some() || self.has_failed {
            return Ok(refused);
        }
        self.carry_out_in_order(&self.known.clone()).await
    }

    async fn carry_out_in_order(&mut self, mut rest: &[usize]) -> Result<Option<Problem>> {
        // The clients to try one by one, because their transaction failed.
        let mut alone: usize = 0;
        while !rest.is_empty() {
            let most = if alone > 0 { 1 } else { self.most_together(rest) };
            let together = Together::new(*self.list, &rest[..most], self.left);
            let failed = match self.list.clients.db.write(&together).await {
                Ok(Done::Refused(problem)) => return Ok(Some(problem)),
                Ok(Done::Parts(done)) => {
                    alone = alone.saturating_sub(done.len());
                    let (carried_out, others) = rest.split_at(done.len());
                    rest = others;
                    for (index, part) in carried_out.iter().zip(done) {
                        self.add(*index, part);
                    }
                    if self.left == 0 && !rest.iter().all(|index| self.known.contains(index)) {
                        let message = "The results before this client fill the memory of the request: send fewer \
                                       clients at once, or select less of them.";
                        self.give_up(rest, message);
                        return Ok(None);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let (tried, others) = rest.split_at(most);
            match failed {
                Error::Conflict | Error::Internal(_) if most > 1 => alone = most,
                Error::Conflict => {
                    alone = alone.saturating_sub(1);
                    self.give_up(tried, "Other changes kept colliding with this one: send it again.");
                    rest = others;
                }
                Error::Internal(_) => {
                    alone = alone.saturating_sub(1);
                    tracing::error!(error = failed.kind(), "a client in a list of clients can't be stored");
                    self.give_up(tried, "Something went wrong on the server. Its log has the cause.");
                    rest = others;
                }
                Error::TimedOut => {
                    let message = "The time of the request was over before this client: send it again, with fewer at \
                                   once.";
                    return Ok(self.end(rest, message));
                }
                error => {
                    let is_unknown = together.is_committing() && may_be_committed(&error);
                    if !is_unknown && self.has_stored_nothing() {
                        return Err(error);
                    }
                    tracing::error!(error = error.kind(), "a list of clients can't be stored to its end");
                    if is_unknown {
                        let message = "The database failed while it stored this client: read it, or repeat the request \
                                       under its idempotency key.";
                        for index in tried {
                            let problem = Problem::new(ProblemCode::OutcomeUnknown, [], message);
                            self.results[*index] = Some(Err(vec![problem]));
                        }
                        rest = others;
                    }
                    return Ok(self.end(rest, "The database failed before this client: send it again."));
                }
            }
        }
        Ok(None)
    }

    /// Ends the request before these clients.
    fn end(&mut self, rest: &[usize], message: &'static str) -> Option<Problem> {
        self.has_failed = true;
        self.give_up(rest, message);
        self.give_up(&self.known.clone(), message);
        None
    }

    /// Returns the number of clients for the next transaction. The second client under one key sees the stored outcome
    /// of the first.
    fn most_together(&self, rest: &[usize]) -> usize {
        let mut keys = HashSet::new();
        let mut is_new = |index: &&usize| {
            let upsert = self.list.upserts[**index].as_ref().ok();
            upsert
                .and_then(|upsert| upsert.entry.as_ref())
                .is_none_or(|entry| keys.insert(entry.key()))
        };
        rest.iter()
            .take(MOST_TOGETHER)
            .take_while(|index| is_new(index))
            .count()
    }

    fn has_stored_nothing(&self) -> bool {
        self.replays.is_empty() && self.results.iter().flatten().all(Result::is_err)
    }

    fn add(&mut self, index: usize, part: Part) {
        match part {
            Part::New(Ok(upserted)) => self.add_stored(index, upserted),
            Part::New(Err(problems)) => {
                // When memory is short, writing the answer fails and says so.
                self.hold(problems.iter().map(size_of_problem).sum());
                self.results[index] = Some(Err(problems));
            }
            Part::Replayed(replayed) => self.add_replayed(index, replayed),
        }
    }

    fn add_stored(&mut self, index: usize, mut upserted: Upserted) {
        let upsert = self.list.upserts[index].as_ref();
        if let Ok(upsert) = upsert {
            upsert.finish(&mut upserted);
        }
        let (outcome, warnings) = (upserted.outcome, std::mem::take(&mut upserted.warnings));
        let is_stored = upsert.is_ok_and(|upsert| !upsert.input.validate_only);
        let client = self.shown.filter(|_| is_stored).map(|shown| {
            shown.trim(&mut upserted.client);
            (upserted.client, upserted.definitions)
        });
        if let Some((client, definitions)) = &client {
            let known = self.definitions.replace(definitions.clone());
            let is_known = known.is_some_and(|known| Arc::ptr_eq(&known, definitions));
            let own = if is_known { 0 } else { size_of_definitions(definitions) };
            // The client is stored: when memory is short, writing the answer fails and says so.
            self.hold(size(client).saturating_add(own));
        }
        self.results[index] = Some(Ok(Stored {
            client,
            outcome,
            warnings,
        }));
    }

    /// Keeps a stored outcome if there is room for it.
    fn add_replayed(&mut self, index: usize, replayed: Replayed) {
        let Replayed {
            outcome,
            mut client,
            excerpt,
            present,
        } = replayed;
        let client = self.shown.and_then(|shown| {
            shown.trim(&mut client);
            let versions = (excerpt.version(), present.version);
            let of_definitions = match self.excerpts.contains_key(&versions) {
                true => 0,
                false => size_of_definitions(&present),
            };
            let bytes = size(&client).saturating_add(of_definitions);
            if bytes > self.left || budget::hold(bytes).is_err() {
                return None;
            }
            self.left -= bytes;
            let (excerpts, _) = self
                .excerpts
                .entry(versions)
                .or_insert_with(|| (Excerpts::default(), present));
            excerpts.add(excerpt);
            Some((client, versions))
        });
        self.replays.push(Replay { index, outcome, client });
    }

    fn hold(&mut self, bytes: usize) {
        let _ = budget::hold(bytes);
        self.left = self.left.saturating_sub(bytes);
    }

    /// Reports these clients as not carried out. The outcome of those that earlier requests have carried out isn't
    /// known.
    fn give_up(&mut self, indexes: &[usize], message: &'static str) {
        for index in indexes.iter().copied() {
            if self.results[index].is_some() || self.replays.iter().any(|replay| replay.index == index) {
                continue;
            }
            let problem = match self.known.contains(&index) {
                true => {
                    let message = "An earlier request under this idempotency key has carried this client out, and its \
                                   result could not be read: repeat the request.";
                    Problem::new(ProblemCode::OutcomeUnknown, [], message)
                }
                false => Problem::new(ProblemCode::NotCarriedOut, [], message),
            };
            self.results[index] = Some(Err(vec![problem]));
        }
    }

    /// Returns the result for each client.
    pub fn finish(mut self, caller: &Caller) -> Result<Many> {
        let mut definitions = HashMap::new();
        for (versions, (excerpts, present)) in self.excerpts {
            definitions.insert(versions, excerpts.over(&present)?);
        }
        for Replay { index, outcome, client } in self.replays {
            let shown = |(mut client, versions): (Aggregate, _)| {
                let definitions = definitions.get(&versions)?;
                client.hide_values(&caller.rights, definitions);
                Some((client, definitions.clone()))
            };
            let client = client.and_then(shown);
            self.results[index] = Some(Ok(Stored {
                client,
                outcome,
                warnings: Vec::new(),
            }));
        }
        let results = self.results.into_iter().collect::<Option<_>>();
        results.ok_or_else(|| Error::defect("a client of a list has no result"))
    }
}

impl Shown {
    /// Drops what isn't shown.
    fn trim(self, client: &mut Aggregate) {
        client.keep(self.parts);
        client.client.notes.take_if(|_| !self.notes);
    }
}

/// Returns true if a COMMIT may have taken effect though it failed with this error.
fn may_be_committed(error: &Error) -> bool {
    matches!(error, Error::Unavailable(cause) if *cause != Cause::NoFreeConnection)
}

/// The approximate bytes of definitions that only one client is shown with.
fn size_of_definitions(definitions: &Definitions) -> usize {
    definitions.fields.len() * FIELD_BYTES
}
