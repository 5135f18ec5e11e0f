//! A connection while it is lent by its pool, and the statements on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::Object;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Connection as _,
        postgres::{PgDatabaseError, PgSeverity},
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    Dialect,
    manager::{Postgres, Sqlite},
    metrics::Metrics,
    statement_span,
};

/// The time limit for closing a connection.
pub(super) const CONNECTION_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of a pool, for as long as it is lent. Dropping it gives the connection back: at once if its statements
/// have ended, otherwise once it answers again. A transaction that is still open is rolled back.
pub(super) struct Lease {
    connection: Option<PooledConnection>,
    context: Arc<PoolContext>,
    /// True while a statement runs, after one whose future was dropped, and once the connection is lost.
    is_busy: bool,
    /// True until the database has confirmed the end of a transaction.
    in_transaction: bool,
    /// True while a transaction is open that was begun for a single statement.
    is_implicit: bool,
}

/// Shared by all leases of a pool.
pub(super) struct PoolContext {
    pub metrics: Metrics,
    /// Set while the database is known to be unreachable.
    pub outage: Arc<AtomicBool>,
    /// No statement of a request runs for longer.
    pub statement_timeout: Duration,
    /// False if prepared statements must not be reused, because a pooler may change the session after each transaction.
    /// Each statement then runs in a transaction: the driver prepares and executes it in two messages, which must reach
    /// the same session.
    pub caches_statements: bool,
    /// Gives back the connections that aren't ready, or closes them.
    pub returning: TaskTracker,
}

pub(super) enum PooledConnection {
    Postgres(Object<Postgres>),
    Sqlite(Object<Sqlite>),
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

impl PooledConnection {
    fn is_of_closed_pool(&self) -> bool {
        match self {
            Self::Postgres(pooled) => Object::pool(pooled).is_none_or(|pool| pool.is_closed()),
            Self::Sqlite(pooled) => Object::pool(pooled).is_none_or(|pool| pool.is_closed()),
        }
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(pooled) => Object::take(pooled).close().await,
            Self::Sqlite(pooled) => Object::take(pooled).close().await,
        }
    }

    /// Drops the connection without a message to the database.
    fn abandon(self) {
        match self {
            Self::Postgres(pooled) => drop(Object::take(pooled)),
            Self::Sqlite(pooled) => drop(Object::take(pooled)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let is_ready = !self.is_busy && !self.in_transaction;
        if is_ready && !connection.is_of_closed_pool() {
            return;
        }
        // A host that is down answers neither the test nor the end of the connection.
        let runtime = Handle::try_current()
            .ok()
            .filter(|_| !self.context.outage.load(Ordering::Acquire));
        let Some(runtime) = runtime else {
            return connection.abandon();
        };
        let mut returning = Returning(Self {
            connection: Some(connection),
            context: self.context.clone(),
            ..*self
        });
        let tracker = self.context.returning.clone();
        tracker.spawn_on(async move { returning.0.settle().await }, &runtime);
    }
}

/// A lease whose task gives it back. If the task is dropped, the connection is, too: otherwise it would go back to the
/// pool as it is, perhaps within a transaction.
struct Returning(Lease);

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(connection) = self.0.connection.take() {
            connection.abandon();
        }
    }
}

type Rows<'r> = BoxStream<'r, Result<QueryResult, sqlx::Error>>;

impl Lease {
    pub(super) fn new(connection: PooledConnection, context: Arc<PoolContext>) -> Self {
        Self {
            connection: Some(connection),
            context,
            is_busy: false,
            in_transaction: false,
            is_implicit: false,
        }
    }

    /// Gives back the connection once it is ready for other statements, and closes it if it isn't in time.
    async fn settle(&mut self) {
        let limit = self.context.statement_timeout + CONNECTION_CLOSE_TIMEOUT;
        let until_ready = async {
            if self.is_busy {
                // It answers once its statement has ended.
                with_connection!(self.connection(), connection => connection.ping().await).map_err(query_error)?;
            }
            match self.in_transaction {
                true => self.end("ROLLBACK").await,
                false => Ok(()),
            }
        };
        let ready = timeout(limit, until_ready).await;
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !matches!(ready, Ok(Ok(()))) || connection.is_of_closed_pool() {
            let _ = timeout(CONNECTION_CLOSE_TIMEOUT, connection.close()).await;
        }
    }

