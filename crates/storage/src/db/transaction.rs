//! A database transaction that owns its connection.
//!
//! SQLite ends a transaction by itself on some errors, such as a full disk. A driver that still counts it as open turns
//! the next BEGIN into a savepoint and the next COMMIT into its release: it reports success and stores nothing.
//! Therefore BEGIN, COMMIT and ROLLBACK are sent verbatim. A connection returns to its pool only after the database
//! confirmed that no transaction is open on it. Otherwise it is closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
    sea_query::Values,
    sqlx::{self, AssertSqlSafe, Connection as _, pool::PoolConnection},
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{Mutex, MutexGuard};

use super::{Dialect, metrics::Metrics, settings::Purpose, statement_span};

/// An open transaction. Dropping it closes its connection, so that the database rolls back.
pub struct TransactionConnection {
    connection: Mutex<PooledConnection>,
    dialect: Dialect,
    /// True after a statement failed or was cancelled. PostgreSQL then refuses further statements, but answers COMMIT
    /// with success. SQLite runs further statements, each in a transaction of its own.
    failed: AtomicBool,
    /// True while the connection may be in a transaction.
    open: bool,
    /// None for a probe.
    metrics: Option<Metrics>,
}

enum PooledConnection {
    Postgres(PoolConnection<sqlx::Postgres>),
    Sqlite(PoolConnection<sqlx::Sqlite>),
}

/// Evaluates the expression with the connection of either database.
macro_rules! with_connection {
    ($pooled:expr, $connection:ident => $result:expr) => {
        match $pooled {
            PooledConnection::Postgres(pooled) => {
                let $connection = &mut **pooled;
                $result
            }
            PooledConnection::Sqlite(pooled) => {
                let $connection = &mut **pooled;
                $result
            }
        }
    };
}

impl TransactionConnection {
    /// sqlx's futures are boxed here and in [`Self::control`]: nested in a request's future, they exceed the compiler's
    /// limit on the depth of types.
    pub(super) async fn begin(
        pool: &DatabaseConnection,
        dialect: Dialect,
        purpose: Purpose,
        metrics: Option<Metrics>,
    ) -> Result<Self, DbErr> {
        let connection = match dialect {
            Dialect::Postgres => {
                let acquired = Box::pin(pool.get_postgres_connection_pool().acquire()).await;
                PooledConnection::Postgres(acquired.map_err(acquire_error)?)
            }
            Dialect::Sqlite => {
                let acquired = Box::pin(pool.get_sqlite_connection_pool().acquire()).await;
                PooledConnection::Sqlite(acquired.map_err(acquire_error)?)
            }
        };
        let mut transaction = Self {
            connection: Mutex::new(connection),
            dialect,
            failed: AtomicBool::new(false),
            open: true,
            metrics,
        };
        let begin = match (dialect, purpose) {
            (Dialect::Postgres, Purpose::Writing) => "BEGIN",
            (Dialect::Postgres, _) => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            // A deferred transaction would fail at its first write after another connection has written.
            (Dialect::Sqlite, Purpose::Writing) => "BEGIN IMMEDIATE",
            (Dialect::Sqlite, _) => "BEGIN",
        };
        transaction.control(begin).await?;
        Ok(transaction)
    }

    /// Commits. On an error, either all changes of the transaction are stored or none.
    ///
    /// # Errors
    /// When a statement failed before; then nothing is committed.
    pub(super) async fn commit(mut self) -> Result<(), DbErr> {
        if *self.failed.get_mut() {
            return Err(already_failed());
        }
        self.control("COMMIT").await?;
        self.confirm_end().await
    }

    pub(super) async fn rollback(mut self) -> Result<(), DbErr> {
        self.control("ROLLBACK").await?;
        self.confirm_end().await
    }

    async fn control(&mut self, sql: &'static str) -> Result<(), DbErr> {
        let begun = Instant::now();
        let executed = with_connection!(self.connection.get_mut(), connection => {
            Box::pin(sqlx::raw_sql(sql).execute(connection)).await.map(|_| ())
        });
        statement_span::record(self.dialect, sql, begun.elapsed(), executed.is_err());
        executed.map_err(query_error)
    }

