//! Suppresses messages to recipients on the suppression list, and messages over the limits of their recipients and
//! callers, when a change raises them.
//!
//! A suppressed message is stored with its reason, so that nothing is lost silently and an operator can resend it. The
//! change itself always succeeds.
//!
//! Messages are counted by an index, in the transaction of the change. Transactions don't see each other's uncommitted
//! messages, so that changes at the same time can exceed a limit by the messages of these changes. A row with the count
//! would make all changes of one caller wait for one another.

mod forget;
mod recipient;
mod settings;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Table, instant, message, raised_message, suppression};
use prometheus_client::metrics::{counter::Counter, family::Family};

pub use self::{
    forget::forget_counted,
    recipient::{Recipient, Recipients},
    settings::{MessageLimits, MessageSettings},
};
use crate::{
    caller::Caller,
    enums::{Channel, MessageState, Reason},
    outbox_signal::OutboxSignal,
};
use clientele_core::{
    error::{Error, Result},
    log_throttle::LogThrottle,
};
use clientele_storage::db::Transaction;

/// The messages that a change raised.
#[derive(Clone, Debug, Default)]
pub struct Raised {
    /// The channels of the messages to send.
    pub queued: Vec<Channel>,
    /// The channels of the suppressed messages, with the reasons.
    pub suppressed: Vec<(Channel, Reason)>,
}

impl Raised {
    pub fn extend(&mut self, other: &Self) {
        self.queued.extend(&other.queued);
        self.suppressed.extend(&other.suppressed);
    }
}

/// Checks the messages that changes raise. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct MessageGuard {
    settings: MessageSettings,
    recipients: Recipients,
    suppressed: SuppressedMessages,
    limit_log: LogThrottle,
}

/// Counts the suppressed messages of this process by channel and reason. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct SuppressedMessages(pub Family<[(&'static str, &'static str); 2], Counter>);

impl SuppressedMessages {
    pub fn count(&self, channel: Channel, reason: Reason) {
        let labels = [("channel", channel.as_str()), ("reason", reason.as_str())];
        self.0.get_or_create(&labels).inc();
    }
}

/// The messages of the last day or hour, up to the limits.
struct Counted {
    /// For each recipient, true if it is on the suppression list, and the messages to it.
    recipients: HashMap<Recipient, (bool, i64)>,
    of_caller: i64,
}

impl MessageGuard {
    pub fn new(settings: MessageSettings, suppressed: SuppressedMessages) -> Self {
        Self {
            recipients: Recipients::new(&settings.region),
            settings,
            suppressed,
            limit_log: LogThrottle::default(),
        }
    }

    /// The normal forms of recipients.
    pub fn recipients(&self) -> Recipients {
        self.recipients
    }

