//! A connection while it is lent by its pool, and the statements on it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::Object;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sea_query::Values,
    sqlx::{self, AssertSqlSafe, Connection as _},
};
use sea_query_sqlx::SqlxValues;
use tokio::{runtime::Handle, time::timeout};

use super::{
    Dialect,
    metrics::Metrics,
    pool::{Postgres, Sqlite},
    statement_span,
};

/// The longest wait for the end of a statement whose caller has gone, and for a connection to close.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of a pool. It goes back when this is dropped: at once after a statement that has ended, otherwise once
/// it has been tested.
pub struct Lease {
    connection: Option<PooledConnection>,
    metrics: Arc<Metrics>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No statement runs.
    Resting,
    /// A statement runs, or the connection may be lost.
    Uncertain,
    /// A transaction may be open.
    InTransaction,
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
    async fn works(&mut self) -> bool {
        with_connection!(self, connection => connection.ping().await.is_ok())
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(pooled) => Object::take(pooled).close().await,
            Self::Sqlite(pooled) => Object::take(pooled).close().await,
        }
    }

    /// Closes the connection without a word to the database.
    fn abandon(self) {
        match self {
            Self::Postgres(pooled) => drop(Object::take(pooled)),
            Self::Sqlite(pooled) => drop(Object::take(pooled)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| self.state != State::Resting) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return connection.abandon();
        };
        let in_transaction = self.state == State::InTransaction;
        runtime.spawn(async move {
            // It answers once a running statement has ended.
            let works = timeout(END_TIMEOUT, connection.works()).await.unwrap_or_default();
            if in_transaction || !works {
                let _ = timeout(END_TIMEOUT, connection.close()).await;
            }
        });
    }
}

type Rows<'r> = BoxStream<'r, Result<QueryResult, sqlx::Error>>;

/// A statement that runs.
struct Running {
    begun: Instant,
    before: State,
}

impl Lease {
    pub(super) fn new(connection: PooledConnection, metrics: Arc<Metrics>) -> Self {
        Self {
            connection: Some(connection),
            metrics,
            state: State::Resting,
        }
    }

    pub(super) async fn execute(&mut self, Statement { sql, values, .. }: Statement) -> Result<ExecResult, DbErr> {
        let running = self.start();
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            query.execute(connection).await.map(ExecResult::from)
        });
        self.finish(&running, &sql, result, DbErr::Exec)
    }

    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let running = self.start();
        let result = with_connection!(self.connection(), connection => {
            let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
            result.map(ExecResult::from)
        });
        self.finish(&running, sql, result, DbErr::Exec)
    }

    pub(super) async fn query_one(
        &mut self,
        Statement { sql, values, .. }: Statement,
    ) -> Result<Option<QueryResult>, DbErr> {
        let running = self.start();
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            let row = query.fetch_optional(connection).await;
            row.map(|row| row.map(QueryResult::from))
        });
        self.finish(&running, &sql, result, DbErr::Query)
    }

    pub(super) async fn query_all(
        &mut self,
        Statement { sql, values, .. }: Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let running = self.start();
        let result = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
            let rows = query.fetch_all(connection).await;
            rows.map(|rows| rows.into_iter().map(QueryResult::from).collect())
        });
        self.finish(&running, &sql, result, DbErr::Query)
    }

    /// Passes on each row as it arrives, up to the first error of `take`, which is returned inside.
    pub(super) async fn query_each<E>(
        &mut self,
        Statement { sql, values, .. }: Statement,
        mut take: impl FnMut(&QueryResult) -> Result<(), E>,
    ) -> Result<Result<(), E>, DbErr> {
        let running = self.start();
        let mut rows: Rows<'_> = with_connection!(self.connection(), connection => {
            let query = sqlx::query_with(AssertSqlSafe(&*sql), bound(values));
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
        let is_complete = !matches!(result, Ok(Err(_)));
        let result = self.finish(&running, &sql, result, DbErr::Query);
        if !is_complete && running.before == State::Resting {
            self.state = State::Uncertain;
        }
        result
    }

    /// Runs a COPY with these rows. Only PostgreSQL has it.
    pub(super) async fn copy(&mut self, sql: &str, rows: &[u8]) -> Result<(), DbErr> {
        let running = self.start();
        let result = match self.connection() {
            PooledConnection::Postgres(pooled) => Box::pin(copy(pooled, sql, rows)).await,
            PooledConnection::Sqlite(_) => return Err(DbErr::Custom("SQLite has no COPY".to_owned())),
        };
        self.finish(&running, sql, result, DbErr::Exec)
    }

    /// Begins a transaction. Until [`Self::end`] confirms its end, dropping the lease closes the connection.
    pub(super) async fn begin(&mut self, sql: &'static str) -> Result<(), DbErr> {
        self.state = State::InTransaction;
        self.control(sql).await
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
        self.state = State::Resting;
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

    fn start(&mut self) -> Running {
        let before = self.state;
        if before == State::Resting {
            self.state = State::Uncertain;
        }
        Running {
            begun: Instant::now(),
            before,
        }
    }

    fn finish<T>(
        &mut self,
        running: &Running,
        sql: &str,
        result: Result<T, sqlx::Error>,
        to_error: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        let elapsed = running.begun.elapsed();
        self.metrics.ran(sql, elapsed, result.is_err());
        statement_span::record(self.dialect(), sql, elapsed, result.is_err());
        if matches!(result, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.state = running.before;
        }
        result.map_err(|error| to_error(RuntimeErr::SqlxError(Arc::new(error))))
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

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
