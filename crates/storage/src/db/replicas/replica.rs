//! One replica: whether it serves reads, and the task that finds out.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use sea_orm::{DbErr, QueryResult, RuntimeErr, sqlx};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    super::{DatabaseSettings, Pooling, address, lease::Lease, pool::Pool, pooling},
    coalesced::Coalesced,
    primary::{Identity, Position, Primary, one},
};
use clientele_core::{
    error::{Cause, Error, is_lost_statement},
    secret::Secret,
};

/// The longest wait of a read for a replica: until it has the primary's position, or until a connection answers.
///
/// A replica on the same network is behind by one write to its disk and one round trip, 1 to 5 ms. Waiting longer costs
/// the caller more than reading from the primary costs it.
pub(super) const WAIT: Duration = Duration::from_millis(20);
/// The pause between two looks at a replica that isn't at the position yet.
const PAUSE: Duration = Duration::from_millis(1);
/// A replica that has failed all reads for this time, by being too late for them, is left out.
const PATIENCE: Duration = Duration::from_millis(250);
/// A statement that runs for longer may be on a replica that hangs.
const SUSPICIOUS: Duration = Duration::from_millis(100);
/// A replica must answer a check in this time. Otherwise its running statements are given up.
const LIMIT: Duration = Duration::from_millis(250);
/// The same for one whose connections may have to be opened.
pub(super) const LIMIT_OF_OUTAGE: Duration = Duration::from_secs(2);
/// The interval of checks. While a replica is left out, the pause is as long as it has been left out, up to this.
const INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);
/// A replica that is left out for a shorter time, because of a slow disk for example, is no event.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// The timeline of the control file can be behind the replica's, until its next restart point, but never ahead of it.
const CHECK: &str = "SELECT pg_is_in_recovery(), system_identifier::text, \
    to_regclass('definition_version')::oid::bigint, \
    coalesce(has_table_privilege(to_regclass('client'), 'SELECT'), false), \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, \
    greatest(timeline_id, min_recovery_end_timeline)::bigint, \
    (pg_last_wal_replay_lsn() - '0/0')::bigint \
    FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery()";
const REPLAYED: &str = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint";

/// The reason why a replica serves no reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaProblem {
    #[error("it can't be reached: {0}")]
    Unreachable(Cause),
    #[error("it doesn't answer in time")]
    NoAnswer,
    #[error("two connections at the same time get no answer: a pooler in front of it needs at least 2 sessions")]
    NoSessions,
    #[error("it lags behind the primary")]
    Lags,
    #[error("it isn't a standby")]
    NotStandby,
    #[error("it belongs to another cluster")]
    OtherCluster,
    #[error("it follows another timeline than the primary's")]
    OtherTimeline,
    #[error("it has replayed more than the primary has written, which is of an older copy: make it anew")]
    AheadOfPrimary,
    #[error("its address leads to another database or schema than the primary's")]
    OtherTables,
    #[error("its role can't read the tables, or can't call pg_control_system, _checkpoint and _recovery")]
    NoRights,
    #[error("a pooler loses its prepared statements: add statement-cache-capacity=0 to its address")]
    LosesStatements,
    #[error("its statement failed")]
    Failed,
}

impl ReplicaProblem {
    /// Returns true for a problem that ends statements that are running.
    fn ends_statements(self) -> bool {
        !matches!(self, Self::Lags | Self::OtherTimeline)
    }

    /// Returns true for a problem that passes by itself, often after a moment.
    fn is_passing(self) -> bool {
        matches!(self, Self::NoAnswer | Self::Lags | Self::OtherTimeline)
    }

    fn of(error: DbErr) -> Self {
        if let DbErr::Query(RuntimeErr::SqlxError(cause)) = &error
            && let Some(code) = cause.as_database_error().and_then(|error| error.code())
        {
            match &*code {
                // insufficient_privilege
                "42501" => return Self::NoRights,
                code if is_lost_statement(code) => return Self::LosesStatements,
                _ => {}
            }
        }
        match Error::from(error) {
            Error::Unavailable(cause) => Self::Unreachable(cause),
            _ => Self::Failed,
        }
    }
}

/// The result of a check. It is valid until the replica or the primary restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// When the server was started. A server that was restarted may have replayed less than before, and an address may
    /// lead to several servers.
    pub started: i64,
    timeline: i64,
    /// When the primary was started.
    primary_started: i64,
}

