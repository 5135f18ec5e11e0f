//! Runs statements, either on a pool's connections or within one transaction.

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value};
use tokio::time::{Instant, sleep};

use super::{
    Dialect, RecordForm, Step,
    availability::Availability,
    interrupter::Interrupter,
    lease::Lease,
    metrics::{Metrics, UsageGuard},
    pool::Pool,
    probe::{Access, POOLER_INTERVAL, POOLER_LOGIN},
    replicas::Replicas,
    transaction::TransactionConnection,
};
use clientele_core::{
    budget::{ConnectionPermit, Reading, RequestBudget},
    error::{Cause, Error, Result},
};

/// Runs statements on a pool or a transaction, in its dialect.
#[derive(Clone)]
pub struct Connection<C> {
    pub(super) inner: C,
    pub dialect: Dialect,
    /// True when the tables are distributed over several nodes. A statement can then lock rows of only one client, and
    /// the database's functions run on the node of the rows.
    pub distributed: bool,
    /// True when each statement takes a connection of its own. A request may use only some at once.
    pub(super) pooled: bool,
    /// Interrupts statements where the database has no timeout.
    pub(super) interrupter: Option<Interrupter>,
    pub(super) availability: Option<Arc<Availability>>,
    pub(super) metrics: Metrics,
    /// Serve the reads of requests.
    pub(super) replicas: Option<Arc<Replicas>>,
}

pub type Transaction = Connection<TransactionConnection>;

impl<C: ConnectionTrait> Connection<C> {
    /// The form in which this connection selects whole rows.
    pub fn record_form(&self) -> RecordForm {
        match self.dialect {
            Dialect::Postgres if !self.distributed => RecordForm::Record,
            dialect => RecordForm::Json(dialect),
        }
    }

