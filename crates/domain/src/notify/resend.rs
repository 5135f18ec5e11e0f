//! Queues failed messages again. A message keeps its key: a receiver that got it after all can recognise it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{Table, instant, message};
use sea_orm::{QueryResult, Value};

use super::{
    Messages,
    search::{MessageFilter, MessageKey, decode_columns, key_pairs, keys_in_json, lock},
    suppression::listed,
};
use crate::{
    caller::{Caller, Permission, Rights, Share},
    enums::{Channel, MessageState},
    message_guard::{Recipient, Recipients},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::{
    db::{Dialect, Step, Transaction, Work, is_locked},
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
    /// The failed messages that pass the filter, oldest first. Those that bounced or were suppressed only if the filter
    /// names their states. Messages to recipients on the suppression list are left out.
    Filtered(MessageFilter),
}

/// The messages that were queued again.
#[derive(Clone, Debug, Default)]
pub struct Resent {
    /// The messages that were named, in order; none with a filter.
    pub messages: Option<Vec<message::Model>>,
    pub count: usize,
    /// True if more messages pass the filter.
    pub more: bool,
}

impl Messages {
    /// Queues failed messages again, as if they had never been tried. Limits don't count them.
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
        let recipients = self.guard.recipients();
        let queue = Queue {
            caller,
            which,
            recipients,
            now,
        };
        let answer = self.db.write(&queue).await?;
        Ok(answer.map(|(resent, channels)| {
            channels.into_iter().for_each(|channel| self.outbox.send(channel));
            resent
        }))
    }
}

struct Queue<'a> {
    caller: &'a Caller,
    which: &'a Resend,
    recipients: Recipients,
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
        let known = key_pairs(keys.iter().flatten())?;
        let stored = lock(&known, &self.caller.rights, transaction).await?;
        let suppressed = self.suppressed(&stored, transaction).await?;
        let problems = problems(keys, &stored, &suppressed);
        if !problems.is_empty() {
            return Ok(Step::Discard(Err(problems)));
        }
        let which = keys_in_json(transaction.dialect);
        let row = message::Entity::columns().join(", ");
        let states = MessageState::RESENDABLE;
        let rows = self
            .queue(&which, vec![known.into()], &states, &row, transaction)
            .await?;
        let mut by_key = HashMap::new();
        for row in &rows {
            let message = decode_columns(row)?;
            by_key.insert(MessageKey::of(&message), message);
        }
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
        let states = resent_states(filter);
        let share = self.caller.rights.share(transaction).await?;
        let most = MOST_BY_FILTER as usize;
        let (mut chosen, mut last) = (Vec::new(), None);
        // One more than can be resent shows that there are more. Recipients are normalised here, so the database can't
        // leave out those on the list.
        loop {
            let conditions = failed(filter, &states, transaction.dialect, &self.caller.rights, share);
            let page = candidates(conditions, last.as_ref(), transaction).await?;
            last = page.last().map(|candidate| candidate.position.clone());
            let is_last = page.len() <= most;
            let of = |candidate: &Candidate| self.recipients.of(candidate.channel, &candidate.recipient);
            let recipients: Vec<Recipient> = page.iter().map(of).collect();
            let listed = match recipients.is_empty() {
                true => HashSet::new(),
                false => listed(transaction, &recipients).await?,
            };
            let both = page.into_iter().zip(&recipients);
            let unlisted = both.filter(|(_, recipient)| !listed.contains(recipient));
            chosen.extend(unlisted.map(|(candidate, _)| candidate.key));
            if is_last || chosen.len() > most {
                break;
            }
        }
        let more = chosen.len() > most;
        chosen.truncate(most);
        if chosen.is_empty() {
            return Ok(Step::Discard(Ok((Resent::default(), HashSet::new()))));
        }
        let which = keys_in_json(transaction.dialect);
        let keys = key_pairs(chosen.iter())?;
        let rows = self
            .queue(&which, vec![keys.into()], &states, "channel", transaction)
            .await?;
        let channels = rows.iter().map(|row| row.try_get_by_index(0));
        let channels: Vec<String> = channels.collect::<Result<_, _>>()?;
        let resent = Resent {
            messages: None,
            count: rows.len(),
            more,
        };
        Ok(Step::Commit(Ok((resent, distinct(&channels)))))
    }

    /// Returns the keys of the messages whose recipients are on the suppression list.
    async fn suppressed(
        &self,
        stored: &HashMap<MessageKey, message::Model>,
        transaction: &Transaction,
    ) -> Result<HashSet<MessageKey>> {
        let recipient = |message: &message::Model| {
            let channel = Channel::parse(&message.channel)?;
            Some(self.recipients.of(channel, &message.recipient))
        };
        let keyed = stored
            .iter()
            .filter_map(|(key, message)| Some((key, recipient(message)?)));
        let (keys, recipients): (Vec<&MessageKey>, Vec<Recipient>) = keyed.unzip();
        let listed = listed(transaction, &recipients).await?;
        let both = keys.into_iter().zip(recipients);
        let suppressed = both.filter(|(_, recipient)| listed.contains(recipient));
        Ok(suppressed.map(|(key, _)| key.clone()).collect())
    }

    /// Queues the messages in one of these states whose keys the statement `which` selects, and returns `returning` of
    /// each.
    async fn queue(
        &self,
        which: &str,
        mut values: Vec<Value>,
        states: &[MessageState],
        returning: &str,
        transaction: &Transaction,
    ) -> Result<Vec<QueryResult>> {
        let dialect = transaction.dialect;
        values.push(instant::to_text(&self.now).into());
        let now = dialect.cast(&format!("${}", values.len()), "timestamptz");
        let sql = format!(
            "WITH chosen AS ({which}) UPDATE message SET state = '{queued}', attempts = 0, queued_at = {now}, \
             first_attempt_at = NULL, due_at = {now}, lease = NULL, sent_at = NULL, failed_at = NULL, reason = NULL, \
             detail = NULL, delivered_at = NULL, receipt_at = NULL \
             WHERE (client_key, encoded_key) IN (SELECT client_key, encoded_key FROM chosen) \
             AND {state} IN ({states}) RETURNING {returning}",
            queued = MessageState::Queued.as_str(),
            states = list_of(states),
            // Must use the keys, not the index on states: many other messages can have failed.
            state = dialect.unindexed("state"),
        );
        transaction.all(sql, values).await
    }
}