impl Verified {
    /// Returns true if the primary is the one that the replica was compared with.
    pub fn is_of(&self, position: Position) -> bool {
        (self.timeline, self.primary_started) == (position.timeline, position.started)
    }
}

struct LeftOut {
    since: Instant,
    logged: Option<ReplicaProblem>,
}

impl LeftOut {
    fn now() -> Self {
        Self {
            since: Instant::now(),
            logged: None,
        }
    }
}

struct State {
    verified: Option<Verified>,
    left_out: Option<LeftOut>,
    /// The time of the first read that was too late for, if none was in time since.
    late_since: Option<Instant>,
}

pub(super) struct Replica {
    /// Its place in the setting, from 1.
    pub number: usize,
    pub host: String,
    url: Secret,
    settings: DatabaseSettings,
    pub served: Counter,
    /// For reads of requests.
    reads: Pool,
    /// For checks, so that they never wait for reads.
    checks: Pool,
    /// Set while connections of `reads` must not be waited for.
    outage: Arc<AtomicBool>,
    state: Mutex<State>,
    /// The position that it had when it was last asked.
    replayed: AtomicI64,
    observed: Coalesced<Option<i64>>,
    /// Notified when running statements must be given up.
    ended: Notify,
    /// Wakes the task that checks.
    suspected: Notify,
}

/// The pools of a replica.
pub(super) struct Pools {
    pub reads: Pool,
    pub checks: Pool,
    /// The outage of `reads`.
    pub outage: Arc<AtomicBool>,
}

impl Replica {
    pub fn new(number: usize, url: &Secret, settings: &DatabaseSettings, pools: Pools) -> Result<Self, sqlx::Error> {
        let Pools { reads, checks, outage } = pools;
        let options = address::postgres(url.reveal())?;
        let asked = checks.clone();
        let observed = Coalesced::new(move || {
            let pool = asked.clone();
            async move { one(&pool, REPLAYED, LIMIT).await.ok()??.try_get_by_index(0).ok() }.boxed()
        });
        Ok(Self {
            number,
            host: format!("{}:{}", options.get_host(), options.get_port()),
            url: url.clone(),
            settings: settings.clone(),
            served: Counter::default(),
            reads,
            checks,
            outage,
            state: Mutex::new(State {
                verified: None,
                left_out: Some(LeftOut::now()),
                late_since: None,
            }),
            replayed: AtomicI64::new(0),
            observed,
            ended: Notify::new(),
            suspected: Notify::new(),
        })
    }

    /// The result of the last check. None while the replica serves no reads.
    pub fn serving(&self) -> Option<Verified> {
        let state = self.state();
        state.verified.filter(|_| state.left_out.is_none())
    }

    /// Returns true if it had this position when it was last asked.
    pub fn had(&self, position: Position) -> bool {
        self.replayed.load(Ordering::Acquire) >= position.bytes
    }

    /// Waits until it has this position. Never returns if it doesn't answer.
    pub async fn reaches(&self, position: Position) {
        while !self.had(position) {
            match self.observed.ask().await.flatten() {
                Some(replayed) => self.replayed.store(replayed, Ordering::Release),
                None => {
                    self.give_up();
                    std::future::pending().await
                }
            }
            if !self.had(position) {
                sleep(PAUSE).await;
            }
        }
    }

    /// As [`Self::reaches`], after another answer.
    async fn reaches_anew(&self, position: Position) {
        self.replayed.store(0, Ordering::Release);
        self.reaches(position).await;
    }

    /// Begins a transaction on a server that was started then and has this position. None if there is none in time.
    ///
    /// The position is compared in the session that reads: a pooler, a restart or a name with several addresses can
    /// change the server behind the address at any time. The statements of the transaction see at least this position,
    /// because each begins after the comparison.
    pub async fn begin(&self, started: i64, position: Position, until: Instant) -> Option<Lease> {
        let pool = self.reads.clone();
        // Opening a connection may take longer than a read waits. Then the next one finds it.
        let acquiring = tokio::spawn(async move { pool.acquire().await });
        let mut lease = match timeout_at(until, acquiring).await {
            Ok(Ok(Ok(lease))) => lease,
            Ok(Ok(Err(error))) => return self.fails(error),
            Ok(Err(_)) => return None,
            Err(_) => {
                self.was_late();
                return None;
            }
        };
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SELECT coalesce(pg_is_in_recovery() \
             AND (pg_last_wal_replay_lsn() - '0/0')::bigint >= {}, false), \
             (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint",
            position.bytes
        );
        let begun = timeout_at(until, lease.begin_with(&sql)).await;
        let row = match begun {
            Ok(Ok(row)) => row?,
            Ok(Err(error)) => return self.fails(error),
            Err(_) => {
                self.was_late();
                return None;
            }
        };
        match row.try_get_many_by_index() {
            Ok((true, found)) if started == found => {
                self.state().late_since = None;
                Some(lease)
            }
            Ok((_, found)) if started == found => {
                self.leave_out();
                None
            }
            Ok::<(bool, i64), _>(_) => {
                self.give_up();
                None
            }
            Err(error) => self.fails(error),
        }
    }

