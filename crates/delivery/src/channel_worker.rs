//! The part of a worker for one channel: claims due messages, sends them and records the outcomes.
//!
//! The clock is passed in. No transaction is open while a message is sent. If a worker dies, it leaves only leases,
//! which expire.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use entity::message;
use tokio::{
    sync::{Semaphore, watch},
    task::{Id, JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Clock, NotificationSettings,
    channel::{Channels, Failure, Outcome, Outgoing},
    circuit_breaker::Admission,
    outbox::{self, Claim, Claimed},
    quiet_hours::QuietHours,
    rate::Rate,
    retry::{after_attempt, release, suppress},
    route::Route,
};
use clientele_core::error::Result;
use clientele_domain::{
    enums::{Channel, Provider, Reason},
    notify::{Messages, content, render::Compiled},
};

/// Messages claimed ahead, as a multiple of the attempts under way, so that claiming doesn't delay sending.
const CLAIMED_AHEAD: usize = 4;
/// The time reserved for recording an attempt: a settlement after the lease has no effect, and the message is sent
/// twice.
const TO_SETTLE: Duration = Duration::from_secs(10);

pub(super) struct ChannelWorker {
    messages: Messages,
    channels: Arc<Channels>,
    settings: Arc<NotificationSettings>,
    channel: Channel,
    clock: Clock,
    route: Arc<Route>,
    quiet_hours: Option<QuietHours>,
    rate: Option<Rate>,
    /// Limits the attempts under way. Closed when no further attempt may begin.
    permits: Arc<Semaphore>,
    /// Each task returns None when it made no attempt.
    sending: JoinSet<Option<Attempted>>,
    claimed: HashMap<Id, message::Model>,
    unsettled: Vec<Unsettled>,
    /// The last claim returned all due messages.
    none_due: bool,
    /// The last claim returned only suppressed messages, so that the end of no attempt causes the next claim.
    only_suppressed: bool,
    /// No message is claimed before this time.
    next_slot: Option<DateTime<Utc>>,
    /// The end of the quiet hours that were last logged.
    quiet_until: Option<DateTime<Utc>>,
}

/// An attempt that was made.
struct Attempted {
    provider: Provider,
    outcome: Outcome,
}

/// A message with the state to store.
struct Unsettled {
    message: message::Model,
    /// If not, the message is as before it was claimed. A suppressed one counts as attempted: its state is settled.
    attempted: bool,
}

impl ChannelWorker {
    pub(super) fn new(
        messages: Messages,
        channels: Arc<Channels>,
        settings: Arc<NotificationSettings>,
        channel: Channel,
        clock: Clock,
    ) -> Self {
        let route = Route::new(&messages.metrics, channel, channels.has_fallback(channel), &settings);
        let rate = settings.rate_per_minute(channel).and_then(NonZeroU32::new);
        // The configuration refuses invalid settings.
        let quiet_hours = match channel {
            Channel::Email => None,
            Channel::Sms => QuietHours::new(&settings.sms.quiet_hours).ok().flatten(),
        };
        Self {
            permits: Arc::new(Semaphore::new(settings.concurrency as usize)),
            route: Arc::new(route),
            quiet_hours,
            rate: rate.map(Rate::per_minute),
            messages,
            channels,
            settings,
            channel,
            clock,
            sending: JoinSet::new(),
            claimed: HashMap::new(),
            unsettled: Vec::new(),
            none_due: false,
            only_suppressed: false,
            next_slot: None,
            quiet_until: None,
        }
    }

    /// Sends until `stop`, then finishes the attempts under way for at most `grace` and releases the rest.
    pub(super) async fn run(&mut self, mut stop: watch::Receiver<bool>, grace: Duration) {
        let mut poll = interval(Duration::from_secs(self.settings.poll_seconds));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            if let Err(error) = self.advance().await {
                let channel = self.channel.as_str();
                match self.messages.db.logs_outage_of(&error) {
                    true => tracing::debug!(channel, error = error.kind(), "the outbox can't be reached"),
                    false => tracing::warn!(channel, error = error.kind(), "the outbox can't be reached"),
                }
                self.none_due = true;
            }
            let until_claim = self.until_next_claim();
            tokio::select! {
                () = sleep(until_claim.unwrap_or_default()), if until_claim.is_some() => {}
                Some(ended) = self.sending.join_next_with_id() => self.note(ended),
                () = self.messages.outbox.received(self.channel) => self.none_due = false,
                _ = poll.tick() => self.none_due = false,
                // A dropped sender counts as a stop.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        self.permits.close();
        if !matches!(timeout(grace, self.drain()).await, Ok(Ok(()))) {
            tracing::warn!(
                channel = self.channel.as_str(),
                messages = self.claimed.len(),
                "gives back what is being sent"
            );
            self.sending.abort_all();
        }
        while let Some(ended) = self.sending.join_next_with_id().await {
            self.note(ended);
        }
        if let Err(error) = self.settle().await {
            // Their leases expire.
            tracing::warn!(
                channel = self.channel.as_str(),
                error = error.kind(),
                "claimed messages stay claimed for a while"
            );
        }
    }

    /// Claims once, and returns when all claimed messages are settled. Returns their number.
    pub(super) async fn step(&mut self) -> Result<usize> {
        self.none_due = false;
        let claimed = self.advance().await?;
        self.drain().await?;
        Ok(claimed)
    }

    /// Settles ended attempts, and claims as many messages as there is room for.
    async fn advance(&mut self) -> Result<usize> {
        while let Some(ended) = self.sending.try_join_next_with_id() {
            self.note(ended);
        }
        self.settle().await?;
        self.only_suppressed = false;
        if self.none_due {
            return Ok(0);
        }
        let now = (self.clock)();
        if let Some(end) = self.quiet_hours.and_then(|hours| hours.end(now)) {
            self.defer(now, end).await?;
            return Ok(0);
        }
        if let (Some(rate), Some(next)) = (self.rate, self.next_slot)
            && rate.free_slots(next, now) == 0
        {
            return Ok(0);
        }
        let concurrency = self.settings.concurrency as usize;
        let (capacity, least) = match self.rate {
            None => (concurrency * CLAIMED_AHEAD, (concurrency * CLAIMED_AHEAD).div_ceil(2)),
            // A message needs a permit at the time of its slot.
            Some(_) => (concurrency, 1),
        };
        let room = capacity - self.sending.len().min(capacity);
        let most = match self.route.admits(now) {
            Admission::Any if room >= least => room,
            Admission::One if self.sending.is_empty() => 1,
            Admission::Any | Admission::One | Admission::NoneBefore(_) => return Ok(0),
        };
        self.claim(most, now).await
    }

    /// The time until the next message can be claimed. None if no message waits for it, or only for the end of an
    /// attempt.
    fn until_next_claim(&self) -> Option<Duration> {
        if self.none_due {
            return None;
        }
        if self.only_suppressed {
            return Some(Duration::ZERO);
        }
        let next = self.next_slot?;
        let wait = (next - (self.clock)()).to_std().ok()?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Makes the due messages due at the end of the quiet hours.
    async fn defer(&mut self, now: DateTime<Utc>, end: DateTime<Utc>) -> Result<()> {
        loop {
            let deferred = outbox::defer(&self.messages.db, self.channel, now, end).await?;
            self.messages.metrics.count_quiet_hours(self.channel, deferred);
            let channel = self.channel.as_str();
            let is_first = deferred > 0 && self.quiet_until.replace(end) != Some(end);
            match is_first {
                true => tracing::info!(channel, deferred, until = %end, "quiet hours: messages wait"),
                false => tracing::debug!(channel, deferred, until = %end, "quiet hours: more messages wait"),
            }
            if deferred < outbox::BATCH {
                self.none_due = true;
                return Ok(());
            }
        }
    }

    async fn claim(&mut self, most: usize, now: DateTime<Utc>) -> Result<usize> {
        let claim = Claim {
            channel: self.channel,
            most,
            now,
            lease: Duration::from_secs(self.settings.lease_seconds),
            rate: self.rate,
            recipients: self.messages.guard.recipients(),
        };
        let Claimed {
            messages,
            suppressed,
            most,
            next_slot,
        } = outbox::claim(&self.messages.db, &claim).await?;
        self.next_slot = next_slot;
        let claimed = messages.len() + suppressed.len();
        self.none_due = claimed < most;
        self.only_suppressed = messages.is_empty() && !suppressed.is_empty();
        let has_suppressed = !suppressed.is_empty();
        self.unsettled.extend(suppressed.into_iter().map(|message| Unsettled {
            message: suppress(message),
            attempted: true,
        }));
        let keys = messages.iter().map(|message| message.variant_key.as_str());
        let variants = match self.messages.variants(keys).await {
            Ok(variants) => variants,
            Err(error) => {
                let now = (self.clock)();
                self.unsettled.extend(messages.into_iter().map(|message| Unsettled {
                    message: release(message, now),
                    attempted: false,
                }));
                return Err(error);
            }
        };
        for (number, message) in messages.into_iter().enumerate() {
            let attempt = Attempt {
                slot: self.rate.map(|rate| rate.slot(now, number)),
                ..self.attempt(message.clone(), variants.get(&message.variant_key).cloned())
            };
            let task = self.sending.spawn(attempt.make());
            self.claimed.insert(task.id(), message);
        }
        if has_suppressed {
            self.settle().await?;
        }
        Ok(claimed)
    }

    /// Creates one attempt, for a separate task.
    fn attempt(&self, message: message::Model, variant: Option<Arc<Compiled>>) -> Attempt {
        Attempt {
            channels: self.channels.clone(),
            channel: self.channel,
            clock: self.clock.clone(),
            route: self.route.clone(),
            quiet_hours: self.quiet_hours,
            slot: None,
            permits: self.permits.clone(),
            time_limit: Duration::from_secs(self.settings.timeout_seconds(self.channel)),
            message,
            variant,
        }
    }

    /// Waits for all attempts under way, and settles them.
    async fn drain(&mut self) -> Result<()> {
        while let Some(ended) = self.sending.join_next_with_id().await {
            self.note(ended);
            while let Some(ended) = self.sending.try_join_next_with_id() {
                self.note(ended);
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Records a message's outcome, to be settled in a batch.
    fn note(&mut self, ended: Result<(Id, Option<Attempted>), JoinError>) {
        let (id, attempted) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => (error.id(), None),
            // A panic counts as an attempt, so that retries are limited.
            Err(error) => (
                error.id(),
                Some(Attempted::none(Failure::from(Reason::Internal).deferred(false))),
            ),
        };
        let Some(message) = self.claimed.remove(&id) else {
            return;
        };
        let now = (self.clock)();
        let unsettled = match attempted {
            Some(Attempted { provider, outcome }) => Unsettled {
                message: after_attempt(message, provider, outcome, now, &self.settings, &mut rand::rng()),
                attempted: true,
            },
            None => Unsettled {
                message: release(message, now),
                attempted: false,
            },
        };
        self.unsettled.push(unsettled);
    }

    /// Stores the recorded outcomes. A failed store is repeated later, while the lease lasts.
    async fn settle(&mut self) -> Result<()> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let messages: Vec<&message::Model> = self.unsettled.iter().map(|unsettled| &unsettled.message).collect();
        let settled = outbox::settle(&self.messages, &messages).await?;
        self.messages.metrics.count_receipts(&settled.receipts);
        let stored = settled.keys;
        let lost = messages.len() - stored.len();
        if lost > 0 {
            tracing::warn!(
                channel = self.channel.as_str(),
                lost,
                "messages weren't settled: their leases had ended, or their clients had been removed"
            );
        }
        for Unsettled { message, attempted } in self.unsettled.drain(..) {
            if attempted && stored.contains(&message.encoded_key) {
                self.messages.metrics.count_attempt(self.channel, &message);
            }
        }
        Ok(())
    }
}

impl Attempted {
    /// An attempt that failed before it reached a provider.
    fn none(outcome: Outcome) -> Self {
        Self {
            provider: Provider::Primary,
            outcome,
        }
    }
}

/// One attempt at sending one message.
struct Attempt {
    channels: Arc<Channels>,
    channel: Channel,
    clock: Clock,
    route: Arc<Route>,
    quiet_hours: Option<QuietHours>,
    /// The time before which it must not begin.
    slot: Option<DateTime<Utc>>,
    permits: Arc<Semaphore>,
    time_limit: Duration,
    /// Claimed under a lease that ends when the message is due again.
    message: message::Model,
    /// None when it doesn't exist or this server can't read it.
    variant: Option<Arc<Compiled>>,
}

impl Attempt {
    /// Waits for a permit and for its slot, and sends if the attempt can end and be recorded before the lease ends.
    async fn make(self) -> Option<Attempted> {
        let lease_end = self.message.due_at.unwrap_or_default();
        let _permit = self.permits.acquire().await.ok()?;
        if let Some(slot) = self.slot {
            sleep((slot - (self.clock)()).to_std().unwrap_or_default()).await;
        }
        let now = (self.clock)();
        let is_quiet = self.quiet_hours.is_some_and(|hours| hours.end(now).is_some());
        if is_quiet || self.permits.is_closed() || now + self.time_limit + TO_SETTLE > lease_end {
            return None;
        }
        let attempts = self.message.attempts;
        let running = self.route.start(attempts, now)?;
        // Rendered here, so that memory holds only the texts of messages being sent.
        let outgoing = match outgoing(&self.message, self.variant.as_deref()) {
            Ok(outgoing) => outgoing,
            Err(outcome) => return Some(Attempted::none(outcome)),
        };
        let provider = running.provider();
        let outcome = self.channels.send(self.channel, provider, &outgoing, now).await;
        let now = (self.clock)();
        let outcome = running.note(&outgoing.key, outcome, now);
        let outcome = self.route.without_needless_wait(attempts, provider, outcome, now);
        Some(Attempted { provider, outcome })
    }
}

/// Renders the message.
fn outgoing(message: &message::Model, variant: Option<&Compiled>) -> Result<Outgoing, Outcome> {
    let failure = Failure::from(Reason::Unrenderable);
    let Some(variant) = variant else {
        // A later version of the server may have stored it and can read it.
        return Err(failure.deferred(false));
    };
    Ok(Outgoing {
        key: message.encoded_key.clone(),
        // A message that waits and has a provider was accepted by it, and then failed by a receipt and resent.
        resent_at: message.provider.as_ref().map(|_| message.queued_at),
        recipient: message.recipient.clone(),
        content: content(message, variant).ok_or(Outcome::Refused(failure))?,
    })
}