    pub(super) async fn execute(&mut self, Statement { sql, values, .. }: Statement) -> Result<ExecResult, DbErr> {
        let begun = self.start().await?;
        let persistent = self.context.caches_statements;
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values)).persistent(persistent);
            query.execute(connection).await.map(ExecResult::from)
        });
        self.finish(begun, &sql, result, DbErr::Exec).await
    }

    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let begun = self.start().await?;
        let result = with_connection!(self.connection(), connection => {
            let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
            result.map(ExecResult::from)
        });
        self.finish(begun, sql, result, DbErr::Exec).await
    }

    pub(super) async fn query_one(
        &mut self,
        Statement { sql, values, .. }: Statement,
    ) -> Result<Option<QueryResult>, DbErr> {
        let begun = self.start().await?;
        let persistent = self.context.caches_statements;
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values)).persistent(persistent);
            let row = query.fetch_optional(connection).await;
            row.map(|row| row.map(QueryResult::from))
        });
        self.finish(begun, &sql, result, DbErr::Query).await
    }

    pub(super) async fn query_all(
        &mut self,
        Statement { sql, values, .. }: Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let begun = self.start().await?;
        let persistent = self.context.caches_statements;
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values)).persistent(persistent);
            let rows = query.fetch_all(connection).await;
            rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
        });
        self.finish(begun, &sql, result, DbErr::Query).await
    }

    /// Passes on each row as it arrives, up to the first error of `take`, which is returned inside.
    pub(super) async fn query_each<E>(
        &mut self,
        Statement { sql, values, .. }: Statement,
        mut take: impl FnMut(&QueryResult) -> Result<(), E>,
    ) -> Result<Result<(), E>, DbErr> {
        let begun = self.start().await?;
        let persistent = self.context.caches_statements;
        let mut rows: Rows<'_> = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values)).persistent(persistent);
            query.fetch(connection).map_ok(QueryResult::from).boxed()
        });
        let result = loop {
            match rows.try_next().await {
                Ok(Some(row)) => match take(&row) {
                    Ok(()) => {}
                    Err(error) => break Ok(Err(error)),
                },
                Ok(None) => break Ok(Ok(())),
                Err(error) => break Err(error),
            }
        };
        drop(rows);
        // They aren't waited for, so the transaction can't be committed: dropping the lease rolls it back.
        let has_more_rows = matches!(result, Ok(Err(_)));
        self.is_implicit &= !has_more_rows;
        let result = self.finish(begun, &sql, result, DbErr::Query).await;
        self.is_busy |= has_more_rows;
        result
    }

    /// Runs a COPY with these rows. Only PostgreSQL has it.
    pub(super) async fn copy(&mut self, sql: &str, rows: &[u8]) -> Result<(), DbErr> {
        let begun = self.start().await?;
        let result = match self.connection() {
            PooledConnection::Postgres(pooled) => Box::pin(copy(pooled, sql, rows)).await,
            PooledConnection::Sqlite(_) => return Err(DbErr::Custom("SQLite has no COPY".to_owned())),
        };
        self.finish(begun, sql, result, DbErr::Exec).await
    }

    /// Begins a transaction, which lasts until [`Self::end`] confirms its end.
    pub(super) async fn begin(&mut self, sql: &'static str) -> Result<(), DbErr> {
        self.in_transaction = true;
        self.control(sql).await
    }

    /// Begins a transaction with a script, and returns the first row of the script's queries.
    pub(super) async fn begin_with(&mut self, sql: &str) -> Result<Option<QueryResult>, DbErr> {
        self.in_transaction = true;
        let begun = self.start().await?;
        let row = with_connection!(self.connection(), connection => {
            let row = Box::pin(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_optional(connection)).await;
            row.map(|row| row.map(QueryResult::from))
        });
        self.finish(begun, sql, row, DbErr::Query).await
    }

    /// Ends a transaction by COMMIT or ROLLBACK.
    ///
    /// On PostgreSQL both end every transaction whose statements have succeeded. SQLite must confirm it.
    pub(super) async fn end(&mut self, sql: &'static str) -> Result<(), DbErr> {
        self.control(sql).await?;
        if let PooledConnection::Sqlite(connection) = self.connection() {
            // sqlx answers `BeginFailed` when `sqlite3_get_autocommit` reports after the statement that no transaction
            // is open.
            match connection.begin_with("SELECT 1").await {
                Err(sqlx::Error::BeginFailed) => {}
                Ok(_) => return Err(DbErr::Custom("the transaction is still open after its end".to_owned())),
                Err(error) => return Err(query_error(error)),
            }
        }
        self.in_transaction = false;
        Ok(())
    }

    /// sqlx's futures are boxed here: nested in a request's future, they exceed the compiler's limit on the depth of
    /// types.
    async fn control(&mut self, sql: &'static str) -> Result<(), DbErr> {
        let begun = Instant::now();
        let executed = with_connection!(self.connection(), connection => {
            Box::pin(sqlx::raw_sql(sql).execute(connection)).await.map(|_| ())
        });
        statement_span::record(self.dialect(), sql, begun.elapsed(), executed.is_err());
        executed.map_err(query_error)
    }

    /// Begins a statement.
    async fn start(&mut self) -> Result<Instant, DbErr> {
        if !self.context.caches_statements && !self.in_transaction {
            self.begin("BEGIN").await?;
            self.is_implicit = true;
        }
        self.is_busy = true;
        Ok(Instant::now())
    }

    async fn finish<T>(
        &mut self,
        begun: Instant,
        sql: &str,
        result: Result<T, sqlx::Error>,
        to_error: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        let elapsed = begun.elapsed();
        self.context.metrics.ran(sql, elapsed, result.is_err());
        statement_span::record(self.dialect(), sql, elapsed, result.is_err());
        self.is_busy = result.as_ref().is_err_and(ends_connection);
        let is_implicit = std::mem::take(&mut self.is_implicit);
        let found = result.map_err(|error| to_error(RuntimeErr::SqlxError(Arc::new(error))))?;
        if is_implicit {
            self.end("COMMIT").await?;
        }
        Ok(found)
    }

    fn dialect(&self) -> Dialect {
        match self.connection {
            Some(PooledConnection::Sqlite(_)) => Dialect::Sqlite,
            _ => Dialect::Postgres,
        }
    }

    fn connection(&mut self) -> &mut PooledConnection {
        self.connection.as_mut().expect("only `drop` takes it")
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

/// Returns true unless the connection works after this error.
fn ends_connection(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return true;
    };
    let of_postgres = error.try_downcast_ref::<PgDatabaseError>();
    of_postgres.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
