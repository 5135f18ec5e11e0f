//! Metrics of the database: its connections, how long it takes to get one, and how long statements take.
//!
//! sea-orm measures a statement from the moment it has a connection. The time before that is the rest of the time since
//! the statement was started, which [`STARTED`] carries to the place where sea-orm reports.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, gauge::ConstGauge},
};
use sea_orm::{DatabaseConnection, DbErr, metric::Info};

use super::{Connection, Database, Dialect, transaction::Observer};
use crate::histogram::{Bounds, Histogram};

/// For statements and for the wait for a connection.
const SECONDS: Bounds = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0,
];

tokio::task_local! {
    /// When the statement that runs now was started, before it had a connection.
    static STARTED: Instant;
}

/// Called with the text of every statement.
pub(super) type Shown = Arc<dyn Fn(&str) + Send + Sync>;

/// In a write, statements that read count as writes, too.
#[derive(Clone, Debug, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct StatementLabels {
    database: &'static str,
    kind: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct DatabaseLabel {
    database: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct PoolLabel {
    pool: &'static str,
}

/// What is measured of the connections that read, or of those that write. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(Arc<Measured>);

#[derive(Debug)]
struct Measured {
    statements: Histogram,
    failed: Counter,
    commits: Histogram,
    not_committed: Counter,
    acquire: Histogram,
    not_acquired: Counter,
    /// How many have or want a connection.
    wanted: AtomicI64,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            statements: Histogram::new(SECONDS),
            failed: Counter::default(),
            commits: Histogram::new(SECONDS),
            not_committed: Counter::default(),
            acquire: Histogram::new(SECONDS),
            not_acquired: Counter::default(),
            wanted: AtomicI64::default(),
        }
    }
}

/// Counts as one that has or wants a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Wanted(Metrics);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.0.wanted.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub fn want(&self) -> Wanted {
        self.0.wanted.fetch_add(1, Relaxed);
        Wanted(self.clone())
    }

    /// Measures how long it takes to get a connection.
    pub async fn acquiring<T>(&self, acquire: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let outcome = acquire.await;
        self.acquired(begun.elapsed(), outcome.as_ref().err());
        outcome
    }

    /// Measures a COMMIT, which on most disks takes longer than the statements before it.
    pub async fn committing<T>(&self, commit: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let outcome = commit.await;
        self.0.commits.observe(begun.elapsed());
        if outcome.is_err() {
            self.0.not_committed.inc();
        }
        outcome
    }

    /// Measures how long a statement waits for a connection of its own.
    pub async fn waiting<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let outcome = STARTED.scope(begun, statement).await;
        if let Err(error @ DbErr::ConnectionAcquire(_)) = &outcome {
            self.acquired(begun.elapsed(), Some(error));
        }
        outcome
    }

    fn acquired(&self, after: Duration, error: Option<&DbErr>) {
        self.0.acquire.observe(after);
        if matches!(error, Some(DbErr::ConnectionAcquire(_))) {
            self.0.not_acquired.inc();
        }
    }

    /// Measures every statement that is reported to it, and shows its text to `shown`.
    pub fn observer(&self, shown: Option<Shown>) -> Observer {
        let metrics = self.clone();
        Observer::new(move |sql, elapsed, failed| {
            metrics.ran(elapsed, failed);
            if let Some(shown) = &shown {
                shown(sql);
            }
        })
    }

    fn ran(&self, elapsed: Duration, failed: bool) {
        self.0.statements.observe(elapsed);
        if failed {
            self.0.failed.inc();
        }
        if let Ok(since_start) = STARTED.try_with(Instant::elapsed) {
            self.0.acquire.observe(since_start.saturating_sub(elapsed));
        }
    }
}

