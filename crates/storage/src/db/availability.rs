//! Tracks whether the database can be reached and written to.
//!
//! A failure starts a task that probes the database until it answers again. During an outage, requests are refused at
//! once instead of waiting for a connection. The log has one line when an outage begins and one when it ends.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::probe::{Access, Probe};
use clientele_core::error::{Cause, Error, Result};

/// The pause between two probes during an outage is as long as the outage has lasted, within these bounds: a restart of
/// PostgreSQL takes less than a second.
const SHORTEST_PROBE_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause between two write probes. A probe writes little: on a nearly full disk it may succeed while
/// requests keep failing, so that the state would change every second.
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Writes count as available again once none has failed for this long.
const RECOVERED: Duration = Duration::from_secs(10);
/// A request that waits longer than this may be the first to notice an outage.
const SUSPICIOUS_WAIT: Duration = Duration::from_secs(1);
/// The minimum time between two probes that found nothing wrong.
const QUIET: Duration = Duration::from_secs(5);

/// The state of the database, as last observed.
pub(super) struct Availability {
    probe: Probe,
    /// Set while the database is known to be unreachable.
    unreachable: Arc<AtomicBool>,
    unwritable: AtomicBool,
    /// Notified when the database becomes unreachable.
    outage_began: Notify,
    state: Mutex<State>,
    /// Held during a probe.
    probed: tokio::sync::Mutex<()>,
}

struct State {
    unreachable: Option<Outage>,
    unwritable: Option<Outage>,
    write_probe_interval: Duration,
    writable_since: Instant,
    write_failed: Instant,
    probing: bool,
    last_probe: Option<Instant>,
}

struct Outage {
    since: Instant,
    error: Error,
}

impl Outage {
    fn new(error: Error) -> Self {
        Self {
            since: Instant::now(),
            error,
        }
    }
}

impl Availability {
    pub fn new(probe: Probe, unreachable: Arc<AtomicBool>) -> Self {
        Self {
            probe,
            unreachable,
            unwritable: AtomicBool::new(false),
            outage_began: Notify::new(),
            state: Mutex::new(State {
                unreachable: None,
                unwritable: None,
                write_probe_interval: PROBE_INTERVAL,
                writable_since: Instant::now(),
                write_failed: Instant::now(),
                probing: false,
                last_probe: None,
            }),
            probed: tokio::sync::Mutex::default(),
        }
    }

    /// Fails with the error that began the outage, if there is one.
    pub fn check(&self) -> Result<()> {
        let state = self.state();
        let outage = state.unreachable.as_ref().or(state.unwritable.as_ref());
        outage.map_or(Ok(()), |outage| Err(outage.error.clone()))
    }

    /// Returns true when the database is known to answer and to refuse changes.
    pub fn accepts_no_changes(&self) -> bool {
        let state = self.state();
        state.unreachable.is_none() && state.unwritable.is_some()
    }

