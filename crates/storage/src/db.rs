//! The database: its connections, and the only begin, commit and retry in the house.
//!
//! Two databases are served by the same statements; [`Dialect`] holds the few words that differ.

mod address;
mod availability;
mod backup;
mod batch;
mod bounds;
mod close;
mod collector;
mod connect;
mod connection;
mod dialect;
mod metrics;
mod settings;
mod sqlite_file;
mod transaction;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use rand::RngExt;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::time::{timeout, timeout_at};

pub use address::{check_address, is_read_only, is_ssl_mode, parameter};
pub use backup::BackupError;
pub use batch::Batch;
pub use connect::{Version, missing_file, sqlite_path};
pub use connection::{Connection, Transaction};
pub use dialect::Dialect;
pub use settings::{DatabaseSettings, Synchronous, postgres_options};

use self::{
    availability::{Access, Availability, OutageFlag},
    bounds::Bounds,
    connect::probe,
    connection::retry_on_lost_connection,
    metrics::Metrics,
    sqlite_file::SqliteFile,
    transaction::{Observer, TransactionConnection},
};
use clientele_core::{
    budget::{Allowance, Connections},
    deadline::Deadline,
    error::{Cause, Error, Result},
    fair_queue::{Permit, QueueFull},
    flow::{Flow, FlowQueue},
};

/// No attempt begins later than this after the first.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a write is tried before concurrent changes are reported as [`Error::Conflict`].
const ATTEMPTS: u32 = 12;
/// Two servers that start together must not migrate together; any number will do, as long as it stays.
const MIGRATION_LOCK: i64 = 0x636c_6965_6e74;

/// How one attempt at a write ended.
#[derive(Debug)]
pub enum Step<T> {
    Commit(T),
    /// Nothing is to be stored: the answer is known all the same.
    Discard(T),
    /// What was read has changed since: roll back and start over.
    Again,
}

/// A unit of work that is written as a whole or not at all. It may be attempted several times.
pub trait Work: Sync {
    type Output: Send;

    fn attempt(&self, transaction: &Transaction) -> impl Future<Output = Result<Step<Self::Output>>> + Send;

    /// What it means that SQLite's one writer had no time for it, when that may be because of others of its kind. None
    /// when the server has too much to do.
    fn kept_waiting(&self) -> Option<Error> {
        None
    }
}

/// The connections of one database. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Database {
    reader: Connection<DatabaseConnection>,
    writer: Connection<DatabaseConnection>,
    /// Ends what the writer runs on SQLite.
    writer_bounds: Option<Bounds>,
    /// None on PostgreSQL.
    file: Option<SqliteFile>,
    request_timeout: Duration,
    acquire_timeout: Duration,
    connections: Connections,
    /// SQLite's only writer, shared fairly by caller. On PostgreSQL requests share connections, see [`Allowance`].
    writer_queue: FlowQueue,
    /// Transactions that have begun.
    writer_begun: Arc<AtomicU64>,
    observer: Option<Observer>,
}

impl Database {
    fn new(
        mut reader: Connection<DatabaseConnection>,
        writer: Connection<DatabaseConnection>,
        settings: &DatabaseSettings,
    ) -> Self {
        // On PostgreSQL both are of one pool.
        reader.metrics = Metrics::default();
        let mut database = Self {
            request_timeout: Duration::from_secs(settings.request_timeout_seconds),
            acquire_timeout: Duration::from_secs(settings.acquire_timeout_seconds),
            writer_queue: FlowQueue::unbounded(1),
            writer_begun: Arc::default(),
            connections: settings.for_requests(reader.dialect),
            reader,
            writer,
            observer: None,
            writer_bounds: None,
            file: None,
        };
        database.measure(None);
        database
    }

    /// Refuses work while the database is known to be unavailable.
    fn watched(mut self, settings: &DatabaseSettings, outage: OutageFlag) -> Self {
        let patience = Duration::from_secs(settings.acquire_timeout_seconds);
        let probe = probe(&self, patience);
        let availability = Availability::new(probe, outage);
        self.reader.availability = Some(availability.clone());
        self.writer.availability = Some(availability);
        self
    }

    /// Calls `observer` with the text of every statement from now on. To be set before the database is shared.
    pub fn observe(&mut self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.measure(Some(Arc::new(observer)));
    }

