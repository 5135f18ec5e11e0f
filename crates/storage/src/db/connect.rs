//! Opens, migrates and closes a database.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use migration::{Migrator, MigratorTrait, distribution};
use rand::RngExt;
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions, TransactionTrait, sqlx};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Connection, Database, DatabaseSettings, Dialect, availability::Availability, interrupter::Interrupter,
    metrics::Metrics, pool::Pool, probe::Probe, replicas::Replicas, settings::Purpose, sqlite_file::SqliteFile,
};
use clientele_core::{
    error::{Error, Result},
    flow::FlowQueue,
};

/// The version of the tables compared with this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Ours,
    /// There are no tables.
    Empty,
    /// The tables can be migrated.
    Earlier,
    Later,
}

/// The layout of the tables compared with the setting `distributed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    AsSet,
    /// The setting is on, and not all tables of this version are distributed.
    Undistributed,
    /// The setting is off, and the tables are distributed.
    Distributed,
}

/// The longest wait for a lock, over all attempts.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// The key of the lock that keeps servers from migrating at the same time. Any number works, but it must never change.
const MIGRATION_LOCK: i64 = 0x636c_6965_6e74;

/// The longest wait of a migration for the lock of a table.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// The least time between two attempts to migrate, in which requests proceed that have waited behind the first.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);
/// No attempt to migrate begins later than this after the first.
const MIGRATION_PERIOD: Duration = Duration::from_secs(60);

/// The time in which a running write may complete before closing interrupts it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// The time after which closing is given up.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two attempts to end running statements.
const CLOSE_PAUSE: Duration = Duration::from_millis(50);

/// Opens a pool with its first connection. Tries again while another process has SQLite's file locked: turning
/// write-ahead logging on doesn't wait.
async fn connect_pool(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
    outage: &Arc<AtomicBool>,
) -> Result<Connection<Pool>> {
    let dialect = Dialect::of(url);
    let interrupter =
        (dialect == Dialect::Sqlite).then(|| Interrupter::new(Duration::from_secs(settings.request_timeout_seconds)));
    let pool = Pool::new(url, settings, purpose, interrupter.as_ref(), outage).map_err(from_driver)?;
    let begun = Instant::now();
    loop {
        match pool.acquire().await.map_err(Error::from) {
            Err(Error::Conflict) if begun.elapsed() < LOCK_TIMEOUT => {
                let pause = rand::rng().random_range(Duration::ZERO..LOCK_PAUSE);
                sleep(pause).await;
            }
            connected => break drop(connected?),
        }
    }
    Ok(Connection {
        inner: pool,
        dialect,
        distributed: settings.distributed,
        pooled: true,
        // The writer's serves only to close: its statements run in transactions, which are never repeated.
        interrupter,
        availability: None,
        metrics: Metrics::default(),
        replicas: None,
    })
}

impl Database {
    /// Connects to `sqlite:FILE`, which is created if missing, or to `postgres://…`.
    pub async fn connect(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        if let Some(file) = sqlite_file(url)? {
            file.create_if_missing().map_err(|error| from_driver(error.into()))?;
        }
        Self::connect_to_existing(url, settings).await
    }

    /// Connects to an existing database: a missing SQLite file is an error.
    pub async fn connect_to_existing(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        let file = sqlite_file(url)?.map(SqliteFile::opened);
        let outage = Arc::default();
        // On SQLite, the writer is opened first: it turns write-ahead logging on.
        let writer = connect_pool(url, settings, Purpose::Writing, &outage).await?;
        let reader = match writer.dialect {
            Dialect::Postgres => Ok(writer.clone()),
            Dialect::Sqlite => connect_pool(url, settings, Purpose::Reading, &outage).await,
        };
        match reader {
            Ok(reader) => {
                let mut database = Self::new(reader, writer, file, settings);
                database.watch(outage);
                database.add_replicas(url, settings)
            }
            Err(error) => {
                Self::new(writer.clone(), writer, file, settings).close().await;
                Err(error)
            }
        }
    }

    /// Connects to an existing database without writing to it: as a user with read access only, or to a copy.
    pub async fn connect_to_look(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        let pool = connect_pool(url, settings, Purpose::Looking, &Arc::default()).await?;
        Self::new(pool.clone(), pool, sqlite_file(url)?, settings).add_replicas(url, settings)
    }

    fn new(
        mut reader: Connection<Pool>,
        mut writer: Connection<Pool>,
        file: Option<SqliteFile>,
        settings: &DatabaseSettings,
    ) -> Self {
        // On PostgreSQL both use one pool.
        reader.metrics = Metrics::default();
        for connection in [&mut reader, &mut writer] {
            connection.inner = connection.inner.measured(connection.metrics.clone());
        }
        Self {
            request_timeout: Duration::from_secs(settings.request_timeout_seconds),
            acquire_timeout: Duration::from_secs(settings.acquire_timeout_seconds),
            writer_queue: FlowQueue::unbounded(1),
            writer_begun: Arc::default(),
            committed: Arc::default(),
            connections: settings.for_requests(reader.dialect),
            reader,
            writer,
            file,
        }
    }