    /// Runs a statement in the transaction that [`Self::begin`] began, and ends it. None if the primary must run it.
    pub async fn run<T, F>(&self, lease: Lease, statement: impl Fn(Lease) -> F) -> Option<T>
    where
        F: Future<Output = (Lease, Result<T, DbErr>)>,
    {
        let ended = self.ended.notified();
        if self.outage.load(Ordering::Acquire) {
            return None;
        }
        let is_hanging = async {
            let mut ended = std::pin::pin!(ended);
            while timeout(SUSPICIOUS, &mut ended).await.is_err() {
                self.suspected.notify_one();
            }
        };
        tokio::select! {
            biased;
            // Dropping the lease ends the transaction, without a wait.
            (_lease, answer) = statement(lease) => match answer {
                Ok(found) => {
                    self.served.inc();
                    Some(found)
                }
                Err(error) => self.fails(error),
            },
            () = is_hanging => None,
        }
    }

    /// Leaves the replica out if the error is about reaching it, or a pooler's. Any other error is the statement's: a
    /// conflict with recovery for example, which the primary doesn't have.
    fn fails<T>(&self, error: DbErr) -> Option<T> {
        match ReplicaProblem::of(error) {
            ReplicaProblem::Unreachable(cause) if cause.is_about_reaching() && cause != Cause::NoFreeConnection => {
                self.give_up();
            }
            ReplicaProblem::LosesStatements => {
                self.state().verified = None;
                self.give_up();
            }
            _ => {}
        }
        None
    }

    /// Records that a read waited for the replica in vain. One such read may be an accident.
    pub fn was_late(&self) {
        let since = *self.state().late_since.get_or_insert_with(Instant::now);
        match since.elapsed() < PATIENCE {
            true => self.suspected.notify_one(),
            false => self.leave_out(),
        }
    }

    /// Sends no reads to the replica until a check finds nothing wrong, which begins at once.
    pub fn leave_out(&self) {
        self.state().left_out.get_or_insert_with(LeftOut::now);
        self.suspected.notify_one();
    }

    /// Does the same, and gives up the statements that are running.
    fn give_up(&self) {
        let is_first = !self.outage.swap(true, Ordering::AcqRel);
        self.leave_out();
        if is_first {
            self.ended.notify_waiters();
        }
    }

    /// Checks the replica again and again.
    pub async fn keep_checking(&self, primary: &Primary) {
        loop {
            let limit = match self.outage.load(Ordering::Acquire) {
                false => LIMIT,
                true => LIMIT_OF_OUTAGE,
            };
            // Without the primary, all reads fail, and nothing can be said about the replica.
            if let Some(checked) = self.check(primary, limit).await {
                self.checked(checked).await;
            }
            let pause = match &self.state().left_out {
                Some(left_out) => left_out.since.elapsed().clamp(SHORTEST_INTERVAL, INTERVAL),
                None => INTERVAL,
            };
            let waiting = self.suspected.notified();
            match self.serving() {
                Some(_) => drop(timeout(pause, waiting).await),
                None => sleep(pause).await,
            }
        }
    }

