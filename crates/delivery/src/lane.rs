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
    attempt::{Attempt, Attempted, defect},
    breaker::{Admission, Patience},
    channel::Channels,
    gate::Gate,
    outbox,
    verdict::{Perseverance, judge, release},
};
use clientele_core::error::Result;
use clientele_domain::{
    enums::Channel,
    notify::{Messages, render::Compiled},
};

/// Messages claimed ahead, as a multiple of the attempts under way, so that claiming doesn't delay sending.
const CLAIMED_AHEAD: usize = 4;
pub(super) struct Lane {
    messages: Messages,
    channels: Arc<Channels>,
    settings: Arc<NotificationSettings>,
    channel: Channel,
    clock: Clock,
    gate: Arc<Gate>,
    slots: Arc<Semaphore>,
    sending: JoinSet<Attempted>,
    in_hand: HashMap<Id, message::Model>,
    unsettled: Vec<Settled>,
    /// The last claim returned all due messages.
    dry: bool,
}

/// A message with the state to store.
enum Settled {
    /// As before it was claimed.
    Released(message::Model),
    Judged(message::Model),
}

impl Settled {
    fn message(&self) -> &message::Model {
        match self {
            Self::Released(message) | Self::Judged(message) => message,
        }
    }
}

impl Lane {
    pub(super) fn new(
        messages: Messages,
        channels: Arc<Channels>,
        settings: Arc<NotificationSettings>,
        channel: Channel,
        clock: Clock,
    ) -> Self {
        let patience = Patience {
            failures: settings.breaker_failures,
            pause: Duration::from_secs(settings.breaker_pause_seconds),
            longest_pause: Duration::from_secs(settings.breaker_longest_pause_seconds),
        };
        Self {
            slots: Arc::new(Semaphore::new(settings.concurrency as usize)),
            gate: Arc::new(Gate::new(messages.metrics.clone(), channel, patience)),
            messages,
            channels,
            settings,
            channel,
            clock,
            sending: JoinSet::new(),
            in_hand: HashMap::new(),
            unsettled: Vec::new(),
            dry: false,
        }
    }

    /// Sends until `stop`, then finishes the attempts under way for at most `grace` and releases the rest.
    pub(super) async fn run(&mut self, mut stop: watch::Receiver<bool>, grace: Duration) {
        let mut look = interval(Duration::from_secs(self.settings.poll_seconds));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            if let Err(error) = self.advance().await {
                let channel = self.channel.as_str();
                match self.messages.db.logs_outage_of(&error) {
                    true => tracing::debug!(channel, error = error.kind(), "the outbox can't be reached"),
                    false => tracing::warn!(channel, error = error.kind(), "the outbox can't be reached"),
                }
                self.dry = true;
            }
            tokio::select! {
                Some(ended) = self.sending.join_next_with_id() => self.note(ended),
                () = self.messages.outbox.received(self.channel) => self.dry = false,
                _ = look.tick() => self.dry = false,
                // A dropped sender counts as a stop.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        self.gate.shut();
        if !matches!(timeout(grace, self.drain()).await, Ok(Ok(()))) {
            tracing::warn!(
                channel = self.channel.as_str(),
                messages = self.in_hand.len(),
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
        self.dry = false;
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
        if self.dry {
            return Ok(0);
        }
        let capacity = self.settings.concurrency as usize * CLAIMED_AHEAD;
        let room = capacity - self.sending.len().min(capacity);
        let most = match self.gate.admits((self.clock)(), self.sending.len()) {
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
                let released = messages
                    .into_iter()
                    .map(|message| Settled::Released(release(message, now)));
                self.unsettled.extend(released);
                return Err(error);
            }
        };
        let claimed = messages.len();
        self.dry = claimed < most;
        for message in messages {
            let attempt = self.attempt(message.clone(), variants.get(&message.variant_key).cloned());
            let task = self.sending.spawn(attempt.make());
            self.in_hand.insert(task.id(), message);
        }
        Ok(claimed)
    }

    /// Creates one attempt, for a separate task.
    fn attempt(&self, message: message::Model, variant: Option<Arc<Compiled>>) -> Attempt {
        Attempt {
            channels: self.channels.clone(),
            channel: self.channel,
            clock: self.clock.clone(),
            gate: self.gate.clone(),
            slots: self.slots.clone(),
            longest: Duration::from_secs(self.settings.timeout_seconds(self.channel)),
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
    fn note(&mut self, ended: Result<(Id, Attempted), JoinError>) {
        let (id, attempted) = match ended {
            Ok((id, attempted)) => (id, attempted),
            Err(error) if error.is_cancelled() => (error.id(), Attempted::Released),
            Err(error) => (error.id(), Attempted::Ended(defect())),
        };
        let Some(message) = self.in_hand.remove(&id) else {
            return;
        };
        let now = (self.clock)();
        let outcome = match attempted {
            Attempted::Released => return self.unsettled.push(Settled::Released(release(message, now))),
            Attempted::Ended(outcome) => outcome,
        };
        let perseverance = Perseverance {
            attempts: self.settings.attempts,
            max_age: Duration::from_secs(u64::from(self.settings.max_age_hours) * 3600),
            backoff_base: Duration::from_secs(self.settings.backoff_base_seconds),
            backoff_longest: Duration::from_secs(self.settings.backoff_longest_seconds),
        };
        let settled = judge(message, outcome, now, &perseverance, &mut rand::rng());
        self.unsettled.push(Settled::Judged(settled));
    }

    /// Stores the recorded outcomes. A failed store is repeated later, while the lease lasts.
    async fn settle(&mut self) -> Result<()> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let messages: Vec<&message::Model> = self.unsettled.iter().map(Settled::message).collect();
        let stored = outbox::settle(&self.messages.db, &messages).await?;
        let lost = messages.len() - stored.len();
        if lost > 0 {
            tracing::warn!(
                channel = self.channel.as_str(),
                lost,
                "leases ended before their messages were settled"
            );
        }
        for settled in self.unsettled.drain(..) {
            if let Settled::Judged(message) = settled
                && stored.contains(&message.encoded_key)
            {
                self.messages.metrics.settled(self.channel, &message);
            }
        }
        Ok(())
    }
}
