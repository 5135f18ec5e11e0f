//! Metrics of messages. Counters are per process. The queue is read from the database, and is the same on every server.

use chrono::{DateTime, Utc};
use entity::message;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Messages;
use crate::{
    caller::{Caller, Permission},
    enums::{Channel, MessageState, Reason},
};
use clientele_core::error::Result;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChannel {
    channel: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForReason {
    channel: &'static str,
    reason: &'static str,
}

/// The metrics of messages in one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    sent: Family<OfChannel, Counter>,
    failed: Family<ForReason, Counter>,
    deferred: Family<ForReason, Counter>,
    open: Family<OfChannel, Gauge>,
    queued: Family<OfChannel, Gauge>,
    oldest: Family<OfChannel, Gauge>,
}

impl Metrics {
    /// Adds these metrics to a registry. All but the queue are shown from the start, as 0.
    pub fn register(&self, registry: &mut Registry) {
        for channel in Channel::ALL.map(Channel::as_str) {
            self.sent.get_or_create_owned(&OfChannel { channel });
            self.open.get_or_create_owned(&OfChannel { channel });
            for reason in Reason::ALL.map(Reason::as_str) {
                self.failed.get_or_create_owned(&ForReason { channel, reason });
                self.deferred.get_or_create_owned(&ForReason { channel, reason });
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
        let channel = channel.as_str();
        let reason = message.reason.as_deref().and_then(Reason::parse).map(Reason::as_str);
        match (MessageState::parse(&message.state), reason) {
            (Some(MessageState::Sent), _) => self.sent.get_or_create(&OfChannel { channel }).inc(),
            (Some(MessageState::Failed), Some(reason)) => {
                self.failed.get_or_create(&ForReason { channel, reason }).inc()
            }
            (_, Some(reason)) => self.deferred.get_or_create(&ForReason { channel, reason }).inc(),
            (_, None) => 0,
        };
    }

    pub fn breaker(&self, channel: Channel, open: bool) {
        let channel = channel.as_str();
        self.open.get_or_create(&OfChannel { channel }).set(open.into());
    }
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
            let (queued, oldest): (i64, Option<DateTime<Utc>>) = match row {
                Some(row) => row.try_get_many_by_index()?,
                None => (0, None),
            };
            let age = oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0));
            let channel = channel.as_str();
            self.metrics.queued.get_or_create(&OfChannel { channel }).set(queued);
            self.metrics.oldest.get_or_create(&OfChannel { channel }).set(age);
        }
        Ok(())
    }
}
