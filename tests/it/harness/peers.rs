//! The providers of the channels: a mail server and an SMS gateway on loopback that fail on request. And a collector of
//! telemetry.
//!
//! ```ignore
//! let peer = SmtpPeer::start(Mailing::Accept).await;
//! let channels = Channels::new(&NotificationSettings { email: peer.settings(), ..Default::default() })?;
//! peer.once([Mailing::Answer(Stage::Recipient, "451 later")]);   // the next message; then as before
//! let first = peer.message(0).await;                             // waits for it
//! ```

mod certificate;
pub mod collector;
mod gateway;
mod smtp;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub use certificate::Certificate;
pub use collector::{Collecting, CollectorPeer};
pub use gateway::{Answering, GatewayPeer, Submitted};
pub use smtp::{Mailed, Mailing, Security, SmtpOptions, SmtpPeer, Stage};

/// A test that waits longer than this for a message fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A peer's behaviour from now on, and the single behaviours before it.
#[derive(Debug)]
struct Script<B> {
    once: VecDeque<B>,
    always: B,
}

/// The received messages in order, and the behaviour of a peer.
#[derive(Debug)]
struct Book<B, R> {
    script: Mutex<Script<B>>,
    received: Mutex<Vec<R>>,
    /// The times at which they were received.
    arrivals: Mutex<Vec<SystemTime>>,
    count: watch::Sender<usize>,
    connections: watch::Sender<usize>,
    /// Set when every open connection must end.
    hang_ups: watch::Sender<u64>,
}

impl<B: Clone, R: Clone> Book<B, R> {
    fn new(behaviour: B) -> Self {
        Self {
            script: Mutex::new(Script {
                once: VecDeque::new(),
                always: behaviour,
            }),
            received: Mutex::default(),
            arrivals: Mutex::default(),
            count: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            hang_ups: watch::Sender::new(0),
        }
    }

    fn set(&self, behaviour: B) {
        let mut script = locked(&self.script);
        script.once.clear();
        script.always = behaviour;
    }

    fn once(&self, behaviours: impl IntoIterator<Item = B>) {
        locked(&self.script).once.extend(behaviours);
    }

    /// The next behaviour if `fits` accepts it; None otherwise.
    fn next(&self, fits: impl Fn(&B) -> bool) -> Option<B> {
        let mut script = locked(&self.script);
        let next = script.once.front().unwrap_or(&script.always);
        if !fits(next) {
            return None;
        }
        Some(script.once.pop_front().unwrap_or_else(|| script.always.clone()))
    }

    fn record(&self, received: R) {
        let mut all = locked(&self.received);
        locked(&self.arrivals).push(SystemTime::now());
        all.push(received);
        self.count.send_replace(all.len());
    }

    fn all(&self) -> Vec<R> {
        locked(&self.received).clone()
    }

    async fn nth(&self, index: usize) -> R {
        let mut count = self.count.subscribe();
        // The lock must not be held while waiting: recording a message needs it.
        let arrived = tokio::time::timeout(PATIENCE, count.wait_for(|&count| count > index))
            .await
            .is_ok();
        assert!(arrived, "message {index} has not arrived within {PATIENCE:?}");
        locked(&self.received)[index].clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
