//! What is counted about messages, in the text format of Prometheus.
//!
//! Counters are those of this process; what is queued is asked of the database, and the same on every server.

use chrono::{DateTime, Utc};
use entity::message;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Channel, MessageState, Reason};
use crate::{
    Clientele,
    error::{Error, Result},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChannel {
    channel: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForReason {
    channel: &'static str,
    reason: &'static str,
}

/// The counters of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sent: Family<OfChannel, Counter>,
    failed: Family<ForReason, Counter>,
    deferred: Family<ForReason, Counter>,
    open: Family<OfChannel, Gauge>,
    queued: Family<OfChannel, Gauge>,
    oldest: Family<OfChannel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("clientele_messages");
        let (sent, failed, deferred) = (Family::default(), Family::default(), Family::default());
        let (open, queued, oldest) = (Family::default(), Family::default(), Family::default());
        registry.register("sent", "Messages that a provider has accepted", Family::clone(&sent));
        registry.register("failed", "Messages that were given up", Family::clone(&failed));
        registry.register("deferred", "Attempts that will be repeated", Family::clone(&deferred));
        registry.register(
            "breaker_open",
            "Whether the channel is paused, 0 or 1",
            Family::clone(&open),
        );
        registry.register("queued", "Messages that are still to be sent", Family::clone(&queued));
        registry.register(
            "oldest_queued_age_seconds",
            "How long the longest waiting message has been queued",
            Family::clone(&oldest),
        );
        Self {
            registry,
            sent,
            failed,
            deferred,
            open,
            queued,
            oldest,
        }
    }
}

impl Metrics {
    /// Counts what an attempt has led to.
    pub(super) fn settled(&self, channel: Channel, message: &message::Model) {
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

    pub(super) fn breaker(&self, channel: Channel, open: bool) {
        let channel = channel.as_str();
        self.open.get_or_create(&OfChannel { channel }).set(open.into());
    }
}

impl Clientele {
    /// All metrics, in the text format of Prometheus (OpenMetrics).
    pub async fn metrics(&self, now: DateTime<Utc>) -> Result<String> {
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
        let mut text = String::new();
        encode(&mut text, &self.metrics.registry).map_err(Error::internal)?;
        Ok(text)
    }
}