    /// Compares the replica with the primary. None if the primary doesn't answer.
    pub async fn check(&self, primary: &Primary, limit: Duration) -> Option<Result<Verified, ReplicaProblem>> {
        let identity = primary.identity().await?;
        let position = primary.position().await?;
        let row = match one(&self.checks, CHECK, limit).await {
            Ok(Some(row)) => row,
            Ok(None) => return Some(Err(ReplicaProblem::NoAnswer)),
            Err(error) => return Some(Err(ReplicaProblem::of(error))),
        };
        let verified = match self.compare(&row, &identity, position) {
            Ok(verified) => verified,
            Err(problem) => return Some(Err(problem)),
        };
        // The primary has written everything before a replica gets it.
        let replayed = self.replayed.load(Ordering::Acquire);
        if replayed > position.bytes && replayed > primary.position().await?.bytes {
            return Some(Err(ReplicaProblem::AheadOfPrimary));
        }
        if self.serving().is_some() {
            return Some(Ok(verified));
        }
        // As for a read.
        if timeout(WAIT, self.reaches_anew(position)).await.is_err() {
            return Some(Err(ReplicaProblem::Lags));
        }
        let is_known = self.state().verified == Some(verified);
        Some(match is_known {
            true => Ok(verified),
            false => self.check_pooler(limit).await.map(|()| verified),
        })
    }

    /// Fails if a pooler loses prepared statements: reads would fail, or run another connection's statement.
    async fn check_pooler(&self, limit: Duration) -> Result<(), ReplicaProblem> {
        match timeout(limit, pooling(self.url.reveal(), &self.settings)).await {
            Ok(Ok(Pooling::UnpreparedTransactions)) => Err(ReplicaProblem::LosesStatements),
            Ok(Ok(Pooling::Sessions | Pooling::Transactions)) => Ok(()),
            Ok(Err(error)) => Err(ReplicaProblem::of(DbErr::Conn(RuntimeErr::SqlxError(error.into())))),
            Err(_) => Err(ReplicaProblem::NoSessions),
        }
    }

    fn compare(&self, row: &QueryResult, of_primary: &Identity, at: Position) -> Result<Verified, ReplicaProblem> {
        let read = row.try_get_many_by_index();
        let (is_standby, cluster, tables, can_read, started, timeline, replayed): (bool, String, _, bool, _, _, _) =
            read.map_err(|_| ReplicaProblem::Failed)?;
        let replayed: Option<i64> = replayed;
        let identity = Identity { cluster, tables };
        self.replayed.store(replayed.unwrap_or_default(), Ordering::Release);
        if identity.cluster != of_primary.cluster {
            Err(ReplicaProblem::OtherCluster)
        } else if !is_standby {
            Err(ReplicaProblem::NotStandby)
        } else if timeline != at.timeline {
            Err(ReplicaProblem::OtherTimeline)
        } else if identity.tables.is_none() && replayed < Some(at.bytes) {
            // The tables may have just been created.
            Err(ReplicaProblem::Lags)
        } else if identity.tables.is_none() || identity != *of_primary {
            Err(ReplicaProblem::OtherTables)
        } else if !can_read {
            Err(ReplicaProblem::NoRights)
        } else {
            Ok(Verified {
                started,
                timeline,
                primary_started: at.started,
            })
        }
    }

    async fn checked(&self, checked: Result<Verified, ReplicaProblem>) {
        match checked {
            Ok(verified) => {
                let is_other = self.state().verified.is_none_or(|known| known != verified);
                if is_other {
                    // Those of before a restart are dead, and each would be found out by a read.
                    self.reads.close_idle().await;
                }
                self.serve(verified);
            }
            Err(problem) => {
                match problem.ends_statements() {
                    true => self.give_up(),
                    false => self.leave_out(),
                }
                self.note(problem);
            }
        }
    }

    fn serve(&self, verified: Verified) {
        let mut state = self.state();
        self.outage.store(false, Ordering::Release);
        let is_first = state.verified.replace(verified).is_none();
        if state.left_out.is_some() {
            state.late_since = None;
        }
        if let Some(left_out) = state.left_out.take()
            && (left_out.logged.is_some() || is_first)
        {
            let (replica, host) = (self.number, &*self.host);
            let seconds = left_out.since.elapsed().as_secs();
            tracing::info!(replica, host, seconds, "a replica serves reads");
        }
    }

    /// Records why the replica is still left out. Logs each reason once.
    fn note(&self, problem: ReplicaProblem) {
        let mut state = self.state();
        let Some(left_out) = &mut state.left_out else { return };
        let is_early = problem.is_passing() && left_out.since.elapsed() < NOTEWORTHY;
        if left_out.logged == Some(problem) || is_early {
            return;
        }
        left_out.logged = Some(problem);
        let (replica, host) = (self.number, &*self.host);
        tracing::warn!(replica, host, %problem, "a replica is left out: reads go to others or to the primary");
    }

    pub async fn close(&self) {
        tokio::join!(self.reads.close(), self.checks.close());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
