//! Sends due messages: any number of workers can run concurrently, in the serving process or in separate ones.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::{sync::watch, time::sleep};

use super::{
    Clock, NotificationSettings, channel::Channels, channel_worker::ChannelWorker, outbox, settings::QuietHoursSettings,
};
use clientele_core::error::Result;
use clientele_domain::{
    enums::Channel,
    message_guard::forget_counted,
    notify::{
        Messages,
        receipt::{remove_early_receipts, remove_provider_ids},
    },
};
use clientele_storage::db::{Database, REMOVAL_BATCH};

/// The interval of removals.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(3_600);
/// The time for which a receipt of an unknown message is kept.
const EARLY_RECEIPTS: Duration = Duration::from_secs(24 * 3_600);
/// The time for which the recipients and callers of messages are kept for limits: a day, and time for slow changes.
const COUNTED_MESSAGES: Duration = Duration::from_secs(25 * 3_600);
/// The pause before a task that panicked is restarted.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

pub struct Worker {
    messages: Messages,
    settings: Arc<NotificationSettings>,
    clock: Clock,
    channel_workers: Vec<ChannelWorker>,
    channels: Arc<Channels>,
}

impl Worker {
    pub fn new(messages: Messages, channels: Arc<Channels>, settings: Arc<NotificationSettings>, clock: Clock) -> Self {
        let mut worker = Self {
            messages,
            settings,
            clock,
            channel_workers: Vec::new(),
            channels,
        };
        worker.channel_workers = Channel::ALL.map(|channel| worker.channel_worker(channel)).into();
        worker
    }

    fn channel_worker(&self, channel: Channel) -> ChannelWorker {
        ChannelWorker::new(
            self.messages.clone(),
            self.channels.clone(),
            self.settings.clone(),
            channel,
            self.clock.clone(),
        )
    }

    /// Claims once on every channel and waits until all claims are settled. Returns the number of messages.
    pub async fn step(&mut self) -> Result<usize> {
        let mut claimed = 0;
        for channel_worker in &mut self.channel_workers {
            claimed += channel_worker.step().await?;
        }
        Ok(claimed)
    }

    /// Removes everything whose retention has ended, as [`run`](Self::run) does every hour.
    pub async fn remove_expired(&self) -> Result<()> {
        let (_running, stop) = watch::channel(false);
        remove(&self.messages.db, &self.settings, (self.clock)(), &stop).await
    }

    /// Sends until `stop` is true, then finishes the attempts under way for at most `grace` and releases the rest.
    pub async fn run(mut self, stop: watch::Receiver<bool>, grace: Duration) {
        let retaining = tokio::spawn(retain(
            self.messages.db.clone(),
            self.settings.clone(),
            self.clock.clone(),
            stop.clone(),
        ));
        let channel_workers = std::mem::take(&mut self.channel_workers).into_iter().zip(Channel::ALL);
        join_all(
            channel_workers
                .map(|(channel_worker, channel)| self.keep_running(channel_worker, channel, stop.clone(), grace)),
        )
        .await;
        if retaining.await.is_err() {
            tracing::error!("bodies of sent messages are no longer removed: that part of the worker has panicked");
        }
    }

    async fn keep_running(
        &self,
        mut channel_worker: ChannelWorker,
        channel: Channel,
        stop: watch::Receiver<bool>,
        grace: Duration,
    ) {
        if !self.channels.sends(channel) {
            tracing::info!(channel = channel.as_str(), "messages are logged and not sent");
        }
        let QuietHoursSettings { from, to, zone } = &self.settings.sms.quiet_hours;
        if channel == Channel::Sms && !from.is_empty() {
            tracing::info!(channel = channel.as_str(), from, to, zone, "quiet hours are set");
        }
        loop {
            let until_stopped = stop.clone();
            let running = tokio::spawn(async move { channel_worker.run(until_stopped, grace).await });
            if running.await.is_ok() || *stop.borrow() {
                return;
            }
            tracing::error!(channel = channel.as_str(), "a worker has panicked and begins anew");
            sleep(RESTART_PAUSE).await;
            channel_worker = self.channel_worker(channel);
        }
    }
}

/// Removes what is kept for a time only, at the start and every hour.
async fn retain(db: Database, settings: Arc<NotificationSettings>, clock: Clock, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match remove(&db, &settings, clock(), &stop).await {
            Ok(()) => {}
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(error = error.kind(), "old messages and bodies could not be removed"),
        }
        tokio::select! {
            () = sleep(REMOVAL_INTERVAL) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// Removes messages, and the bodies of messages, whose retention has ended, the receipts of messages of other systems,
/// and the recipients of messages that limits no longer count.
async fn remove(
    db: &Database,
    settings: &NotificationSettings,
    now: DateTime<Utc>,
    stop: &watch::Receiver<bool>,
) -> Result<()> {
    let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
    let body_end = now - days(settings.keep_sent_bodies_days);
    let bodies = in_batches(stop, || outbox::remove_bodies(db, body_end)).await?
        + in_batches(stop, || outbox::remove_suppressed_bodies(db, body_end)).await?;
    let messages = match settings.keep_messages_days {
        0 => 0,
        keep => {
            let end = now - days(keep);
            let messages = in_batches(stop, || outbox::remove_messages(db, end)).await?;
            // An id is recorded after its message was created.
            in_batches(stop, || remove_provider_ids(db, end)).await?;
            messages
        }
    };
    if bodies + messages > 0 {
        tracing::info!(
            bodies,
            messages,
            "bodies of sent messages, and old messages, are removed"
        );
    }
    let receipts = in_batches(stop, || remove_early_receipts(db, now - EARLY_RECEIPTS)).await?;
    if receipts > 0 {
        tracing::info!(removed = receipts, "receipts of unknown messages are removed");
    }
    let counted = in_batches(stop, || forget_counted(db, now - COUNTED_MESSAGES)).await?;
    tracing::debug!(counted, "messages no longer count for limits");
    Ok(())
}

/// Removes batch by batch, until one isn't full or the worker stops. Returns the number of removed rows.
async fn in_batches<F: Future<Output = Result<u64>>>(
    stop: &watch::Receiver<bool>,
    remove: impl Fn() -> F,
) -> Result<u64> {
    let mut removed = 0;
    loop {
        let batch = remove().await?;
        removed += batch;
        if batch < REMOVAL_BATCH || *stop.borrow() {
            return Ok(removed);
        }
    }
}