    /// Only requests read from replicas, once [`Self::start_replicas`] was called.
    fn add_replicas(mut self, url: &str, settings: &DatabaseSettings) -> Result<Self> {
        self.reader.replicas = Replicas::new(url, settings, &self.reader.metrics).map_err(from_driver)?;
        Ok(self)
    }

    /// Makes the connections refuse work while the database is known to be unavailable.
    fn watch(&mut self, outage: Arc<AtomicBool>) {
        let probe = Probe {
            reader: self.reader.inner.clone(),
            // Requests are measured, probes aren't.
            writer: self.writer.inner.measured(Metrics::default()),
            file: self.file.clone(),
            time_limit: self.acquire_timeout,
        };
        let availability = Arc::new(Availability::new(probe, outage));
        self.reader.availability = Some(availability.clone());
        self.writer.availability = Some(availability);
    }

    /// Returns true when a SQLite database has tables of another program.
    pub async fn has_other_tables(&self) -> Result<bool> {
        if self.reader.dialect == Dialect::Postgres {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
            AND name <> 'seaql_migrations' LIMIT 1";
        Ok(self.reader.one(sql, []).await?.is_some())
    }

    /// Migrates the tables to this version. Only one server migrates at a time.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other sessions have locked a table for a minute.
    pub async fn migrate(&self) -> Result<()> {
        self.migrate_within(MIGRATION_PERIOD).await
    }

    /// As [`migrate`](Self::migrate), with a limit for the time in which tables may be locked by other sessions.
    pub async fn migrate_within(&self, period: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            let migrated = self.try_to_migrate().await;
            let is_locked = self.writer.dialect == Dialect::Postgres && matches!(migrated, Err(Error::Conflict));
            if !is_locked || begun.elapsed() > period {
                return migrated;
            }
            tracing::warn!("a table that must be migrated is locked by another session: trying again");
            let pause = rand::rng().random_range(MIGRATION_PAUSE..2 * MIGRATION_PAUSE);
            sleep(pause).await;
        }
    }

