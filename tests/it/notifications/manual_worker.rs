//! A worker that tests run step by step, with a clock that they set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use clientele::delivery::{Clock, NotificationSettings, Worker, channel::Channels};

use crate::harness::{
    TestServer,
    peers::{GatewayPeer, SmtpPeer},
};

/// A worker on a server's database, and its clock.
pub struct Hand {
    worker: Worker,
    clock: Arc<AtomicI64>,
}

/// The settings of a worker that sends to these peers.
pub fn settings(mail: &SmtpPeer) -> NotificationSettings {
    NotificationSettings {
        email: mail.settings(),
        ..NotificationSettings::default()
    }
}

pub fn sms_settings(gateway: &GatewayPeer) -> NotificationSettings {
    NotificationSettings {
        sms: gateway.settings(),
        ..NotificationSettings::default()
    }
}

impl Hand {
    pub fn new(server: &TestServer, settings: NotificationSettings) -> Self {
        Self::with_timeout(server, settings, None)
    }

    /// A worker whose attempts may take this long.
    pub fn with_timeout(server: &TestServer, settings: NotificationSettings, timeout: Option<Duration>) -> Self {
        // One minute ahead: everything queued through an API is due.
        let start = DateTime::<Utc>::from(SystemTime::now() + Duration::from_secs(60));
        let clock = Arc::new(AtomicI64::new(start.timestamp_micros()));
        let mut channels = Channels::new(&settings).expect("the settings are sound");
        if let Some(timeout) = timeout {
            channels = channels.with_timeout(timeout);
        }
        let shared = clock.clone();
        let read: Clock = Arc::new(move || at(shared.load(Relaxed)));
        let worker = Worker::new(
            server.services.messages.clone(),
            Arc::new(channels),
            Arc::new(settings),
            read,
        );
        Self { worker, clock }
    }

    /// A worker with the machine's clock, to be run.
    pub fn with_system_clock(server: &TestServer, settings: NotificationSettings) -> Worker {
        let channels = Channels::new(&settings).expect("the settings are sound");
        Worker::new(
            server.services.messages.clone(),
            Arc::new(channels),
            Arc::new(settings),
            Arc::new(|| SystemTime::now().into()),
        )
    }

    pub fn now(&self) -> DateTime<Utc> {
        at(self.clock.load(Relaxed))
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Relaxed);
    }

    /// Lets time pass until `instant`.
    pub fn wait_until(&self, instant: DateTime<Utc>) {
        assert!(instant >= self.now(), "the clock isn't set back");
        self.clock.store(instant.timestamp_micros(), Relaxed);
    }

    /// Claims the due messages once and waits for them. Returns their number.
    pub async fn step(&mut self) -> usize {
        self.worker.step().await.expect("the database answers")
    }

    /// Steps until nothing is due.
    pub async fn finish(&mut self) {
        while self.step().await > 0 {}
    }

    /// Removes everything whose retention has ended.
    pub async fn remove_expired(&self) {
        self.worker.remove_expired().await.expect("the database answers");
    }

    /// The clock, for changing the time while the worker works.
    pub fn clock(&self) -> HandClock {
        HandClock(self.clock.clone())
    }

    pub fn into_worker(self) -> Worker {
        self.worker
    }
}

pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub fn set(&self, instant: DateTime<Utc>) {
        self.0.store(instant.timestamp_micros(), Relaxed);
    }
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("an instant of this century")
}
