//! Metrics of messages. Counters are per process. The queue is read from the database, and is the same on every server.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use entity::message;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Messages, receipt::ReceiptCounts};
use crate::{
    caller::{Caller, Permission},
    enums::{Channel, MessageState, Provider, Reason},
    message_guard::SuppressedMessages,
};
use clientele_core::error::Result;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The reason of a message that waits for the end of quiet hours. No attempt was made.
const QUIET_HOURS: &str = "QUIET_HOURS";

/// The metrics of messages in one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    sent: Family<Labels<2>, Counter>,
    failed: Family<Labels<2>, Counter>,
    deferred: Family<Labels<2>, Counter>,
    open: Family<Labels<2>, Gauge>,
    quiet: Family<Labels<1>, Gauge>,
    is_quiet: IsQuiet,
    pub(super) suppressed: SuppressedMessages,
    receipts: Family<Labels<1>, Counter>,
    queued: Family<Labels<1>, Gauge>,
    oldest: Family<Labels<1>, Gauge>,
}

type QuietCheck = Box<dyn Fn(DateTime<Utc>) -> bool + Send + Sync>;

/// Returns true during the quiet hours of SMS, if there are any.
#[derive(Clone, Default)]
struct IsQuiet(Arc<OnceLock<QuietCheck>>);

impl fmt::Debug for IsQuiet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IsQuiet")
    }
}

impl Metrics {
    /// Adds these metrics to a registry. All but the queue are shown from the start, as 0.
    pub fn register(&self, registry: &mut Registry) {
        for channel in Channel::ALL {
            for provider in Provider::ALL {
                self.sent.get_or_create_owned(&of_provider(channel, provider));
            }
            self.open.get_or_create_owned(&of_provider(channel, Provider::Primary));
            for reason in Reason::OF_SUPPRESSION {
                self.suppressed
                    .0
                    .get_or_create_owned(&for_reason(channel, reason.as_str()));
            }
            for reason in Reason::OF_ATTEMPTS.map(Reason::as_str) {
                self.failed.get_or_create_owned(&for_reason(channel, reason));
                self.deferred.get_or_create_owned(&for_reason(channel, reason));
            }
        }
        for (outcome, _) in outcomes(&ReceiptCounts::default()) {
            self.receipts.get_or_create_owned(&[("outcome", outcome)]);
        }
        self.deferred
            .get_or_create_owned(&for_reason(Channel::Sms, QUIET_HOURS));
        self.quiet.get_or_create_owned(&of_channel(Channel::Sms));
        let registry = registry.sub_registry_with_prefix("messages");
        registry.register("sent", "Messages that a provider has accepted", self.sent.clone());
        registry.register("failed", "Messages that were given up", self.failed.clone());
        let help = "Attempts that will be repeated, and messages that wait for the end of quiet hours";
        registry.register("deferred", help, self.deferred.clone());
        let help = "Messages that were not sent because of the suppression list or a limit";
        registry.register("suppressed", help, self.suppressed.0.clone());
        registry.register("receipts", "Delivery receipts", self.receipts.clone());
        let help = "Whether the provider is left out because it has failed, 0 or 1";
        registry.register("breaker_open", help, self.open.clone());
        let help = "Whether messages wait for the end of quiet hours, 0 or 1";
        registry.register("quiet", help, self.quiet.clone());
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
        let reason = message.reason.as_deref().and_then(Reason::parse).map(Reason::as_str);
        let provider = message.provider.as_deref().and_then(Provider::parse);
        let provider = provider.unwrap_or(Provider::Primary);
        match (MessageState::parse(&message.state), reason) {
            (Some(MessageState::Sent), _) => self.sent.get_or_create(&of_provider(channel, provider)).inc(),
            (Some(MessageState::Suppressed), Some(reason)) => {
                self.suppressed.0.get_or_create(&for_reason(channel, reason)).inc()
            }
            (Some(MessageState::Failed), Some(reason)) => self.failed.get_or_create(&for_reason(channel, reason)).inc(),
            (_, Some(reason)) => self.deferred.get_or_create(&for_reason(channel, reason)).inc(),
            (_, None) => 0,
        };
    }

    /// Counts receipts by their outcome.
    pub fn count_receipts(&self, counts: &ReceiptCounts) {
        for (outcome, count) in outcomes(counts) {
            self.receipts.get_or_create(&[("outcome", outcome)]).inc_by(count);
        }
    }

    /// Counts messages that wait for the end of quiet hours.
    pub fn count_quiet_hours(&self, channel: Channel, messages: u64) {
        self.deferred
            .get_or_create(&for_reason(channel, QUIET_HOURS))
            .inc_by(messages);
    }

    pub fn breaker(&self, channel: Channel, provider: Provider, open: bool) {
        self.open
            .get_or_create(&of_provider(channel, provider))
            .set(open.into());
    }

    /// Shows whether it is quiet, from now on. Only the first call has an effect.
    pub fn watch_quiet_hours(&self, is_quiet: impl Fn(DateTime<Utc>) -> bool + Send + Sync + 'static) {
        let _ = self.is_quiet.0.set(Box::new(is_quiet));
    }

    fn show_quiet_hours(&self, now: DateTime<Utc>) {
        let is_quiet = self.is_quiet.0.get().is_some_and(|is_quiet| is_quiet(now));
        self.quiet.get_or_create(&of_channel(Channel::Sms)).set(is_quiet.into());
    }
}

fn outcomes(counts: &ReceiptCounts) -> [(&'static str, u64); 8] {
    [
        ("DELIVERED", counts.delivered),
        ("BOUNCED", counts.bounced),
        ("FAILED", counts.failed),
        ("COMPLAINED", counts.complained),
        ("UNCHANGED", counts.unchanged),
        ("UNKNOWN", counts.unknown),
        ("FOREIGN", counts.foreign),
        ("EARLY", counts.early),
    ]
}

fn of_channel(channel: Channel) -> Labels<1> {
    [("channel", channel.as_str())]
}

fn of_provider(channel: Channel, provider: Provider) -> Labels<2> {
    [("channel", channel.as_str()), ("provider", provider.as_str())]
}

fn for_reason(channel: Channel, reason: &'static str) -> Labels<2> {
    [("channel", channel.as_str()), ("reason", reason)]
}

impl Messages {
    /// Reads the outbox for the metrics.
    ///
    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) before any query, or those of the database.
    pub async fn read_outbox(&self, caller: &Caller, now: DateTime<Utc>) -> Result<()> {
        caller.require(Permission::ViewMetrics)?;
        self.metrics.show_quiet_hours(now);
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
