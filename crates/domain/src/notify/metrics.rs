//! Metrics of messages. Counters are per process. The queue is read from the database, and is the same on every server.

use chrono::{DateTime, Utc};
use entity::message;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Messages;
use crate::{
    caller::{Caller, Permission},
    enums::{Channel, MessageState, Reason},
};
use clientele_core::error::Result;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The metrics of messages in one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    sent: Family<Labels<1>, Counter>,
    failed: Family<Labels<2>, Counter>,
    deferred: Family<Labels<2>, Counter>,
    open: Family<Labels<1>, Gauge>,
    queued: Family<Labels<1>, Gauge>,
    oldest: Family<Labels<1>, Gauge>,
}

impl Metrics {
    /// Adds these metrics to a registry. All but the queue are shown from the start, as 0.
    pub fn register(&self, registry: &mut Registry) {
        for channel in Channel::ALL {
            self.sent.get_or_create_owned(&of_channel(channel));
            self.open.get_or_create_owned(&of_channel(channel));
            for reason in Reason::ALL {
                self.failed.get_or_create_owned(&for_reason(channel, reason));
                self.deferred.get_or_create_owned(&for_reason(channel, reason));
            }
        }
        let registry = registry.sub_registry_with_prefix("messages");
        registry.register("sent", "Messages that a provider has accepted", self.sent.clone());
        registry.register("failed", "Messages that were given up", self.failed.clone());
        registry.register("deferred", "Attempts that will be repeated", self.deferred.clone());
        let help = "Whether the channel is paused, 0 or 1";
        registry.register("breaker_open", help, self.open.clone());
        registry.register("queued", "Messages that are still to be sent", self.queued.clone());
        let help = "How long the longest waiting message has been queued";
        registry.register("oldest_queued_age_seconds", help, self.oldest.clone());
    }

    /// Hides the outbox until it is read again.
    pub fn forget_outbox(&self) {
        self.queued.clear();
        self.oldest.clear();
    }

    /// Counts the result of an attempt.
    pub fn count_attempt(&self, channel: Channel, message: &message::Model) {
        let reason = message.reason.as_deref().and_then(Reason::parse);
        match (MessageState::parse(&message.state), reason) {
            (Some(MessageState::Sent), _) => self.sent.get_or_create(&of_channel(channel)).inc(),
            (Some(MessageState::Failed), Some(reason)) => self.failed.get_or_create(&for_reason(channel, reason)).inc(),
            (_, Some(reason)) => self.deferred.get_or_create(&for_reason(channel, reason)).inc(),
            (_, None) => 0,
        };
    }

    pub fn breaker(&self, channel: Channel, open: bool) {
        self.open.get_or_create(&of_channel(channel)).set(open.into());
    }
}

fn of_channel(channel: Channel) -> Labels<1> {
    [("channel", channel.as_str())]
}

fn for_reason(channel: Channel, reason: Reason) -> Labels<2> {
    [("channel", channel.as_str()), ("reason", reason.as_str())]
}

impl Messages {
    /// Reads the outbox for the metrics.
    ///
    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) before any query, or those of the database.
    pub async fn read_outbox(&self, caller: &Caller, now: DateTime<Utc>) -> Result<()> {
        caller.require(Permission::ViewMetrics)?;
        let sql = "SELECT count(*), min(queued_at) FROM message WHERE channel = $1 AND due_at IS NOT NULL";
        for channel in Channel::ALL {
            let row = self.db.read().one(sql, [channel.as_str().into()]).await?;
            let counted = row.map_or(Ok((0, None)), |row| row.try_get_many_by_index());
            let (queued, oldest): (i64, Option<DateTime<Utc>>) = counted?;
            let age = oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0));
            self.metrics.queued.get_or_create(&of_channel(channel)).set(queued);
            self.metrics.oldest.get_or_create(&of_channel(channel)).set(age);
        }
        Ok(())
    }
}
