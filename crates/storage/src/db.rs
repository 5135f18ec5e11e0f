//! The database: its connections, and the only place that begins, commits and retries transactions.
//!
//! The same statements serve both databases; [`Dialect`] holds the parts that differ.

mod address;
mod availability;
mod backup;
mod batch;
mod bulk;
mod collector;
mod connect;
mod connection;
mod dialect;
mod inspect;
mod interrupter;
mod lease;
mod manager;
mod metrics;
mod pool;
mod probe;
mod record;
mod removal;
mod replicas;
mod row_lock;
mod settings;
mod sqlite_file;
mod statement_span;
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

use rand::RngExt;
use sea_orm::{ConnAcquireErr, DbErr};
use tokio::{
    sync::Notify,
    time::{timeout, timeout_at},
};

pub use address::{caches_statements, check_address, is_read_only, is_ssl_mode, parameter};
pub use backup::BackupError;
pub use batch::Batch;
pub use bulk::NewRows;
pub use connect::{Layout, Version, is_of_database, missing_file, sqlite_path};
pub use connection::{Connection, Transaction};
pub use dialect::{Dialect, RecordForm};
pub use inspect::{Encryption, MigrationStep, OLDEST_POSTGRES, Pooling, PostgresSession, pooling, required_encryption};
pub use pool::Pool;
pub use record::{record, records};
pub use removal::REMOVAL_BATCH;
pub use replicas::ReplicaProblem;
pub use row_lock::is_locked;
pub use settings::{DatabaseSettings, Synchronous, postgres_options};
pub use sqlite_file::{FileAccess, check_creation, file_access};

use self::{
    availability::Availability, connection::retry_on_lost_connection, metrics::UsageGuard, probe::Access,
    settings::Purpose, sqlite_file::SqliteFile, transaction::TransactionConnection,
};
use clientele_core::{
    budget::{ConnectionPermit, Connections, RequestBudget},
    deadline::Deadline,
    error::{Cause, Error, Result},
    fair_queue::{Permit, QueueFull},
    flow::{Flow, FlowQueue},
};

/// No attempt begins later than this after the first.
const RETRY_PERIOD: Duration = Duration::from_secs(5);
/// The maximum number of attempts at a write before it fails with [`Error::Conflict`].
const ATTEMPTS: u32 = 12;

/// The result of one attempt at a write.
#[derive(Debug)]
pub enum Step<T> {
    Commit(T),
    /// Nothing is stored, but there is a result.
    Discard(T),
    /// Rows that were read have changed since: roll back and start over.
    Again,
}

/// A unit of work that is written completely or not at all. It may be attempted several times.
pub trait Work: Sync {
    type Output: Send;

    fn attempt(&self, transaction: &Transaction) -> impl Future<Output = Result<Step<Self::Output>>> + Send;

    /// The error when SQLite's only writer was busy with other work of this kind. None when the server is overloaded.
    fn busy_error(&self) -> Option<Error> {
        None
    }
}

/// Held while a transaction runs.
struct Permits {
    _connection: (Option<ConnectionPermit>, Option<UsageGuard>),
    _writer: Option<Permit<Flow>>,
}

/// The connections of one database. Clones share them.
#[derive(Clone, Debug)]
pub struct Database {
    reader: Connection<Pool>,
    writer: Connection<Pool>,
    /// None on PostgreSQL.
    file: Option<SqliteFile>,
    request_timeout: Duration,
    acquire_timeout: Duration,
    connections: Connections,
    /// Shares SQLite's only writer fairly by caller. On PostgreSQL, requests share connections, see [`RequestBudget`].
    writer_queue: FlowQueue,
    /// The number of transactions begun.
    writer_begun: Arc<AtomicU64>,
    committed: Arc<Notify>,
}

impl Database {
    /// The time limit of a request.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// The connections that requests share.
    pub const fn connections(&self) -> Connections {
        self.connections
    }

    /// The connections for reads.
    pub fn read(&self) -> &Connection<Pool> {
        &self.reader
    }

    /// Makes all further reads of the current request read from the primary.
    pub fn read_from_primary(&self) {
        replicas::read_from_primary();
    }

