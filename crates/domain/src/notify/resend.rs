//! Queues failed messages again. A message keeps its key: a receiver that got it after all can recognise it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{instant, message};
use sea_orm::{QueryResult, Value};

use super::{
    Messages,
    search::{MessageFilter, MessageKey, decode, keys_in_json, limit},
};
use crate::{
    caller::{Caller, Permission, Rights, Share},
    enums::{Channel, MessageState},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::{
    db::{Dialect, Step, Transaction, Work},
    paging::Conditions,
};

/// Limit of the messages that can be named at once.
pub const MOST_BY_KEY: usize = 500;
/// Limit of the messages that a filter resends at once.
pub const MOST_BY_FILTER: u64 = 10_000;

/// The messages to resend.
#[derive(Clone, Debug)]
pub enum Resend {
    /// All of these, or none. `None` is a key that names no message, and isn't found.
    Named(Vec<Option<MessageKey>>),
    /// The failed messages that pass the filter, oldest first.
    Filtered(MessageFilter),
}

/// The messages that were queued again.
#[derive(Clone, Debug, Default)]
pub struct Resent {
    /// The messages that were named, in order; none with a filter.
    pub messages: Option<Vec<message::Model>>,
    pub count: usize,
    /// True if more failed messages pass the filter.
    pub more: bool,
}

impl Messages {
    /// Queues failed messages again, as if they had never been tried.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn resend(
        &self,
        caller: &Caller,
        which: &Resend,
        now: DateTime<Utc>,
    ) -> Result<Result<Resent, Vec<Problem>>> {
        caller.require(Permission::ResendMessages)?;
        if let Resend::Named(keys) = which
            && keys.len() > MOST_BY_KEY
        {
            let count = keys.len();
            let message = format!("At most {MOST_BY_KEY} messages can be resent at once; there are {count}.");
            return Ok(Err(vec![Problem::new(ProblemCode::TooMany, path!["ids"], message)]));
        }
        // The databases keep microseconds, and the answer is the stored value.
        let now = now.trunc_subsecs(6);
        let answer = self.db.write(&Queue { caller, which, now }).await?;
        Ok(answer.map(|(resent, channels)| {
            channels.into_iter().for_each(|channel| self.outbox.send(channel));
            resent
        }))
    }
}

struct Queue<'a> {
    caller: &'a Caller,
    which: &'a Resend,
    now: DateTime<Utc>,
}

/// The messages that were queued, and their channels.
type Answer = Result<(Resent, HashSet<Channel>), Vec<Problem>>;

impl Work for Queue<'_> {
    type Output = Answer;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Answer>> {
        match self.which {
            Resend::Named(keys) => self.named(keys, transaction).await,
            Resend::Filtered(filter) => self.filtered(filter, transaction).await,
        }
    }
}

impl Queue<'_> {
    async fn named(&self, keys: &[Option<MessageKey>], transaction: &Transaction) -> Result<Step<Answer>> {
        let known: Vec<&MessageKey> = keys.iter().flatten().collect();
        let known = serde_json::to_string(&known).map_err(Error::internal)?;
        let stored = lock(&known, &self.caller.rights, transaction).await?;
        let problems = problems(keys, &stored);
        if !problems.is_empty() {
            return Ok(Step::Discard(Err(problems)));
        }
        let which = keys_in_json(transaction.dialect);
        let row = row("message", transaction.dialect);
        let rows = self.queue(&which, vec![known.into()], &row, transaction).await?;
        let mut by_key = by_key(&rows)?;
        let channels = distinct(by_key.values().map(|message| &message.channel));
        let messages: Vec<_> = keys.iter().flatten().filter_map(|key| by_key.remove(key)).collect();
        let resent = Resent {
            count: messages.len(),
            messages: Some(messages),
            more: false,
        };
        Ok(Step::Commit(Ok((resent, channels))))
    }

    async fn filtered(&self, filter: &MessageFilter, transaction: &Transaction) -> Result<Step<Answer>> {
        let dialect = transaction.dialect;
        let rights = &self.caller.rights;
        let conditions = failed(filter, dialect, rights, rights.share(transaction).await?);
        let (clause, values) = (conditions.clause(), conditions.values);
        // Waits for a concurrent resend of the same messages, after which they are no longer failed.
        let locking = match dialect {
            Dialect::Postgres => "FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let which = format!(
            "SELECT m.client_key, m.encoded_key FROM message m {clause} \
             ORDER BY m.created_at, m.encoded_key LIMIT {MOST_BY_FILTER} {locking}"
        );
        let rows = self.queue(&which, values.clone(), "channel", transaction).await?;
        let channels = rows.iter().map(|row| row.try_get_by_index(0));
        let channels: Vec<String> = channels.collect::<Result<_, _>>()?;
        let more = rows.len() as u64 >= MOST_BY_FILTER && {
            let rest = format!("SELECT 1 FROM message m {clause} LIMIT 1");
            transaction.one(rest, values).await?.is_some()
        };
        let resent = Resent {
            messages: None,
            count: rows.len(),
            more,
        };
        Ok(Step::Commit(Ok((resent, distinct(&channels)))))
    }

    /// Queues the messages whose keys the statement `which` selects, and returns `returning` of each.
    async fn queue(
        &self,
        which: &str,
        mut values: Vec<Value>,
        returning: &str,
        transaction: &Transaction,
    ) -> Result<Vec<QueryResult>> {
        let dialect = transaction.dialect;
        values.push(instant::to_text(&self.now).into());
        let now = dialect.cast(&format!("${}", values.len()), "timestamptz");
        let sql = format!(
            "WITH chosen AS ({which}) UPDATE message SET state = '{queued}', attempts = 0, queued_at = {now}, \
             first_attempt_at = NULL, due_at = {now}, lease = NULL, sent_at = NULL, failed_at = NULL, reason = NULL, \
             detail = NULL WHERE (client_key, encoded_key) IN (SELECT client_key, encoded_key FROM chosen) \
             AND {state} = '{failed}' RETURNING {returning}",
            queued = MessageState::Queued.as_str(),
            failed = MessageState::Failed.as_str(),
            // Must use the keys, not the index on states: many other messages can have failed.
            state = dialect.unindexed("state"),
        );
        transaction.all(sql, values).await
    }
}