    /// Waits for `operation`, unless the database is known to be unreachable or becomes so meanwhile. Reports its
    /// error.
    pub async fn during<T, E>(
        self: &Arc<Self>,
        access: Access,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: Clone + From<Error>,
        Error: From<E>,
    {
        let outage_began = self.outage_began.notified();
        if self.unreachable.load(Ordering::Acquire) {
            return Err(Error::Unavailable(Cause::Outage).into());
        }
        let outage = async {
            let mut outage_began = pin!(outage_began);
            while timeout(SUSPICIOUS_WAIT, &mut outage_began).await.is_err() {
                self.start_probing();
            }
        };
        tokio::select! {
            biased;
            result = operation => result.inspect_err(|error| self.report(access, &error.clone().into())),
            () = outage => Err(Error::Unavailable(Cause::Outage).into()),
        }
    }

    /// Records an error that may be the sign of an outage.
    pub fn report(self: &Arc<Self>, access: Access, error: &Error) {
        match error {
            Error::Unavailable(Cause::Closed | Cause::Outage | Cause::SharedRead | Cause::HashingQueue) => {}
            Error::Unavailable(cause) if access == Access::Write && cannot_store(*cause) => self.writing_failed(error),
            Error::ReadOnly => self.writing_failed(error),
            Error::Unavailable(_) => self.start_probing(),
            _ => {}
        }
    }

    fn writing_failed(self: &Arc<Self>, error: &Error) {
        {
            let mut state = self.state();
            state.write_failed = Instant::now();
            if state.unwritable.is_some() {
                return;
            }
            state.write_probe_interval = match state.writable_since.elapsed() < LONGEST_PROBE_INTERVAL {
                true => (state.write_probe_interval * 2).min(LONGEST_PROBE_INTERVAL),
                false => PROBE_INTERVAL,
            };
            state.unwritable = Some(Outage::new(error.clone()));
            self.unwritable.store(true, Ordering::Release);
        }
        tracing::warn!(cause = cause(error), "the database accepts no changes");
        self.start_probing();
    }

    /// Starts the probing task, unless it runs or has just found nothing wrong.
    fn start_probing(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut state = self.state();
        let just_probed = state.last_probe.is_some_and(|probed| probed.elapsed() < QUIET);
        if state.probing || (just_probed && state.unwritable.is_none()) {
            return;
        }
        state.probing = true;
        let this = self.clone();
        runtime.spawn(async move { this.probe_until_available().await });
    }

    async fn probe_until_available(&self) {
        loop {
            let mut reached = self.probe(Access::Read).await;
            if let Err(error) = &reached
                && !matches!(error, Error::Unavailable(Cause::Io(io::ErrorKind::TimedOut)))
            {
                // A single failure may be an accident.
                reached = self.probe(Access::Read).await;
            }
            let Some(pause) = self.reached(reached) else { return };
            sleep(pause).await;
            if self.state().unreachable.is_none() && self.probe(Access::Write).await.is_ok() {
                self.written();
            }
        }
    }

    async fn probe(&self, access: Access) -> Result<()> {
        let _probed = self.probed.lock().await;
        self.probe.run(access).await
    }

    /// Waits until no probe has a connection. After the pools are closed, probes get no new one.
    pub async fn probe_ended(&self) {
        let _probed = self.probed.lock().await;
    }

    /// Records the result of a probe. Returns the pause until the next one, if another one is needed.
    fn reached(&self, probed: Result<()>) -> Option<Duration> {
        let mut state = self.state();
        state.last_probe = Some(Instant::now());
        let closed = matches!(probed, Err(Error::Unavailable(Cause::Closed)));
        match (probed, state.unreachable.take()) {
            (Err(error), None) if !closed => {
                tracing::warn!(
                    cause = cause(&error),
                    "the database can't be reached: requests are refused until it answers"
                );
                state.unreachable = Some(Outage::new(error));
                self.unreachable.store(true, Ordering::Release);
                self.outage_began.notify_waiters();
            }
            (Ok(()), Some(outage)) => {
                let seconds = outage.since.elapsed().as_secs();
                tracing::info!(seconds, "the database answers again");
                self.unreachable.store(false, Ordering::Release);
            }
            (_, outage) => state.unreachable = outage,
        }
        let pause = match (&state.unreachable, &state.unwritable) {
            (Some(outage), _) => Some(outage.since.elapsed().clamp(SHORTEST_PROBE_INTERVAL, PROBE_INTERVAL)),
            (None, Some(_)) => Some(state.write_probe_interval),
            (None, None) => None,
        };
        let pause = pause.filter(|_| !closed);
        state.probing = pause.is_some();
        pause
    }

    /// Records a successful COMMIT.
    pub fn committed(&self) {
        if self.unwritable.load(Ordering::Acquire) && self.state().write_failed.elapsed() > RECOVERED {
            self.written();
        }
    }

    fn written(&self) {
        let mut state = self.state();
        self.unwritable.store(false, Ordering::Release);
        if let Some(outage) = state.unwritable.take() {
            let seconds = outage.since.elapsed().as_secs();
            tracing::info!(seconds, "the database accepts changes again");
            state.writable_since = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cause of an outage, for the log.
fn cause(error: &Error) -> String {
    match error {
        Error::Unavailable(cause) => cause.to_string(),
        error => error.kind(),
    }
}

/// Returns true when the database answers but can't store anything.
fn cannot_store(cause: Cause) -> bool {
    match cause {
        Cause::Sqlite(_) | Cause::FileGone => true,
        // `too_many_connections` is about a new connection.
        Cause::Postgres(state) => {
            let classes = [&b"53"[..], b"58", b"XX"];
            classes.iter().any(|class| state.starts_with(class)) && state != *b"53300"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use tokio::time::advance;

    use super::{Availability, Cause, Error, Probe};
    use crate::db::{DatabaseSettings, pool::Pool, settings::Purpose};

    #[tokio::test(start_paused = true)]
    async fn pause_between_probes_is_as_long_as_the_outage_has_lasted() {
        let url = "postgres://never.invalid/bank";
        let pool = Pool::new(
            url,
            &DatabaseSettings::default(),
            Purpose::Reading,
            None,
            &Arc::default(),
        );
        let pool = pool.expect("an address");
        let probe = Probe {
            reader: pool.clone(),
            writer: pool,
            file: None,
            time_limit: Duration::ZERO,
        };
        let availability = Availability::new(probe, Arc::default());
        let refused = || Err(Error::Unavailable(Cause::Io(io::ErrorKind::ConnectionRefused)));
        let milliseconds = Duration::from_millis;
        for _ in 0..2 {
            // The time that passes before each probe, and the pause after it.
            for (passed, pause) in [(0, 50), (50, 50), (1, 51), (949, 1_000), (1, 1_000), (60_000, 1_000)] {
                advance(milliseconds(passed)).await;
                assert_eq!(availability.reached(refused()), Some(milliseconds(pause)));
            }
            assert_eq!(availability.reached(Ok(())), None);
        }
    }
}
