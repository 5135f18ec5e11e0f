//! Metrics of the database: its connections, the time to acquire one, and the duration of statements and commits.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use sea_orm::DbErr;

use clientele_core::histogram::{Buckets, Histogram};

/// For statements and for the wait for a connection.
const SECONDS: Buckets = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0,
];

/// Called with the text of every statement.
pub(super) type StatementHook = Arc<dyn Fn(&str) + Send + Sync>;

/// The measurements of the read connections or of the write connections. Clones share them.
#[derive(Clone)]
pub(super) struct Metrics {
    pub statements: Histogram,
    pub failed: Counter,
    pub commits: Histogram,
    pub not_committed: Counter,
    pub acquire: Histogram,
    pub not_acquired: Counter,
    /// The number of connections in use or waited for.
    pub users: Arc<AtomicI64>,
    pub hook: Option<StatementHook>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            statements: Histogram::new(SECONDS),
            failed: Counter::default(),
            commits: Histogram::new(SECONDS),
            not_committed: Counter::default(),
            acquire: Histogram::new(SECONDS),
            not_acquired: Counter::default(),
            users: Arc::default(),
            hook: None,
        }
    }
}

/// Counts as a connection in use or waited for until it is dropped.
pub(super) struct UsageGuard(Arc<AtomicI64>);

impl Drop for UsageGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub fn usage_guard(&self) -> UsageGuard {
        self.users.fetch_add(1, Relaxed);
        UsageGuard(self.users.clone())
    }

    /// Measures the time to acquire a connection.
    pub async fn acquiring<T>(&self, acquire: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let outcome = acquire.await;
        self.acquire.observe(begun.elapsed());
        if matches!(outcome, Err(DbErr::ConnectionAcquire(_))) {
            self.not_acquired.inc();
        }
        outcome
    }

    /// Measures a COMMIT, which on most disks takes longer than the statements before it.
    pub async fn committing<T>(&self, commit: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let outcome = commit.await;
        self.commits.observe(begun.elapsed());
        if outcome.is_err() {
            self.not_committed.inc();
        }
        outcome
    }

    /// Records a statement that ran for `elapsed` on a connection.
    pub fn ran(&self, sql: &str, elapsed: Duration, failed: bool) {
        self.statements.observe(elapsed);
        if failed {
            self.failed.inc();
        }
        if let Some(hook) = &self.hook {
            hook(sql);
        }
    }
}
