//! Running statements, whether each takes a connection of a pool or all of them are of one transaction.

use std::{future::Future, pin::pin};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement, StreamTrait, Value,
};

use super::{
    Dialect,
    availability::{Access, Availability, KnownOutage},
    bounds::Bounds,
    metrics::{Metrics, WaitGuard},
    transaction::TransactionConnection,
};
use clientele_core::{
    budget::{Allowance, ConnectionPlace, Reading},
    error::{Error, Result},
};

/// Something that runs statements: a pool or a transaction, with the dialect it speaks.
#[derive(Clone, Debug)]
pub struct Connection<C> {
    pub(super) inner: C,
    pub dialect: Dialect,
    /// Whether each statement takes a connection of its own. A request may use only some at once.
    pub(super) pooled: bool,
    /// For what the database doesn't end by itself.
    pub(super) bounds: Option<Bounds>,
    pub(super) availability: Option<Availability>,
    pub(super) metrics: Metrics,
}

pub type Transaction = Connection<TransactionConnection>;

impl<C: ConnectionTrait> Connection<C> {
    pub async fn all(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>> {
        let statement = self.statement(sql, values);
        self.bounded(|| self.measured(self.inner.query_all_raw(statement.clone())))
            .await
    }

    pub async fn one(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>> {
        let statement = self.statement(sql, values);
        self.bounded(|| self.measured(self.inner.query_one_raw(statement.clone())))
            .await
    }

    /// Runs a statement that answers no rows, and says how many it touched.
    pub async fn run(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Result<u64> {
        Ok(self.execute_raw(self.statement(sql, values)).await?.rows_affected())
    }

    /// Runs what `statement` makes within the limits of this connection.
    async fn bounded<T, F>(&self, statement: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        let _place = self.place().await;
        let run = || async {
            match &self.bounds {
                Some(bounds) => bounds.run(&statement).await,
                None => Ok(statement().await?),
            }
        };
        if !self.pooled {
            return self.watched(run()).await;
        }
        retry_on_lost_connection(|| self.watched(run())).await
    }

    /// Gives the operation up during an outage: nothing else would end it when the host of the database is gone.
    async fn watched<T, E>(&self, operation: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: Clone + From<KnownOutage>,
        Error: From<E>,
    {
        match &self.availability {
            Some(availability) => availability.during(Access::Read, operation).await,
            None => operation.await,
        }
    }

    /// One of the connections that the current request may use at once, for as long as it is kept.
    pub(super) async fn place(&self) -> (Option<ConnectionPlace>, Option<WaitGuard>) {
        if !self.pooled {
            return (None, None);
        }
        let place = match Allowance::current() {
            Some(allowance) => allowance.connection().await,
            None => None,
        };
        (place, Some(self.metrics.want()))
    }

    /// Measures how long a statement waits for a connection, if it takes one of its own.
    async fn measured<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        match self.pooled {
            true => self.metrics.waiting(statement).await,
            false => statement.await,
        }
    }

    fn statement(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.dialect.backend(), sql, values)
    }
}

/// A restarted database leaves a pool of dead connections, each of which is noticed when it is used.
const MOST_LOST_CONNECTIONS: u32 = 32;

/// Repeats an operation that has no effect when it fails, while the connections it gets turn out to be lost.
pub(super) async fn retry_on_lost_connection<T, F>(operation: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut attempts = 1;
    loop {
        match operation().await {
            Err(Error::Unavailable(cause)) if cause.is_lost_connection() && attempts < MOST_LOST_CONNECTIONS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

impl Transaction {
    /// Lets the statements of this transaction take longer, and wait longer, than those of requests: for what is done
    /// once.
    pub async fn take_any_time(&self) -> Result<()> {
        // SQLite ends only what readers run.
        if self.dialect == Dialect::Postgres {
            self.run("SET LOCAL lock_timeout = 0", []).await?;
            self.run("SET LOCAL statement_timeout = 0", []).await?;
        }
        Ok(())
    }
}

impl Connection<DatabaseConnection> {
    /// Runs a statement whose rows may be large. Each is read as it comes, so that it is in memory only once: `decode`
    /// makes something of it, and says how many bytes that is. They stay held until the current request is answered.
    ///
    /// # Errors
    /// As [`Allowance::hold`]: the rest of the rows isn't read then.
    pub async fn each<T>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
        decode: impl Fn(&QueryResult) -> Result<(T, usize)>,
    ) -> Result<Vec<T>> {
        let statement = self.statement(sql, values);
        let read = async || {
            let (mut found, mut reading) = (Vec::new(), Reading::begin());
            // All that is waited for before the first row is the connection.
            let stream = self.metrics.acquiring(self.inner.stream_raw(statement.clone()));
            let mut rows = pin!(stream.await?);
            while let Some(row) = rows.try_next().await? {
                let decoded = decode(&row).and_then(|(decoded, bytes)| reading.hold(bytes).map(|()| decoded));
                match decoded {
                    Ok(decoded) => found.push(decoded),
                    Err(error) => return Ok(Err(error)),
                }
            }
            reading.keep();
            Ok(Ok(found))
        };
        self.bounded(read).await?
    }
}

/// For sea-orm's entities.
#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Connection<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watched(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watched(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let query = || self.measured(self.inner.query_one_raw(statement.clone()));
        Ok(self.bounded(query).await?)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let query = || self.measured(self.inner.query_all_raw(statement.clone()));
        Ok(self.bounded(query).await?)
    }
}