    /// Checks that SQLite is outside any transaction. On PostgreSQL, every successful COMMIT or ROLLBACK ends it.
    /// COMMIT takes effect unless a statement has failed, which `failed` rules out.
    async fn confirm_end(&mut self) -> Result<(), DbErr> {
        if let PooledConnection::Sqlite(connection) = self.connection.get_mut() {
            // sqlx answers `BeginFailed` when `sqlite3_get_autocommit` reports after the statement that no transaction
            // is open.
            match connection.begin_with("SELECT 1").await {
                Err(sqlx::Error::BeginFailed) => {}
                Ok(_) => return Err(DbErr::Custom("the transaction is still open after its end".to_owned())),
                Err(error) => return Err(query_error(error)),
            }
        }
        self.open = false;
        Ok(())
    }

    /// Runs a COPY with these rows. Only PostgreSQL has it.
    pub(super) async fn copy(&self, sql: &str, rows: &[u8]) -> Result<(), DbErr> {
        let mut running = self.start().await?;
        let result = match &mut *running.connection {
            PooledConnection::Postgres(pooled) => Box::pin(copy(pooled, sql, rows)).await,
            PooledConnection::Sqlite(_) => return Err(DbErr::Custom("SQLite has no COPY".to_owned())),
        };
        running.finish(sql, result, DbErr::Exec)
    }

    /// Takes the connection for one statement.
    async fn start(&self) -> Result<Running<'_>, DbErr> {
        let connection = self.connection.lock().await;
        // Set while a statement runs, because its future may be dropped.
        if self.failed.swap(true, Ordering::Relaxed) {
            return Err(already_failed());
        }
        Ok(Running {
            transaction: self,
            connection,
            begun: Instant::now(),
        })
    }
}

impl Drop for TransactionConnection {
    fn drop(&mut self) {
        if self.open {
            match self.connection.get_mut() {
                PooledConnection::Postgres(connection) => connection.close_on_drop(),
                PooledConnection::Sqlite(connection) => connection.close_on_drop(),
            }
        }
    }
}

/// The connection while a statement runs on it.
struct Running<'a> {
    transaction: &'a TransactionConnection,
    connection: MutexGuard<'a, PooledConnection>,
    begun: Instant,
}

impl Running<'_> {
    /// Keeps the transaction usable only if the statement succeeded.
    fn finish<T>(
        self,
        sql: &str,
        result: Result<T, sqlx::Error>,
        to_error: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        let elapsed = self.begun.elapsed();
        if let Some(metrics) = &self.transaction.metrics {
            metrics.ran(sql, elapsed, result.is_err());
        }
        statement_span::record(self.transaction.dialect, sql, elapsed, result.is_err());
        self.transaction.failed.store(result.is_err(), Ordering::Relaxed);
        result.map_err(|error| to_error(RuntimeErr::SqlxError(Arc::new(error))))
    }
}

#[async_trait]
impl ConnectionTrait for TransactionConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect.backend()
    }

    async fn execute_raw(&self, Statement { sql, values, .. }: Statement) -> Result<ExecResult, DbErr> {
        let mut running = self.start().await?;
        let result = with_connection!(&mut *running.connection, connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            query.execute(connection).await.map(ExecResult::from)
        });
        running.finish(&sql, result, DbErr::Exec)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut running = self.start().await?;
        let result = with_connection!(&mut *running.connection, connection => {
            let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
            result.map(ExecResult::from)
        });
        running.finish(sql, result, DbErr::Exec)
    }

    async fn query_one_raw(&self, Statement { sql, values, .. }: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut running = self.start().await?;
        let result = with_connection!(&mut *running.connection, connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            let row = query.fetch_optional(connection).await;
            row.map(|row| row.map(QueryResult::from))
        });
        running.finish(&sql, result, DbErr::Query)
    }

    async fn query_all_raw(&self, Statement { sql, values, .. }: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut running = self.start().await?;
        let result = with_connection!(&mut *running.connection, connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            let rows = query.fetch_all(connection).await;
            rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
        });
        running.finish(&sql, result, DbErr::Query)
    }
}

/// Dropping the future before it ends aborts the COPY.
async fn copy(connection: &mut sqlx::PgConnection, sql: &str, rows: &[u8]) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(sql).await?;
    copy.send(rows).await?;
    copy.finish().await.map(|_| ())
}

fn bound(values: Option<Values>) -> SqlxValues {
    SqlxValues(values.unwrap_or(Values(Vec::new())))
}

fn already_failed() -> DbErr {
    DbErr::Custom("a statement of the transaction has failed before".to_owned())
}

fn acquire_error(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))),
    }
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