/// Locks the messages with these keys until the transaction ends, and returns those of the clients of these rights.
async fn lock(keys: &str, rights: &Rights, transaction: &Transaction) -> Result<HashMap<MessageKey, message::Model>> {
    let dialect = transaction.dialect;
    let locking = match dialect {
        Dialect::Postgres => "ORDER BY m.client_key, m.encoded_key FOR UPDATE OF m",
        Dialect::Sqlite => "",
    };
    let mut conditions = Conditions::new(dialect);
    conditions.bind(keys);
    conditions.push(format!("(m.client_key, m.encoded_key) IN ({})", keys_in_json(dialect)));
    limit(&mut conditions, rights, Share::Many);
    let sql = format!(
        "SELECT {} FROM message m {} {locking}",
        row("m", dialect),
        conditions.clause()
    );
    by_key(&transaction.all(sql, conditions.values).await?)
}

fn row(alias: &str, dialect: Dialect) -> String {
    dialect.cast_to_text(&dialect.row::<message::Entity>(alias))
}

fn by_key(rows: &[QueryResult]) -> Result<HashMap<MessageKey, message::Model>> {
    let message = |row| decode(row).map(|message| (MessageKey::of(&message), message));
    rows.iter().map(message).collect()
}

/// The conditions of failed messages that pass the filter and still have their text.
fn failed(filter: &MessageFilter, dialect: Dialect, rights: &Rights, share: Share) -> Conditions {
    let failed = MessageState::Failed;
    let passes = filter.states.as_ref().is_none_or(|states| states.contains(&failed));
    let filter = MessageFilter {
        states: Some(if passes { vec![failed] } else { Vec::new() }),
        ..filter.clone()
    };
    let mut conditions = filter.conditions(dialect, rights, share);
    conditions.push("m.placeholders IS NOT NULL".to_owned());
    conditions
}

fn problems(keys: &[Option<MessageKey>], stored: &HashMap<MessageKey, message::Model>) -> Vec<Problem> {
    let mut seen = HashSet::new();
    let problems = keys.iter().enumerate().filter_map(|(at, key)| {
        let (code, message) = match key.as_ref().and_then(|key| stored.get(key)) {
            None => (ProblemCode::NotFound, "There is no message with this id."),
            Some(_) if !seen.insert(key) => (
                ProblemCode::Duplicate,
                "This id is listed already: list each message once.",
            ),
            Some(message) if message.state != MessageState::Failed.as_str() => (
                ProblemCode::Invalid,
                "Only a message that is FAILED can be resent: one that is QUEUED or SENDING is still on its way, and \
                 one that is SENT has arrived at the provider.",
            ),
            Some(message) if message.placeholders.is_none() => (
                ProblemCode::Invalid,
                "The text of this message has been removed, so it can't be resent.",
            ),
            Some(_) => return None,
        };
        Some(Problem::new(code, path!["ids", at], message))
    });
    problems.collect()
}

fn distinct<'a>(channels: impl IntoIterator<Item = &'a String>) -> HashSet<Channel> {
    let channels = channels.into_iter();
    channels.filter_map(|channel| Channel::parse(channel)).collect()
}