    /// Starts to check the replicas and to send the reads of requests there.
    pub fn start_replicas(&self) {
        if let Some(replicas) = &self.reader.replicas {
            replicas.start();
        }
    }

    /// Checks each replica once: its host, and its problem if it can't serve reads. None if the primary doesn't answer.
    pub async fn check_replicas(&self) -> Option<Vec<(String, Option<ReplicaProblem>)>> {
        match &self.reader.replicas {
            Some(replicas) => replicas.check().await,
            None => Some(Vec::new()),
        }
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.reader.one("SELECT 1", []).await.map(|_| ())
    }

    /// Checks that the database can be read and, as far as is known, written.
    pub async fn check(&self) -> Result<()> {
        if let Some(availability) = &self.reader.availability {
            availability.check()?;
        }
        if let (Err(error), Some(availability)) = (self.check_file(), &self.writer.availability) {
            availability.report(Access::Write, &error);
            return Err(error);
        }
        // SQLite accesses the file only for statements about it.
        self.reader
            .one("SELECT version FROM definition_version", [])
            .await
            .map(|_| ())
    }

    /// Runs `work` in one transaction. Attempts that conflict with concurrent ones are repeated after a random pause, a
    /// limited number of times; then the write fails with [`Error::Conflict`].
    ///
    /// Within a request, its [`Deadline`] applies: past it, nothing is committed and the write fails with
    /// [`Error::TimedOut`]. A commit that has begun is completed and its result returned, however late.
    pub async fn write<W: Work>(&self, work: &W) -> Result<W::Output> {
        let deadline = RequestBudget::current().map(|budget| budget.deadline());
        let started = Instant::now();
        for attempt in 0..ATTEMPTS {
            if started.elapsed() > RETRY_PERIOD {
                break;
            }
            if deadline.is_some_and(Deadline::is_over) {
                return Err(Error::TimedOut);
            }
            let outcome = match self.begin(deadline, work.busy_error()).await {
                Ok((transaction, _permits)) => {
                    let step = work.attempt(&transaction).await;
                    self.end(transaction, step, deadline).await
                }
                Err(error) => Err(error),
            };
            match outcome {
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

    /// Begins a transaction, and returns it with the permits to hold until it ends. When SQLite's writer isn't free in
    /// time, fails with `busy_error` if there is one.
    async fn begin(&self, deadline: Option<Deadline>, busy_error: Option<Error>) -> Result<(Transaction, Permits)> {
        let busy_error = busy_error.filter(|_| self.writer.dialect == Dialect::Sqlite);
        let begin = async {
            let connection = match self.writer.dialect {
                Dialect::Postgres => self.writer.permit().await,
                // SQLite's writer isn't one of the connections that requests share.
                Dialect::Sqlite => (None, Some(self.writer.metrics.usage_guard())),
            };
            let (transaction, writer) = retry_on_lost_connection(|| self.begin_once()).await?;
            let permits = Permits {
                _connection: connection,
                _writer: writer,
            };
            Ok((transaction, permits))
        };
        let begun = match deadline {
            Some(deadline) => timeout_at(deadline.at(), begin).await,
            None => Ok(begin.await),
        };
        match begun {
            Ok(Err(error @ Error::Unavailable(Cause::NoFreeConnection))) => Err(busy_error.unwrap_or(error)),
            Ok(begun) => begun,
            Err(_) => Err(busy_error.unwrap_or(Error::TimedOut)),
        }
    }

    async fn begin_once(&self) -> Result<(Transaction, Option<Permit<Flow>>)> {
        replicas::read_from_primary();
        let begin = self.writer.metrics.acquiring(async {
            let permit = self.writer_permit().await?;
            self.check_file()?;
            let begun = TransactionConnection::begin(&self.writer.inner, Purpose::Writing).await?;
            self.writer_begun.fetch_add(1, Relaxed);
            Ok((begun, permit))
        });
        let (inner, permit) = self.writer.watched(Access::Write, begin).await?;
        Ok((self.writer.of_transaction(inner), permit))
    }

    /// Begins a transaction that reads the database as it is at its first statement, whatever is written meanwhile. It
    /// has no time limit. End it with [`Transaction::end_reading`]; if dropped, it is rolled back.
    ///
    /// For commands: on SQLite it would fail when a server interrupts the reads of others.
    pub async fn snapshot(&self) -> Result<Transaction> {
        let reader = &self.reader;
        let begin = || {
            let begun = TransactionConnection::begin(&reader.inner, Purpose::Reading);
            reader.watched(Access::Read, async { Ok::<_, Error>(begun.await?) })
        };
        let transaction = reader.of_transaction(retry_on_lost_connection(begin).await?);
        transaction.take_any_time().await?;
        Ok(transaction)
    }

    /// Waits for SQLite's writer, fairly among callers: its pool would serve requests in order of arrival, so that one
    /// caller could fill the queue.
    async fn writer_permit(&self) -> Result<Option<Permit<Flow>>, DbErr> {
        if self.writer.dialect != Dialect::Sqlite {
            return Ok(None);
        }
        let flow = RequestBudget::current().and_then(|budget| budget.flow().cloned());
        let mut permit = pin!(self.writer_queue.acquire(flow.unwrap_or(Flow::Internal)));
        loop {
            let begun = self.writer_begun.load(Relaxed);
            let waited = timeout(self.acquire_timeout, &mut permit).await;
            // The queue advances while other writes begin.
            let is_stuck = self.writer_begun.load(Relaxed) == begun;
            match waited {
                Ok(Ok(permit)) => return Ok(Some(permit)),
                Err(_) if !is_stuck => {}
                Ok(Err(QueueFull)) | Err(_) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
            }
        }
    }

    /// Ends a transaction according to the step. Only a confirmed COMMIT returns the output of [`Step::Commit`].
    async fn end<T>(
        &self,
        transaction: Transaction,
        step: Result<Step<T>>,
        deadline: Option<Deadline>,
    ) -> Result<Option<T>> {
        let transaction = transaction.inner;
        let is_late = deadline.is_some_and(Deadline::is_over);
        let ended = match step {
            Ok(Step::Commit(output)) if !is_late => self.commit(transaction).await.map(|()| Some(output)),
            step => {
                // Nothing is stored even if this fails: a connection whose rollback fails is closed.
                let _ = self.writer.watched(Access::Write, transaction.rollback()).await;
                match step {
                    Ok(Step::Commit(_)) => Err(Error::TimedOut),
                    Ok(Step::Discard(output)) => Ok(Some(output)),
                    Ok(Step::Again) => Ok(None),
                    // The caller needs this error, not the one of the rollback.
                    Err(error) => Err(error),
                }
            }
        };
        if let (Err(error), Some(availability)) = (&ended, &self.writer.availability) {
            availability.report(Access::Write, error);
        }
        ended
    }

    async fn commit(&self, transaction: TransactionConnection) -> Result<()> {
        let commit = self.writer.metrics.committing(transaction.commit());
        self.writer.watched(Access::Write, commit).await?;
        if let Some(availability) = &self.writer.availability {
            availability.committed();
        }
        self.committed.notify_one();
        self.check_file()
    }

    /// Waits for a commit of this process after the previous call. Only one task at a time may wait.
    pub async fn next_commit(&self) {
        self.committed.notified().await;
    }

    /// Fails when the SQLite file was removed, renamed or replaced since it was opened.
    fn check_file(&self) -> Result<()> {
        match &self.file {
            Some(file) if !file.is_in_place() => Err(Error::Unavailable(Cause::FileGone)),
            _ => Ok(()),
        }
    }

    /// Returns true when the database is known to answer reads and refuse changes.
    pub fn accepts_no_changes(&self) -> bool {
        let availability = self.writer.availability.as_ref();
        availability.is_some_and(|availability| availability.accepts_no_changes())
    }

    /// Returns true when the log has a line about the outage behind an error, or will have one if the outage lasts.
    pub fn logs_outage_of(&self, error: &Error) -> bool {
        let is_known = |availability: &Arc<Availability>| availability.check().is_err();
        match error {
            Error::Unavailable(cause) if cause.is_about_reaching() => true,
            Error::Unavailable(_) | Error::ReadOnly => self.reader.availability.as_ref().is_some_and(is_known),
            _ => false,
        }
    }
}
