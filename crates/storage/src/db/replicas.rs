//! Reads on streaming replicas of PostgreSQL that are as fresh as reads on the primary.
//!
//! Before a request reads from a replica, the primary is asked for its position in the write-ahead log, once for all
//! requests that wait at the moment. A replica that has replayed this position has everything that was acknowledged
//! before the request began, by whichever server. If none gets there in time, the request reads from the primary.

mod coalesced;
mod primary;
mod replica;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{join, join_all, select_all},
};
use prometheus_client::metrics::counter::Counter;
use sea_orm::{DbErr, sqlx};
use tokio::{
    sync::OnceCell,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

pub use self::replica::ReplicaProblem;
use self::{
    primary::{Position, Primary},
    replica::{Pools, Replica, WAIT},
};
use super::{DatabaseSettings, lease::Lease, metrics::Metrics, pool::Pool, settings::Purpose};
use clientele_core::budget::{Priority, RequestBudget};

/// The connections for checks of a replica. A check must not wait for a connection on which another one hangs.
const CHECK_CONNECTIONS: u32 = 2;
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The replicas of a primary.
pub(super) struct Replicas {
    replicas: Vec<Arc<Replica>>,
    primary: Arc<Primary>,
    /// The turn of the replicas that are equally suitable.
    turn: AtomicUsize,
    /// Requests whose reads no replica could serve, or could no longer.
    fallbacks: Counter,
    checking: Mutex<Vec<AbortHandle>>,
}

/// The source of a request's reads: the same for all, so that none sees an earlier state than one before it.
#[derive(Default)]
struct Route {
    target: OnceCell<Option<Target>>,
    /// Set when the request has written, or when a read on its replica has failed.
    is_primary: AtomicBool,
}

struct Target {
    replica: Arc<Replica>,
    started: i64,
    position: Position,
}

/// Makes the current request read from the primary from now on.
pub(super) fn read_from_primary() {
    if let Some(budget) = RequestBudget::current()
        && let Some(route) = budget.attachment::<Route>()
    {
        route.is_primary.store(true, Ordering::Release);
    }
}

impl Replicas {
    /// None if the settings name no replica. Their statements are measured by `metrics`.
    pub fn new(url: &str, settings: &DatabaseSettings, metrics: &Metrics) -> Result<Option<Arc<Self>>, sqlx::Error> {
        if settings.replica_urls.is_empty() {
            return Ok(None);
        }
        let of_checks = DatabaseSettings {
            max_connections: CHECK_CONNECTIONS,
            ..settings.clone()
        };
        // As if there were an outage: a connection whose answer is given up is closed at once.
        let checks = |url: &str| {
            Pool::new(
                url,
                &of_checks,
                Purpose::Looking,
                None,
                &Arc::new(AtomicBool::new(true)),
            )
        };
        let mut replicas = Vec::new();
        for (at, url) in settings.replica_urls.iter().enumerate() {
            // Until the first check, connections may have to be opened.
            let outage = Arc::new(AtomicBool::new(true));
            let reads = Pool::new(url.reveal(), settings, Purpose::Looking, None, &outage)?.measured(metrics.clone());
            let checks = checks(url.reveal())?;
            let pools = Pools { reads, checks, outage };
            replicas.push(Arc::new(Replica::new(at + 1, url, settings, pools)?));
        }
        Ok(Some(Arc::new(Self {
            replicas,
            primary: Arc::new(Primary::new(checks(url)?)),
            turn: AtomicUsize::default(),
            fallbacks: Counter::default(),
            checking: Mutex::default(),
        })))
    }

    /// Starts the checks. No replica serves reads before.
    pub fn start(&self) {
        let checking = self.replicas.iter().map(|replica| {
            let (replica, primary) = (replica.clone(), self.primary.clone());
            tokio::spawn(async move { replica.keep_checking(&primary).await }).abort_handle()
        });
        self.checking().extend(checking);
    }

    /// Returns true after [`start`](Self::start): only servers read from replicas.
    pub fn are_checked(&self) -> bool {
        !self.checking().is_empty()
    }

    /// Returns true if the current task belongs to a request that may read from a replica.
    pub fn may_read(&self) -> bool {
        let budget = RequestBudget::current().filter(|budget| budget.priority() == Priority::Read);
        let is_primary = |route: &Route| route.is_primary.load(Ordering::Acquire);
        budget.is_some_and(|budget| budget.attachment().is_some_and(|route| !is_primary(route)))
    }

    /// Runs a statement of a request on a replica. None if the primary must run it: there is no replica for it, it
    /// failed there, or the request isn't one that [may read](Self::may_read) from a replica.
    pub async fn read<T, F>(&self, statement: impl Fn(Lease) -> F) -> Option<T>
    where
        F: Future<Output = (Lease, Result<T, DbErr>)>,
    {
        if !self.may_read() {
            return None;
        }
        let budget = RequestBudget::current()?;
        let route: &Route = budget.attachment()?;
        let until = Instant::now() + WAIT;
        let found = match route.target.get_or_init(|| self.choose(until)).await {
            Some(target) => {
                let begun = target.replica.begin(target.started, target.position, until).await;
                match begun {
                    Some(lease) => target.replica.run(lease, statement).await,
                    None => None,
                }
            }
            None => None,
        };
        if found.is_none() && !route.is_primary.swap(true, Ordering::AcqRel) {
            self.fallbacks.inc();
        }
        found
    }

    /// The replica for a request that begins now. None if none has the primary's position in time.
    async fn choose(&self, until: Instant) -> Option<Target> {
        if self.replicas.iter().all(|replica| replica.serving().is_none()) {
            return None;
        }
        let position = timeout_at(until, self.primary.position()).await.ok()??;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut suitable = Vec::new();
        for at in 0..self.replicas.len() {
            let replica = &self.replicas[(turn + at) % self.replicas.len()];
            match replica.serving() {
                Some(verified) if verified.is_of(position) => suitable.push((replica, verified.started)),
                Some(_) => replica.leave_out(),
                None => {}
            }
        }
        let found = match suitable.iter().find(|(replica, _)| replica.had(position)) {
            Some(found) => found,
            None if suitable.is_empty() => return None,
            None => {
                let reaching = suitable.iter().map(|(replica, _)| replica.reaches(position).boxed());
                match timeout_at(until, select_all(reaching)).await {
                    Ok(((), at, _)) => &suitable[at],
                    Err(_) => {
                        suitable.iter().for_each(|(replica, _)| replica.was_late());
                        return None;
                    }
                }
            }
        };
        Some(Target {
            replica: found.0.clone(),
            started: found.1,
            position,
        })
    }

    /// The hosts of the replicas, and the problem of each. None if the primary doesn't answer.
    pub async fn check(&self) -> Option<Vec<(String, Option<ReplicaProblem>)>> {
        let checking = self.replicas.iter().map(async |replica| {
            let checked = replica.check(&self.primary, replica::LIMIT_OF_OUTAGE).await?;
            Some((replica.host.clone(), checked.err()))
        });
        join_all(checking).await.into_iter().collect()
    }

    /// The metrics of each replica: its number, whether it serves reads, and its statements.
    pub fn metrics(&self) -> impl Iterator<Item = (usize, bool, Counter)> {
        let metrics = |replica: &Arc<Replica>| (replica.number, replica.serving().is_some(), replica.served.clone());
        self.replicas.iter().map(metrics)
    }

    pub fn fallbacks(&self) -> Counter {
        self.fallbacks.clone()
    }

    pub async fn close(&self) {
        self.checking().drain(..).for_each(|checking| checking.abort());
        let replicas = join_all(self.replicas.iter().map(|replica| replica.close()));
        // A connection to a replica that hangs isn't waited for: it has only read.
        let _ = timeout(CLOSE_LIMIT, join(replicas, self.primary.close())).await;
    }

    fn checking(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.checking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