/// A message that passes a filter.
struct Candidate {
    key: MessageKey,
    channel: Channel,
    recipient: String,
    /// Its place in the order: time of creation, and key.
    position: (DateTime<Utc>, String),
}

/// Locks the oldest messages of these conditions after a position, one more than can be resent at once. Waits for a
/// concurrent resend of the same messages, after which they are no longer failed.
async fn candidates(
    mut conditions: Conditions,
    after: Option<&(DateTime<Utc>, String)>,
    transaction: &Transaction,
) -> Result<Vec<Candidate>> {
    let dialect = transaction.dialect;
    if let Some((created_at, key)) = after {
        let created_at = conditions.bind(instant::to_text(created_at));
        let (created_at, key) = (dialect.cast(&created_at, "timestamptz"), conditions.bind(key.as_str()));
        conditions.push(format!("(m.created_at, m.encoded_key) > ({created_at}, {key})"));
    }
    let which = format!(
        "FROM message m {} ORDER BY m.created_at, m.encoded_key LIMIT {}",
        conditions.clause(),
        MOST_BY_FILTER + 1
    );
    let keys = format!("SELECT m.client_key, m.encoded_key {which}");
    let locked = transaction.lock_each::<message::Entity>(keys, conditions.values.clone(), "UPDATE");
    let locked = locked.await?;
    let sql = format!(
        "SELECT m.client_key, m.encoded_key, m.channel, m.recipient, m.created_at {which}{}",
        transaction.locking(" FOR UPDATE OF m")
    );
    let mut candidates = Vec::new();
    for row in transaction.all(sql, conditions.values).await? {
        let (client_key, encoded_key, channel, recipient, created_at): (String, String, String, String, DateTime<Utc>) =
            row.try_get_many_by_index()?;
        if !is_locked(locked.as_deref(), &[&client_key, &encoded_key]) {
            continue;
        }
        candidates.push(Candidate {
            position: (created_at, encoded_key.clone()),
            key: MessageKey {
                client_key,
                encoded_key,
            },
            channel: Channel::parse(&channel).unwrap_or(Channel::Email),
            recipient,
        });
    }
    Ok(candidates)
}

/// The states of the messages that a filter resends: those of the filter, and FAILED if it has none.
fn resent_states(filter: &MessageFilter) -> Vec<MessageState> {
    match &filter.states {
        None => vec![MessageState::Failed],
        Some(states) => {
            let resent = MessageState::RESENDABLE.into_iter();
            resent.filter(|state| states.contains(state)).collect()
        }
    }
}

/// The states as a list of literals. Without any, no message is in one of them.
fn list_of(states: &[MessageState]) -> String {
    let literals: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    match literals.is_empty() {
        true => "''".to_owned(),
        false => literals.join(", "),
    }
}

/// The conditions of messages in these states that pass the filter and still have their text.
fn failed(
    filter: &MessageFilter,
    states: &[MessageState],
    dialect: Dialect,
    rights: &Rights,
    share: Share,
) -> Conditions {
    let filter = MessageFilter {
        states: Some(states.to_vec()),
        ..filter.clone()
    };
    let mut conditions = filter.conditions(dialect, rights, share);
    conditions.push("m.placeholders IS NOT NULL".to_owned());
    conditions
}

fn problems(
    keys: &[Option<MessageKey>],
    stored: &HashMap<MessageKey, message::Model>,
    suppressed: &HashSet<MessageKey>,
) -> Vec<Problem> {
    let is_resendable = |message: &message::Model| {
        MessageState::parse(&message.state).is_some_and(|state| MessageState::RESENDABLE.contains(&state))
    };
    let mut seen = HashSet::new();
    let problems = keys.iter().enumerate().filter_map(|(at, key)| {
        let (code, message) = match key.as_ref().and_then(|key| stored.get(key)) {
            None => (ProblemCode::NotFound, "There is no message with this id."),
            Some(_) if !seen.insert(key) => (
                ProblemCode::Duplicate,
                "This id is listed already: list each message once.",
            ),
            Some(message) if !is_resendable(message) => (
                ProblemCode::Invalid,
                "Only a message that is FAILED, BOUNCED or SUPPRESSED can be resent: one that is QUEUED or SENDING is \
                 still on its way, and one that is SENT or DELIVERED has arrived at the provider.",
            ),
            Some(message) if suppressed.contains(&MessageKey::of(message)) => (
                ProblemCode::Invalid,
                "The recipient is on the suppression list: remove it there first, with removeSuppression.",
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