    /// Brings the tables up to date; one server at a time.
    pub async fn migrate(&self) -> Result<()> {
        // sea-orm's own transaction, as its migrations take no other. The process stops when one fails.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.writer.inner.begin_with_options(options).await?;
        if self.writer.dialect == Dialect::Postgres {
            // Another server's migration may take its time.
            for sql in ["SET LOCAL lock_timeout = 0", "SET LOCAL statement_timeout = 0"] {
                transaction.execute_unprepared(sql).await?;
            }
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.execute_unprepared(&lock).await?;
        }
        Migrator::up(&transaction, None).await?;
        Ok(transaction.commit().await?)
    }

    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// The connections that requests share.
    pub const fn connections(&self) -> Connections {
        self.connections
    }

    /// Where reads go.
    pub fn read(&self) -> &Connection<DatabaseConnection> {
        &self.reader
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.reader.one("SELECT 1", []).await.map(|_| ())
    }

    /// Whether the database can be read and, as far as is known, written.
    pub async fn check(&self) -> Result<()> {
        if let Some(availability) = &self.reader.availability {
            availability.check()?;
        }
        if let (Err(error), Some(availability)) = (self.check_file(), &self.writer.availability) {
            availability.report(Access::Write, &error);
            return Err(error);
        }
        // SQLite looks at the file only for a statement about it.
        self.reader
            .one("SELECT version FROM definition_version", [])
            .await
            .map(|_| ())
    }

    /// Does `work` in one transaction. Attempts that lost against concurrent ones are repeated, a bounded number of
    /// times and after a random pause; then the answer is [`Error::Conflict`]. Within a request its [`Deadline`] holds.
    pub async fn write<W: Work>(&self, work: &W) -> Result<W::Output> {
        let deadline = Allowance::current().map(|allowance| allowance.deadline());
        self.write_until(work, deadline).await
    }