impl Connection<DatabaseConnection> {
    /// Connections that are open, and those of them that are in use.
    fn open_and_in_use(&self) -> (i64, i64) {
        let (open, idle) = match self.dialect {
            Dialect::Sqlite => {
                let pool = self.inner.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            Dialect::Postgres => {
                let pool = self.inner.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        let idle = i64::try_from(idle).unwrap_or(i64::MAX);
        (open.into(), (i64::from(open) - idle).max(0))
    }
}

impl Database {
    /// Measures every statement from now on, and shows its text to `shown`.
    pub(super) fn measure(&mut self, shown: Option<Shown>) {
        for connection in [&mut self.reader, &mut self.writer] {
            let observer = connection.metrics.observer(shown.clone());
            let observe = move |info: &Info<'_>| observer.observe(&info.statement.sql, info.elapsed, info.failed);
            connection.inner.set_metric_callback(observe);
        }
        self.observer = Some(self.writer.metrics.observer(shown));
    }

    /// What is measured of this database, for a registry.
    pub fn metrics(&self) -> impl Collector + use<> {
        OfDatabase(self.clone())
    }

    /// The pools: name, connections open, in use, and how many wait for one.
    fn pools(&self) -> Vec<(PoolLabel, [i64; 3])> {
        let wanted = |connection: &Connection<_>| connection.metrics.0.wanted.load(Relaxed);
        let pool = |pool, connection: &Connection<DatabaseConnection>, wanted: i64| {
            let (open, in_use) = connection.open_and_in_use();
            (PoolLabel { pool }, [open, in_use, (wanted - in_use).max(0)])
        };
        match self.reader.dialect {
            Dialect::Sqlite => vec![
                pool("read", &self.reader, wanted(&self.reader)),
                pool("write", &self.writer, wanted(&self.writer)),
            ],
            Dialect::Postgres => vec![pool(
                "shared",
                &self.reader,
                wanted(&self.reader) + wanted(&self.writer),
            )],
        }
    }
}

#[derive(Debug)]
struct OfDatabase(Database);

impl Collector for OfDatabase {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let pools = self.0.pools();
        for (at, (name, help)) in [
            (
                "database_connections_open",
                "Connections to the database, idle ones included.",
            ),
            (
                "database_connections_in_use",
                "Connections to the database that are in use.",
            ),
            (
                "database_connections_waiting",
                "Statements and transactions that wait for a connection.",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let values = pools.iter().map(|(label, values)| (label, ConstGauge::new(values[at])));
            family(&mut encoder, name, help, MetricType::Gauge, values)?;
        }
        let database = match self.0.reader.dialect {
            Dialect::Sqlite => "sqlite",
            Dialect::Postgres => "postgresql",
        };
        let both = [
            ("read", &*self.0.reader.metrics.0),
            ("write", &*self.0.writer.metrics.0),
        ];
        let by_kind = both.map(|(kind, metrics)| (KindLabel { kind }, metrics));
        let by_statement = both.map(|(kind, metrics)| (StatementLabels { database, kind }, metrics));
        family(
            &mut encoder,
            "database_acquire_seconds",
            "How long statements and transactions waited for a connection.",
            MetricType::Histogram,
            by_kind.iter().map(|(kind, metrics)| (kind, metrics.acquire.clone())),
        )?;
        family(
            &mut encoder,
            "database_acquire_failures",
            "Statements and transactions that got no connection.",
            MetricType::Counter,
            by_kind
                .iter()
                .map(|(kind, metrics)| (kind, metrics.not_acquired.clone())),
        )?;
        family(
            &mut encoder,
            "database_statement_seconds",
            "How long statements took, without the wait for a connection.",
            MetricType::Histogram,
            by_statement
                .iter()
                .map(|(labels, metrics)| (labels, metrics.statements.clone())),
        )?;
        family(
            &mut encoder,
            "database_statement_failures",
            "Statements that failed, those included that are tried again.",
            MetricType::Counter,
            by_statement
                .iter()
                .map(|(labels, metrics)| (labels, metrics.failed.clone())),
        )?;
        let (label, metrics) = (&DatabaseLabel { database }, &*self.0.writer.metrics.0);
        family(
            &mut encoder,
            "database_commit_seconds",
            "How long commits took.",
            MetricType::Histogram,
            [(label, metrics.commits.clone())],
        )?;
        family(
            &mut encoder,
            "database_commit_failures",
            "Commits that failed.",
            MetricType::Counter,
            [(label, metrics.not_committed.clone())],
        )
    }
}

/// Writes a metric for each of several label sets.
fn family<'a, L, M>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric_type: MetricType,
    metrics: impl IntoIterator<Item = (&'a L, M)>,
) -> Result<(), fmt::Error>
where
    L: EncodeLabelSet + 'a,
    M: EncodeMetric,
{
    let mut encoder = encoder.encode_descriptor(name, help, None, metric_type)?;
    for (labels, metric) in metrics {
        metric.encode(encoder.encode_family(labels)?)?;
    }
    Ok(())
}
