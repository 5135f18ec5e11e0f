//! Exports the database metrics to a registry.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelValue, EncodeMetric},
    metrics::{MetricType, TypedMetric, gauge::ConstGauge},
};

use super::{Connection, Database, Dialect, metrics::StatementHook, pool::Pool, replicas::Replicas};

impl Connection<Pool> {
    /// The numbers of open connections, of connections in use, and of statements and transactions that wait for one.
    fn usage(&self, users: i64) -> [i64; 3] {
        let (open, idle) = self.inner.sizes();
        let [open, idle] = [open, idle].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let in_use = open - idle;
        [open, in_use, (users - in_use).max(0)]
    }
}

impl Database {
    /// Calls `hook` with the text of every further statement. Must be called before the database is shared.
    pub fn observe(&mut self, hook: impl Fn(&str) + Send + Sync + 'static) {
        let hook: StatementHook = Arc::new(hook);
        for connection in [&mut self.reader, &mut self.writer] {
            connection.metrics.hook = Some(hook.clone());
            connection.inner = connection.inner.measured(connection.metrics.clone());
        }
    }

    /// The collector of this database's metrics, for a registry.
    pub fn metrics(&self) -> impl Collector + use<> {
        DatabaseCollector(self.clone())
    }

    /// The usage of each pool.
    fn pools(&self) -> Vec<(&'static str, [i64; 3])> {
        let users = |connection: &Connection<_>| connection.metrics.users.load(Relaxed);
        let (read, write) = (users(&self.reader), users(&self.writer));
        match self.reader.dialect {
            Dialect::Sqlite => vec![("read", self.reader.usage(read)), ("write", self.writer.usage(write))],
            Dialect::Postgres => vec![("shared", self.reader.usage(read + write))],
        }
    }
}

#[derive(Debug)]
struct DatabaseCollector(Database);

impl Collector for DatabaseCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Database { reader, writer, .. } = &self.0;
        let encoder = &mut encoder;
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
            let values = pools
                .iter()
                .map(|(pool, usage)| ([("pool", *pool)], ConstGauge::new(usage[at])));
            family(encoder, name, help, values)?;
        }
        let database = ("database", reader.dialect.as_str());
        // Within a write, reading statements count as writes.
        let kinds = [
            (("kind", "read"), &reader.metrics),
            (("kind", "write"), &writer.metrics),
        ];
        family(
            encoder,
            "database_acquire_seconds",
            "How long statements and transactions waited for a connection.",
            kinds.map(|(kind, metrics)| ([kind], metrics.acquire.clone())),
        )?;
        family(
            encoder,
            "database_acquire_failures",
            "Statements and transactions that got no connection.",
            kinds.map(|(kind, metrics)| ([kind], metrics.not_acquired.clone())),
        )?;
        family(
            encoder,
            "database_statement_seconds",
            "How long statements took, without the wait for a connection.",
            kinds.map(|(kind, metrics)| ([database, kind], metrics.statements.clone())),
        )?;
        family(
            encoder,
            "database_statement_failures",
            "Statements that failed, those included that are tried again.",
            kinds.map(|(kind, metrics)| ([database, kind], metrics.failed.clone())),
        )?;
        family(
            encoder,
            "database_commit_seconds",
            "How long commits took.",
            [([database], writer.metrics.commits.clone())],
        )?;
        family(
            encoder,
            "database_commit_failures",
            "Commits that failed.",
            [([database], writer.metrics.not_committed.clone())],
        )?;
        match &reader.replicas {
            Some(replicas) if replicas.are_checked() => of_replicas(replicas, encoder),
            _ => Ok(()),
        }
    }
}

fn of_replicas(replicas: &Replicas, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let replica = |number: usize| [("replica", number.to_string())];
    let serving = replicas
        .metrics()
        .map(|(number, is_serving, _)| (replica(number), ConstGauge::new(i64::from(is_serving))));
    family(
        encoder,
        "database_replica_serving",
        "Whether a replica serves reads, 0 or 1.",
        serving,
    )?;
    let statements = replicas.metrics().map(|(number, _, served)| (replica(number), served));
    family(
        encoder,
        "database_replica_statements",
        "Statements that a replica has answered.",
        statements,
    )?;
    let help = "Requests that read from the primary because no replica could serve them in time.";
    let fallbacks = encoder.encode_descriptor("database_replica_fallbacks", help, None, MetricType::Counter)?;
    replicas.fallbacks().encode(fallbacks)
}

/// Writes a metric for each of several label sets.
fn family<M: EncodeMetric + TypedMetric, L: EncodeLabelValue, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metrics: impl IntoIterator<Item = ([(&'static str, L); N], M)>,
) -> Result<(), fmt::Error> {
    let mut encoder = encoder.encode_descriptor(name, help, None, M::TYPE)?;
    for (labels, metric) in metrics {
        metric.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}
