//! Exports the database metrics to a registry.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use sea_orm::{DatabaseConnection, metric::Info};

use super::{Connection, Database, Dialect, metrics::StatementHook};

/// Within a write, reading statements count as writes.
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

impl Connection<DatabaseConnection> {
    /// The numbers of open connections and of connections in use.
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
    /// Measures every further statement, and passes its text to `hook`.
    pub(super) fn measure(&mut self, hook: Option<StatementHook>) {
        for connection in [&mut self.reader, &mut self.writer] {
            let observer = connection.metrics.observer(hook.clone());
            let observe = move |info: &Info<'_>| observer.observe(&info.statement.sql, info.elapsed, info.failed);
            connection.inner.set_metric_callback(observe);
        }
        self.observer = Some(self.writer.metrics.observer(hook));
    }

    /// The collector of this database's metrics, for a registry.
    pub fn metrics(&self) -> impl Collector + use<> {
        OfDatabase(self.clone())
    }

    /// The pools: name, open connections, connections in use, and the number waiting for one.
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
        let help = "Whether the database accepts changes as far as is known, 0 or 1.";
        let writable = encoder.encode_descriptor("database_writable", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(!self.0.accepts_no_changes())).encode(writable)?;
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
        let database = self.0.reader.dialect.as_str();
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