    pub async fn all(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>> {
        Ok(self.query_all_raw(self.statement(sql, values)).await?)
    }

    pub async fn one(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>> {
        Ok(self.query_one_raw(self.statement(sql, values)).await?)
    }

    /// Runs a statement without result rows, and returns the number of affected rows.
    pub async fn run(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<u64> {
        Ok(self.execute_raw(self.statement(sql, values)).await?.rows_affected())
    }

    /// Runs the future that `statement` creates within the limits of this connection.
    async fn bounded<T, F>(&self, statement: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        let _permit = self.permit().await;
        let run = || async {
            match &self.interrupter {
                Some(interrupter) => interrupter.run(&statement).await,
                None => Ok(statement().await?),
            }
        };
        if !self.pooled {
            return self.watched(Access::Read, run()).await;
        }
        retry_on_lost_connection(|| self.watched(Access::Read, run())).await
    }

    /// Runs a statement that only reads on a replica. None if it must run on this connection.
    async fn on_replica<T, F>(&self, statement: impl Fn(Lease) -> F) -> Option<T>
    where
        F: Future<Output = (Lease, Result<T, DbErr>)>,
    {
        let replicas = self.replicas.as_ref().filter(|replicas| replicas.may_read())?;
        let _permit = self.permit().await;
        let reading = async { Ok::<_, Error>(replicas.read(statement).await) };
        // Without the primary, a read fails as it does there.
        self.watched(Access::Read, reading).await.ok().flatten()
    }

    /// Cancels the operation during an outage: nothing else would end it when the database's host is down.
    pub(super) async fn watched<T, E>(
        &self,
        access: Access,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: Clone + From<Error>,
        Error: From<E>,
    {
        match &self.availability {
            Some(availability) => availability.during(access, operation).await,
            None => operation.await,
        }
    }

    /// A permit for one of the connections that the current request may use at once, for as long as it is held.
    pub(super) async fn permit(&self) -> (Option<ConnectionPermit>, Option<UsageGuard>) {
        if !self.pooled {
            return (None, None);
        }
        let permit = match RequestBudget::current() {
            Some(budget) => budget.connection().await,
            None => None,
        };
        (permit, Some(self.metrics.usage_guard()))
    }

    pub(super) fn statement(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.dialect.backend(), sql, values)
    }
}

/// The most attempts: after a restart of the database, each dead connection of a pool is noticed when it is used.
const MOST_LOST_CONNECTIONS: u32 = 32;

/// Repeats an operation without side effects while its connections turn out to be lost, or a pooler waits for its next
/// login.
pub(super) async fn retry_on_lost_connection<T, F>(operation: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let (begun, mut attempts) = (Instant::now(), 1);
    loop {
        match operation().await {
            Err(Error::Unavailable(Cause::PoolerLogin)) if begun.elapsed() < POOLER_LOGIN => {
                sleep(POOLER_INTERVAL).await;
            }
            Err(Error::Unavailable(cause)) if cause.is_lost_connection() && attempts < MOST_LOST_CONNECTIONS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

impl Transaction {
    /// Runs a part of the transaction. Its writes, and only those, are undone unless it ends with [`Step::Commit`].
    ///
    /// # Errors
    /// Those of the part. The transaction is at its end then.
    pub async fn part<T>(&self, part: impl Future<Output = Result<Step<T>>>) -> Result<Step<T>> {
        self.execute_unprepared("SAVEPOINT part").await?;
        let step = part.await?;
        let end = match &step {
            Step::Commit(_) => "RELEASE SAVEPOINT part",
            Step::Discard(_) | Step::Again => "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part",
        };
        self.execute_unprepared(end).await?;
        Ok(step)
    }

    /// Runs a COPY with these rows. Only PostgreSQL has it.
    pub(super) async fn copy(&self, sql: &str, rows: &[u8]) -> Result<()> {
        Ok(self.watched(Access::Read, self.inner.copy(sql, rows)).await?)
    }

    /// Removes the time limits and lock timeouts of requests from this transaction. For one-time work.
    pub async fn take_any_time(&self) -> Result<()> {
        // SQLite interrupts only reads outside transactions.
        if self.dialect == Dialect::Postgres {
            // Only later versions of PostgreSQL have the last one.
            let limits = "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ('lock_timeout', \
                'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')";
            self.all(limits, []).await?;
        }
        Ok(())
    }

    /// Ends a transaction that has only read.
    pub async fn end_reading(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }
}

impl Connection<Pool> {
    /// Runs statements in a transaction on one of these connections.
    pub(super) fn of_transaction(&self, inner: TransactionConnection) -> Transaction {
        Connection {
            inner,
            dialect: self.dialect,
            distributed: self.distributed,
            pooled: false,
            interrupter: None,
            availability: self.availability.clone(),
            metrics: self.metrics.clone(),
            replicas: None,
        }
    }

    /// Runs a statement whose rows may be large. Each row is decoded as it arrives, so that it is in memory only once:
    /// `decode` returns the value and its size in bytes. The bytes stay reserved until the current request is answered.
    ///
    /// # Errors
    /// As [`RequestBudget::hold`]; the remaining rows aren't read then.
    pub async fn each<T>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
        decode: impl Fn(&QueryResult) -> Result<(T, usize)>,
    ) -> Result<Vec<T>> {
        let (found, reading) = self.each_for_now(sql, values, decode).await?;
        reading.keep();
        Ok(found)
    }

    /// As [`each`](Self::each), but the bytes stay reserved only until the returned [`Reading`] is dropped.
    ///
    /// # Errors
    /// As for `each`.
    pub async fn each_for_now<T>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
        decode: impl Fn(&QueryResult) -> Result<(T, usize)>,
    ) -> Result<(Vec<T>, Reading)> {
        let statement = self.statement(sql, values);
        let rows = async |mut lease: Lease| {
            let (mut found, mut reading) = (Vec::new(), Reading::begin());
            let taken = lease.query_each(statement.clone(), |row| {
                let (decoded, bytes) = decode(row)?;
                reading.hold(bytes)?;
                found.push(decoded);
                Ok(())
            });
            let taken = taken.await;
            (lease, taken.map(|taken| taken.map(|()| (found, reading))))
        };
        match self.on_replica(&rows).await {
            Some(found) => found,
            None => {
                let here = async || rows(self.inner.acquire_for_statement().await?).await.1;
                self.bounded(here).await?
            }
        }
    }
}

/// For sea-orm's entities.
#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Connection<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watched(Access::Read, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watched(Access::Read, self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let replica = async |mut lease: Lease| {
            let found = lease.query_one(statement.clone()).await;
            (lease, found)
        };
        if let Some(found) = self.on_replica(replica).await {
            return Ok(found);
        }
        let query = || self.inner.query_one_raw(statement.clone());
        Ok(self.bounded(query).await?)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let replica = async |mut lease: Lease| {
            let found = lease.query_all(statement.clone()).await;
            (lease, found)
        };
        if let Some(found) = self.on_replica(replica).await {
            return Ok(found);
        }
        let query = || self.inner.query_all_raw(statement.clone());
        Ok(self.bounded(query).await?)
    }
}

impl<C> fmt::Debug for Connection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}
