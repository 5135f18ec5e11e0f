//! Sends due messages: any number of workers can run concurrently, in the serving process or in separate ones.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::watch, time::sleep};

use super::{Clock, NotificationSettings, channel::Channels, channel_worker::ChannelWorker, outbox};
use clientele_core::error::Result;
use clientele_domain::{
    enums::Channel,
    notify::{Messages, receipt::remove_early_receipts},
};
use clientele_storage::db::Database;

/// The interval of removing old message bodies.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(3_600);
/// The time for which a receipt of an unknown message is kept.
const EARLY_RECEIPTS: Duration = Duration::from_secs(24 * 3_600);
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

/// Removes messages, and the bodies of messages, whose retention has ended, and the receipts of messages of other
/// systems.
async fn retain(db: Database, settings: Arc<NotificationSettings>, clock: Clock, mut stop: watch::Receiver<bool>) {
    let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
    while !*stop.borrow() {
        let now = clock();
        let removed = async {
            let bodies = outbox::remove_bodies(&db, now - days(settings.keep_sent_bodies_days)).await?;
            let messages = match settings.keep_messages_days {
                0 => 0,
                keep => outbox::remove_messages(&db, now - days(keep)).await?,
            };
            Ok((bodies, messages))
        };
        match removed.await {
            Ok((0, 0)) => {}
            Ok((bodies, messages)) => {
                tracing::info!(
                    bodies,
                    messages,
                    "bodies of sent messages, and old messages, are removed"
                );
                if bodies.max(messages) == outbox::BATCH {
                    continue;
                }
            }
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(error = error.kind(), "old messages and bodies could not be removed"),
        }
        match remove_early_receipts(&db, clock() - EARLY_RECEIPTS).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "receipts of unknown messages are removed"),
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(
                error = error.kind(),
                "receipts of unknown messages could not be removed"
            ),
        }
        tokio::select! {
            () = sleep(REMOVAL_INTERVAL) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
