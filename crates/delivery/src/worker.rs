//! Sends due messages: any number of workers can run concurrently, in the serving process or in separate ones.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::watch, time::sleep};

use super::{Clock, NotificationSettings, channel::Channels, lane::Lane, retention};
use clientele_core::error::Result;
use clientele_domain::{enums::Channel, notify::Messages};
use clientele_storage::db::Database;

/// The interval of removing old message bodies.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);
/// The pause before a task that panicked is restarted.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);

pub struct Worker {
    messages: Messages,
    settings: Arc<NotificationSettings>,
    clock: Clock,
    lanes: Vec<Lane>,
    channels: Arc<Channels>,
}

impl Worker {
    pub fn new(messages: Messages, channels: Arc<Channels>, settings: Arc<NotificationSettings>, clock: Clock) -> Self {
        let mut worker = Self {
            messages,
            settings,
            clock,
            lanes: Vec::new(),
            channels,
        };
        worker.lanes = Channel::ALL.map(|channel| worker.lane(channel)).into();
        worker
    }

    fn lane(&self, channel: Channel) -> Lane {
        Lane::new(
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
        for lane in &mut self.lanes {
            claimed += lane.step().await?;
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
        let lanes = std::mem::take(&mut self.lanes);
        let worker = &self;
        let lanes = lanes.into_iter().zip(Channel::ALL).map(|(lane, channel)| {
            let stop = stop.clone();
            async move { worker.keep_running(lane, channel, stop, grace).await }
        });
        join_all(lanes).await;
        if retaining.await.is_err() {
            tracing::error!("bodies of sent messages are no longer removed: that part of the worker has panicked");
        }
    }

    async fn keep_running(&self, mut lane: Lane, channel: Channel, stop: watch::Receiver<bool>, grace: Duration) {
        if !self.channels.sends(channel) {
            tracing::info!(channel = channel.as_str(), "messages are logged and not sent");
        }
        loop {
            let until_stopped = stop.clone();
            let running = tokio::spawn(async move { lane.run(until_stopped, grace).await });
            if running.await.is_ok() || *stop.borrow() {
                return;
            }
            tracing::error!(channel = channel.as_str(), "a worker has panicked and begins anew");
            sleep(AFTER_A_PANIC).await;
            lane = self.lane(channel);
        }
    }
}

/// Removes the bodies of messages whose retention has ended.
async fn retain(db: Database, settings: Arc<NotificationSettings>, clock: Clock, mut stop: watch::Receiver<bool>) {
    let keep = Duration::from_secs(u64::from(settings.keep_sent_bodies_days) * 86_400);
    while !*stop.borrow() {
        match retention::remove_bodies(&db, clock() - keep).await {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(removed, "the bodies of sent messages are removed");
                if removed == retention::BATCH {
                    continue;
                }
            }
            Err(error) if db.logs_outage_of(&error) => {}
            Err(error) => tracing::warn!(error = error.kind(), "bodies of sent messages could not be removed"),
        }
        tokio::select! {
            () = sleep(RETENTION_EVERY) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