    /// Suppresses the messages that must not be sent. Returns the rows that must be stored with the messages. Takes one
    /// statement, and none without messages.
    pub(crate) async fn check(
        &self,
        messages: &mut [message::Model],
        caller: &Caller,
        now: DateTime<Utc>,
        transaction: &Transaction,
    ) -> Result<Vec<raised_message::Model>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let caller = caller_id(caller);
        let normalised = |message: &message::Model| {
            let channel = Channel::parse(&message.channel).unwrap_or(Channel::Email);
            self.recipients.of(channel, &message.recipient)
        };
        let recipients: Vec<Recipient> = messages.iter().map(normalised).collect();
        let mut counted = self.count(&recipients, caller.as_deref(), now, transaction).await?;
        let limits = self.settings.limits;
        let is_over = |limit: u32, count: i64| limit > 0 && count >= i64::from(limit);
        let mut raised = Vec::with_capacity(messages.len());
        for (message, recipient) in messages.iter_mut().zip(recipients) {
            let (is_listed, count) = counted.recipients.entry(recipient.clone()).or_default();
            let reason = if *is_listed {
                Some(Reason::SuppressionList)
            } else if is_over(limits.recipient_daily, *count) {
                Some(Reason::RecipientLimit)
            } else if caller.is_some() && is_over(limits.caller_hourly, counted.of_caller) {
                Some(Reason::CallerLimit)
            } else {
                None
            };
            match reason {
                Some(reason) => {
                    message.state = MessageState::Suppressed.as_str().to_owned();
                    message.due_at = None;
                    message.reason = Some(reason.as_str().to_owned());
                }
                None => {
                    *count += 1;
                    counted.of_caller += 1;
                }
            }
            raised.push(raised_message::Model {
                client_key: message.client_key.clone(),
                encoded_key: message.encoded_key.clone(),
                channel: message.channel.clone(),
                recipient: reason.is_none().then_some(recipient.recipient),
                caller: caller.clone().filter(|_| reason.is_none()),
                created_at: now,
            });
        }
        Ok(raised)
    }

    /// Looks the recipients up in the suppression list, and counts messages.
    async fn count(
        &self,
        recipients: &[Recipient],
        caller: Option<&str>,
        now: DateTime<Utc>,
        transaction: &Transaction,
    ) -> Result<Counted> {
        let dialect = transaction.dialect;
        let table = suppression::Entity::table();
        let mut distinct: Vec<&Recipient> = recipients.iter().collect();
        distinct.sort_unstable_by_key(|recipient| (recipient.channel.as_str(), &*recipient.recipient));
        distinct.dedup();
        // A distributed database can't count for each of several recipients in one statement.
        let lists: Vec<Vec<&Recipient>> = match transaction.distributed {
            true => distinct.into_iter().map(|recipient| vec![recipient]).collect(),
            false => vec![distinct],
        };
        let (channel, recipient, rows) = match transaction.distributed {
            true => (
                "($1::json -> 0 ->> 'channel')",
                "($1::json -> 0 ->> 'recipient')",
                String::new(),
            ),
            false => {
                let rows = dialect.rows_of_json(table, &["channel", "recipient"], "$1");
                ("r.channel", "r.recipient", format!(" FROM ({rows}) r"))
            }
        };
        let mut values = vec![String::new().into()];
        let mut since = |age: TimeDelta| {
            values.push(instant::to_text(&(now - age)).into());
            dialect.cast(&format!("${}", values.len()), "timestamptz")
        };
        let limits = self.settings.limits;
        // The limits are literals: they don't vary, and the plan depends on them.
        let to_recipient = match limits.recipient_daily {
            0 => "CAST(0 AS BIGINT)".to_owned(),
            limit => format!(
                "(SELECT count(*) FROM (SELECT 1 FROM raised_message m WHERE m.recipient = {recipient} \
                 AND m.channel = {channel} AND m.created_at > {} LIMIT {limit}) c)",
                since(TimeDelta::days(1))
            ),
        };
        let of_caller = match (caller, limits.caller_hourly) {
            (None, _) | (_, 0) => "CAST(0 AS BIGINT)".to_owned(),
            (Some(caller), limit) => {
                let since = since(TimeDelta::hours(1));
                values.push(caller.into());
                format!(
                    "(SELECT count(*) FROM (SELECT 1 FROM raised_message m WHERE m.caller = ${} \
                     AND m.created_at > {since} LIMIT {limit}) c)",
                    values.len()
                )
            }
        };
        let sql = format!(
            "SELECT {channel}, {recipient}, (SELECT count(*) FROM {table} s WHERE s.channel = {channel} \
             AND s.recipient = {recipient}), {to_recipient}, {of_caller}{rows}"
        );
        let mut counted = Counted {
            recipients: HashMap::new(),
            of_caller: 0,
        };
        for list in lists {
            values[0] = serde_json::to_string(&list).map_err(Error::internal)?.into();
            for row in transaction.all(sql.as_str(), values.clone()).await? {
                let (channel, recipient, listed, to_recipient, of_caller): (String, String, i64, i64, i64) =
                    row.try_get_many_by_index()?;
                if let Some(channel) = Channel::parse(&channel) {
                    let recipient = Recipient { channel, recipient };
                    counted.recipients.insert(recipient, (listed > 0, to_recipient));
                }
                counted.of_caller = of_caller;
            }
        }
        Ok(counted)
    }

    /// Wakes the workers for the messages of a committed change, and counts and logs those that were suppressed.
    pub(crate) fn announce(&self, raised: &Raised, outbox: &OutboxSignal, caller: &Caller) {
        raised.queued.iter().for_each(|channel| outbox.send(*channel));
        for (channel, reason) in &raised.suppressed {
            self.suppressed.count(*channel, *reason);
        }
        let is_limit = |reason: &Reason| matches!(reason, Reason::RecipientLimit | Reason::CallerLimit);
        let mut limited = raised.suppressed.iter().map(|(_, reason)| *reason).filter(is_limit);
        let Some(reason) = limited.next() else { return };
        let count = 1 + limited.map(|_| 1).sum::<u64>();
        let Some(suppressed) = self.limit_log.add(count) else {
            return;
        };
        tracing::warn!(
            suppressed,
            reason = reason.as_str(),
            caller_kind = caller.kind.as_str(),
            caller_key = caller.key_for_log().map(|key| &**key),
            "messages suppressed: a limit of notifications.limits is reached"
        );
    }
}

/// The messages as they are stored.
pub(crate) fn raised(messages: &[message::Model]) -> Raised {
    let mut raised = Raised::default();
    for message in messages {
        let Some(channel) = Channel::parse(&message.channel) else {
            continue;
        };
        match message.reason.as_deref().and_then(Reason::parse) {
            Some(reason) => raised.suppressed.push((channel, reason)),
            None => raised.queued.push(channel),
        }
    }
    raised
}

/// The caller for whom messages are counted; none for the operator, and for anonymous callers.
fn caller_id(caller: &Caller) -> Option<String> {
    caller.flow().map(|_| format!("{}:{}", caller.kind.as_str(), caller.id))
}