    /// As [`write`](Self::write). Past the deadline nothing is committed, and the answer is [`Error::TimedOut`]; a
    /// commit that has begun is waited for and answered, however late.
    pub async fn write_until<W: Work>(&self, work: &W, deadline: Option<Deadline>) -> Result<W::Output> {
        let begun = Instant::now();
        for attempt in 0..ATTEMPTS {
            if begun.elapsed() > PATIENCE {
                break;
            }
            if deadline.is_some_and(Deadline::is_over) {
                return Err(Error::TimedOut);
            }
            match self.attempt(work, deadline).await {
                Ok(Some(output)) => return Ok(output),
                Ok(None) | Err(Error::Conflict) => {
                    let longest = Duration::from_millis(2 << attempt.min(8));
                    let pause = rand::rng().random_range(Duration::ZERO..longest);
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict)
    }

    async fn attempt<W: Work>(&self, work: &W, deadline: Option<Deadline>) -> Result<Option<W::Output>> {
        let kept_waiting = |error: Error| match self.writer.dialect {
            Dialect::Sqlite => work.kept_waiting().unwrap_or(error),
            Dialect::Postgres => error,
        };
        let begin = async {
            // SQLite's writer isn't one of the connections that requests share.
            let place = match self.writer.dialect {
                Dialect::Postgres => self.writer.place().await,
                Dialect::Sqlite => (None, Some(self.writer.metrics.want())),
            };
            self.begin().await.map(|transaction| (transaction, place))
        };
        let begun = match deadline {
            Some(deadline) => timeout_at(deadline.at(), begin).await,
            None => Ok(begin.await),
        };
        let ((transaction, _turn), _place) = match begun {
            Ok(Err(error @ Error::Unavailable(Cause::NoFreeConnection))) => return Err(kept_waiting(error)),
            Ok(begun) => begun?,
            Err(_) => return Err(kept_waiting(Error::TimedOut)),
        };
        let ended = self.end(work.attempt(&transaction).await, transaction, deadline).await;
        if let (Err(error), Some(availability)) = (&ended, &self.writer.availability) {
            availability.report(Access::Write, error);
        }
        ended
    }

    /// Ends a transaction as its work asks for. Only a confirmed COMMIT answers the output of [`Step::Commit`].
    async fn end<T>(
        &self,
        step: Result<Step<T>>,
        transaction: Transaction,
        deadline: Option<Deadline>,
    ) -> Result<Option<T>> {
        let transaction = transaction.inner;
        match step {
            Ok(Step::Commit(_)) if deadline.is_some_and(Deadline::is_over) => {
                self.roll_back(transaction).await;
                Err(Error::TimedOut)
            }
            Ok(Step::Commit(output)) => {
                let commit = self.writer.metrics.committing(transaction.commit());
                match &self.writer.availability {
                    Some(availability) => {
                        availability.during(Access::Write, commit).await?;
                        availability.committed();
                    }
                    None => commit.await?,
                }
                self.check_file()?;
                Ok(Some(output))
            }
            Ok(Step::Discard(output)) => {
                self.roll_back(transaction).await;
                Ok(Some(output))
            }
            Ok(Step::Again) => {
                self.roll_back(transaction).await;
                Ok(None)
            }
            // The first failure is the one that the caller needs to know.
            Err(error) => {
                self.roll_back(transaction).await;
                Err(error)
            }
        }
    }

    /// Nothing is stored whether this succeeds or not: a connection whose rollback fails is closed.
    async fn roll_back(&self, transaction: TransactionConnection) {
        let _ = match &self.writer.availability {
            Some(availability) => availability.during(Access::Write, transaction.rollback()).await,
            None => transaction.rollback().await,
        };
    }

    /// Fails when changes would go to a SQLite file that no longer has its name.
    fn check_file(&self) -> Result<()> {
        match &self.file {
            Some(file) if !file.is_in_place() => Err(Error::Unavailable(Cause::FileGone)),
            _ => Ok(()),
        }
    }

    /// Whether the database is known to answer reads and to refuse changes.
    pub fn accepts_no_changes(&self) -> bool {
        let availability = self.writer.availability.as_ref();
        availability.is_some_and(Availability::accepts_no_changes)
    }

    /// Whether the log has a line about the outage that explains an error, or will have one if the outage lasts.
    pub fn logs_outage_of(&self, error: &Error) -> bool {
        let is_known = |availability: &Availability| availability.check().is_err();
        match error {
            Error::Unavailable(cause) if cause.is_about_reaching() => true,
            Error::Unavailable(_) | Error::ReadOnly => self.reader.availability.as_ref().is_some_and(is_known),
            _ => false,
        }
    }

    async fn begin(&self) -> Result<(Transaction, Option<Permit<Flow>>)> {
        retry_on_lost_connection(|| self.begin_once()).await
    }

    async fn begin_once(&self) -> Result<(Transaction, Option<Permit<Flow>>)> {
        let dialect = self.writer.dialect;
        let begin = async {
            let turn = self.writer_turn().await?;
            self.check_file()?;
            let transaction = TransactionConnection::begin(&self.writer.inner, dialect, self.observer.clone()).await?;
            self.writer_begun.fetch_add(1, Relaxed);
            Ok((transaction, turn))
        };
        let begin = self.writer.metrics.acquiring(begin);
        let (inner, turn) = match &self.writer.availability {
            Some(availability) => availability.during(Access::Write, begin).await?,
            None => begin.await?,
        };
        let transaction = Connection {
            inner,
            dialect,
            pooled: false,
            bounds: None,
            availability: self.writer.availability.clone(),
            metrics: self.writer.metrics.clone(),
        };
        Ok((transaction, turn))
    }

    /// Waits for SQLite's writer, in turns with other callers: its pool would serve requests in the order of their
    /// arrival, so that one caller could fill the queue.
    async fn writer_turn(&self) -> Result<Option<Permit<Flow>>, DbErr> {
        if self.writer.dialect != Dialect::Sqlite {
            return Ok(None);
        }
        let flow = Allowance::current().and_then(|allowance| allowance.flow().cloned());
        let mut turn = pin!(self.writer_queue.acquire(flow.unwrap_or(Flow::Internal)));
        loop {
            let begun = self.writer_begun.load(Relaxed);
            let waited = timeout(self.acquire_timeout, &mut turn).await;
            // As long as others have their turns, it will come.
            let is_stuck = self.writer_begun.load(Relaxed) == begun;
            match waited {
                Ok(Ok(turn)) => return Ok(Some(turn)),
                Err(_) if !is_stuck => {}
                Ok(Err(QueueFull)) | Err(_) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
            }
        }
    }
}
