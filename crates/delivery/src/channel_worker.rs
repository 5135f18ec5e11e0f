//! The part of a worker for one channel: claims due messages, sends them and records the outcomes.
//!
//! The clock is passed in. No transaction is open while a message is sent. If a worker dies, it leaves only leases,
//! which expire.

use std::{collections::HashMap, sync::Arc, time::Duration};

use entity::message;
use tokio::{
    sync::{Semaphore, watch},
    task::{Id, JoinError, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Clock, NotificationSettings,
    channel::{Channels, Failure, Outcome, Outgoing},
    circuit_breaker::{Admission, CircuitBreaker},
    outbox,
    retry::{after_attempt, release},
};
use clientele_core::error::Result;
use clientele_domain::{
    enums::{Channel, Reason},
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
    breaker: Arc<CircuitBreaker>,
    /// Limits the attempts under way.
    permits: Arc<Semaphore>,
    /// Each task returns None when it made no attempt.
    sending: JoinSet<Option<Outcome>>,
    claimed: HashMap<Id, message::Model>,
    unsettled: Vec<Unsettled>,
    /// The last claim returned all due messages.
    none_due: bool,
}

/// A message with the state to store.
struct Unsettled {
    message: message::Model,
    /// If not, the message is as before it was claimed.
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
        let breaker = CircuitBreaker::new(messages.metrics.clone(), channel, settings.clone());
        Self {
            permits: Arc::new(Semaphore::new(settings.concurrency as usize)),
            breaker: Arc::new(breaker),
            messages,
            channels,
            settings,
            channel,
            clock,
            sending: JoinSet::new(),
            claimed: HashMap::new(),
            unsettled: Vec::new(),
            none_due: false,
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
            tokio::select! {
                Some(ended) = self.sending.join_next_with_id() => self.note(ended),
                () = self.messages.outbox.received(self.channel) => self.none_due = false,
                _ = poll.tick() => self.none_due = false,
                // A dropped sender counts as a stop.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        self.breaker.shut();
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
        if self.none_due {
            return Ok(0);
        }
        let capacity = self.settings.concurrency as usize * CLAIMED_AHEAD;
        let room = capacity - self.sending.len().min(capacity);
        let most = match self.breaker.admits((self.clock)(), self.sending.len()) {
            Admission::Any if room * 2 >= capacity => room,
            Admission::One => 1,
            Admission::Any | Admission::NoneBefore(_) => return Ok(0),
        };
        self.claim(most).await
    }

    async fn claim(&mut self, most: usize) -> Result<usize> {
        // A small set of limits keeps the prepared statements in the cache.
        let most = 1 << most.ilog2();
        let lease = Duration::from_secs(self.settings.lease_seconds);
        let messages = outbox::claim(&self.messages.db, self.channel, most, (self.clock)(), lease).await?;
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
        let claimed = messages.len();
        self.none_due = claimed < most;
        for message in messages {
            let attempt = self.attempt(message.clone(), variants.get(&message.variant_key).cloned());
            let task = self.sending.spawn(attempt.make());
            self.claimed.insert(task.id(), message);
        }
        Ok(claimed)
    }

    /// Creates one attempt, for a separate task.
    fn attempt(&self, message: message::Model, variant: Option<Arc<Compiled>>) -> Attempt {
        Attempt {
            channels: self.channels.clone(),
            channel: self.channel,
            clock: self.clock.clone(),
            breaker: self.breaker.clone(),
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
    fn note(&mut self, ended: Result<(Id, Option<Outcome>), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => (error.id(), None),
            // A panic counts as an attempt, so that retries are limited.
            Err(error) => (error.id(), Some(Failure::from(Reason::Internal).deferred(false))),
        };
        let Some(message) = self.claimed.remove(&id) else {
            return;
        };
        let now = (self.clock)();
        let attempted = outcome.is_some();
        let message = match outcome {
            Some(outcome) => after_attempt(message, outcome, now, &self.settings, &mut rand::rng()),
            None => release(message, now),
        };
        self.unsettled.push(Unsettled { message, attempted });
    }

    /// Stores the recorded outcomes. A failed store is repeated later, while the lease lasts.
    async fn settle(&mut self) -> Result<()> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let messages: Vec<&message::Model> = self.unsettled.iter().map(|unsettled| &unsettled.message).collect();
        let stored = outbox::settle(&self.messages.db, &messages).await?;
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

/// One attempt at sending one message.
struct Attempt {
    channels: Arc<Channels>,
    channel: Channel,
    clock: Clock,
    breaker: Arc<CircuitBreaker>,
    permits: Arc<Semaphore>,
    time_limit: Duration,
    /// Claimed under a lease that ends when the message is due again.
    message: message::Model,
    /// None when it doesn't exist or this server can't read it.
    variant: Option<Arc<Compiled>>,
}

impl Attempt {
    /// Waits for a permit, and sends if the attempt can end and be recorded before the lease ends.
    async fn make(self) -> Option<Outcome> {
        let lease_end = self.message.due_at.unwrap_or_default();
        let _permit = self.permits.acquire().await;
        let now = (self.clock)();
        if self.breaker.is_shut() || now + self.time_limit + TO_SETTLE > lease_end {
            return None;
        }
        // Rendered here, so that memory holds only the texts of messages being sent.
        let outgoing = match outgoing(&self.message, self.variant.as_deref()) {
            Ok(outgoing) => outgoing,
            Err(outcome) => return Some(outcome),
        };
        let outcome = self.channels.send(self.channel, &outgoing, now).await;
        Some(self.breaker.note(&outgoing.key, outcome, (self.clock)()))
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
        recipient: message.recipient.clone(),
        content: content(message, variant).ok_or(Outcome::Refused(failure))?,
    })
}