    /// Runs all steps in one transaction.
    async fn try_to_migrate(&self) -> Result<()> {
        // sea-orm's own transaction, because its migrations accept no other. The process stops if one fails.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.writer.inner.migrations().begin_with_options(options).await?;
        if !self.writer.inner.caches_statements() {
            // sea-orm prepares statements by names, which the pooler's session may have from other connections.
            transaction.execute_unprepared("DEALLOCATE ALL").await?;
        }
        if self.writer.dialect == Dialect::Postgres {
            // Another server's migration may take long.
            for sql in ["SET LOCAL lock_timeout = 0", "SET LOCAL statement_timeout = 0"] {
                transaction.execute_unprepared(sql).await?;
            }
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.execute_unprepared(&lock).await?;
            // While a step waits for a table behind a long reader, all further requests for that table wait behind it.
            let limit = format!("SET LOCAL lock_timeout = {}", MIGRATION_LOCK_TIMEOUT.as_millis());
            transaction.execute_unprepared(&limit).await?;
        }
        if self.writer.distributed {
            transaction.execute_unprepared(distribution::SEQUENTIAL).await?;
        }
        Migrator::up(&transaction, None).await?;
        if self.writer.distributed && distribution::is_pending(&transaction).await? {
            distribution::distribute(&transaction).await?;
        }
        if !self.writer.inner.caches_statements() {
            transaction.execute_unprepared("DEALLOCATE ALL").await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Compares the layout of the tables with the setting. Changes nothing.
    ///
    /// # Errors
    /// The reason why the tables can't be distributed, too.
    pub async fn layout(&self) -> Result<Layout> {
        let connection = &self.reader.inner;
        Ok(match (self.reader.dialect, self.reader.distributed) {
            (Dialect::Postgres, true) if distribution::is_pending(connection).await? => Layout::Undistributed,
            (Dialect::Postgres, false) if distribution::is_distributed(connection).await? => Layout::Distributed,
            _ => Layout::AsSet,
        })
    }

    /// Compares the version of the tables with this program's. Changes nothing.
    pub async fn version(&self) -> Result<Version> {
        match Migrator::get_pending_migrations_read_only(&self.reader.inner).await {
            Ok(pending) if pending.is_empty() => Ok(Version::Ours),
            Ok(pending) if pending.len() == Migrator::migrations().len() => Ok(Version::Empty),
            Ok(_) => Ok(Version::Earlier),
            // A migration of the database is unknown here.
            Err(DbErr::Custom(_)) => Ok(Version::Later),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes all connections, including those of clones: using one fails from now on. Afterwards, a SQLite database is
    /// complete in its main file, unless another process has it open.
    ///
    /// Running statements are interrupted: reads at once, writes after a second. Uncommitted writes are rolled back,
    /// unless the commit has begun.
    pub async fn close(self) {
        let closing = async {
            // On PostgreSQL this is one pool. On SQLite only the last connection, closed alone, removes the log, and
            // with it the rows of a failed commit, which the next process must not find.
            self.writer.inner.close().await;
            let replicas = async {
                if let Some(replicas) = &self.reader.replicas {
                    replicas.close().await;
                }
            };
            tokio::join!(self.reader.inner.close(), replicas);
            // A probe of PostgreSQL leaves nothing behind.
            if let (Some(_), Some(availability)) = (&self.file, &self.writer.availability) {
                availability.probe_ended().await;
            }
        };
        let closed = async {
            tokio::select! {
                () = closing => {}
                () = self.end_statements() => {}
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!(
                seconds = CLOSE_TIMEOUT.as_secs(),
                "the database was not closed: statements were still running"
            );
        }
        if let Some(file) = &self.file {
            file.remove_log().await;
        }
    }

    /// Interrupts running statements on SQLite, repeatedly. PostgreSQL has a `statement_timeout`, and rolls back when a
    /// connection closes.
    async fn end_statements(&self) {
        let begun = Instant::now();
        loop {
            if let Some(readers) = &self.reader.interrupter {
                readers.interrupt_all();
            }
            if let Some(writer) = self
                .writer
                .interrupter
                .as_ref()
                .filter(|_| begun.elapsed() > CLOSE_GRACE)
            {
                writer.interrupt_all();
            }
            sleep(CLOSE_PAUSE).await;
        }
    }
}

/// The path of the SQLite file in `url`. None on PostgreSQL.
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    Some(sqlite_file(url).ok()??.path().to_owned())
}

/// The path of the SQLite file in `url` if the file is missing. None on PostgreSQL.
pub fn missing_file(url: &str) -> Option<PathBuf> {
    let file = sqlite_file(url).ok()??;
    file.is_missing().then(|| file.path().to_owned())
}

/// Returns true if a path leads to the SQLite database in `url` or a file that SQLite keeps next to it.
pub fn is_of_database(url: &str, path: &Path) -> bool {
    sqlite_file(url).is_ok_and(|file| file.is_some_and(|file| file.includes(path)))
}

fn sqlite_file(url: &str) -> Result<Option<SqliteFile>> {
    match Dialect::of(url) {
        Dialect::Sqlite => SqliteFile::of(url).map(Some).map_err(from_driver),
        Dialect::Postgres => Ok(None),
    }
}

fn from_driver(error: sqlx::Error) -> Error {
    DbErr::Conn(RuntimeErr::SqlxError(error.into())).into()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use sea_orm::sqlx::{self, ConnectOptions, sqlite::SqliteConnectOptions};

    use super::super::{Database, DatabaseSettings, Step, Transaction, Work};
    use clientele_core::error::{Error, Result};

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    struct Endless;

    impl Work for Endless {
        type Output = ();

        async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
            transaction.run("CREATE TABLE written (number INTEGER)", []).await?;
            transaction.one(ENDLESS, []).await?;
            Ok(Step::Commit(()))
        }
    }

    async fn database(folder: &tempfile::TempDir) -> Database {
        let url = format!("sqlite:{}", folder.path().join("clientele.db").display());
        let settings = DatabaseSettings {
            request_timeout_seconds: 600,
            ..DatabaseSettings::default()
        };
        Database::connect(&url, &settings).await.expect("it opens")
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = folder.path().read_dir().expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn closing_ends_running_statements_and_leaves_one_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        let clone = database.clone();
        let reading = tokio::spawn(async move { clone.read().one(ENDLESS, []).await });
        let clone = database.clone();
        let writing = tokio::spawn(async move { clone.write(&Endless).await });
        // The writer is busy once its connection is taken.
        while database.writer.inner.sizes().1 > 0 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        database.close().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(files(&folder), ["clientele.db"]);
        assert!(matches!(reading.await.expect("no panic"), Err(Error::Unavailable(_))));
        writing.await.expect("no panic").expect_err("it was ended");
    }

    /// As a connection that was dropped while it was being opened, on a loaded machine.
    #[tokio::test]
    async fn closing_waits_for_a_connection_outside_the_pools() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        let file = folder.path().join("clientele.db");
        let options = SqliteConnectOptions::new().filename(file);
        let mut connection = options.connect().await.expect("it opens");
        let read = sqlx::raw_sql("SELECT count(*) FROM sqlite_schema").execute(&mut connection);
        read.await.expect("it reads");
        let dropping = tokio::spawn(async move {
            super::sleep(Duration::from_millis(500)).await;
            drop(connection);
        });
        database.close().await;
        assert_eq!(files(&folder), ["clientele.db"]);
        dropping.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_read_only_connection_leaves_no_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        database.migrate().await.expect("it migrates");
        for suffix in ["", "-wal"] {
            let name = format!("clientele.db{suffix}");
            std::fs::copy(folder.path().join(&name), folder.path().join(format!("copy-of-{name}"))).expect("a copy");
        }
        let url = format!("sqlite:{}", folder.path().join("copy-of-clientele.db").display());
        let copy = Database::connect_to_look(&url, &DatabaseSettings::default())
            .await
            .expect("it opens");
        assert_eq!(copy.version().await.expect("it answers"), super::super::Version::Ours);
        copy.close().await;
        database.close().await;
        let mut left = files(&folder);
        left.sort();
        assert_eq!(left, ["clientele.db", "copy-of-clientele.db"]);
    }
}
