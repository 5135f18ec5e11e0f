//! Keeps connections open and lends them.
//!
//! A connection is free as soon as its statement has ended. The pool of sqlx asks the database after each use whether
//! the connection still works, in a task of its own: a second round trip for every statement.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use deadpool::managed::{self, Metrics as Usage, PoolError, RecycleError, RecycleResult};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement,
    sqlx::{
        self, ConnectOptions as _, Connection as _, Executor as _, pool::PoolOptions, postgres::PgConnectOptions,
        sqlite::SqliteConnectOptions,
    },
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{
    DatabaseSettings, Dialect,
    interrupter::Interrupter,
    lease::{Lease, PooledConnection},
    metrics::Metrics,
    settings::{Purpose, postgres_session, sqlite_options},
};

/// A connection that has rested for longer is tested before its use: the database may have been restarted.
const TRUSTED: Duration = Duration::from_secs(1);
/// A connection that has rested for longer is closed.
const LONGEST_REST: Duration = Duration::from_secs(10 * 60);
/// An older connection is replaced, because the memory of its session grows.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);
/// The pause between two searches for connections to close.
const REVIEW_INTERVAL: Duration = Duration::from_secs(60);
/// The pauses between two attempts to connect to a database that starts or has no free connection.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause between two looks whether all connections are closed.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// The connections of one purpose. Clones share them.
#[derive(Clone)]
pub struct Pool {
    kind: Kind,
    acquire_timeout: Duration,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
enum Kind {
    Postgres(managed::Pool<Postgres>),
    Sqlite(managed::Pool<Sqlite>),
}

/// Evaluates the expression with the pool of either database.
macro_rules! with_pool {
    ($pool:expr, $inner:ident => $result:expr) => {
        match &$pool.kind {
            Kind::Postgres($inner) => $result,
            Kind::Sqlite($inner) => $result,
        }
    };
}

/// Opens and tests connections to PostgreSQL.
pub(super) struct Postgres(PgConnectOptions);

/// Opens and tests connections to a SQLite file.
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
    interrupter: Interrupter,
}

impl managed::Manager for Postgres {
    type Type = sqlx::PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Self::Type, sqlx::Error> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.0.connect().await {
                Err(error) if is_about_to_accept(&error) => sleep(pause).await,
                connected => return connected,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn recycle(&self, connection: &mut Self::Type, usage: &Usage) -> RecycleResult<sqlx::Error> {
        test(connection, usage).await
    }
}

impl managed::Manager for Sqlite {
    type Type = sqlx::SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Self::Type, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        self.interrupter.clone().watch(&mut connection).await?;
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Self::Type, usage: &Usage) -> RecycleResult<sqlx::Error> {
        test(connection, usage).await
    }
}

async fn test<C: sqlx::Connection>(connection: &mut C, usage: &Usage) -> RecycleResult<sqlx::Error> {
    if usage.age() > LONGEST_LIFE {
        return Err(RecycleError::message("it is old"));
    }
    if usage.last_used() > TRUSTED {
        connection.ping().await?;
    }
    Ok(())
}

/// Returns true for an error of a database that starts, or whose connections are all in use.
fn is_about_to_accept(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

impl Pool {
    /// A pool that has no connection yet. `interrupter` interrupts the statements on SQLite.
    pub(super) fn new(
        url: &str,
        settings: &DatabaseSettings,
        purpose: Purpose,
        interrupter: Option<&Interrupter>,
    ) -> Result<Self, sqlx::Error> {
        let size = settings.connections(Dialect::of(url), purpose) as usize;
        let kind = match interrupter {
            None => Kind::Postgres(open(Postgres(postgres_session(url, settings, purpose)?), size)),
            Some(interrupter) => {
                let manager = Sqlite {
                    options: sqlite_options(url, settings, purpose)?,
                    interrupter: interrupter.clone(),
                };
                Kind::Sqlite(open(manager, size))
            }
        };
        Ok(Self {
            kind,
            acquire_timeout: Duration::from_secs(settings.acquire_timeout_seconds),
            metrics: Arc::default(),
        })
    }

    /// The same connections, with the measurements of their use in `metrics`.
    pub(super) fn measured(&self, metrics: Metrics) -> Self {
        Self {
            metrics: Arc::new(metrics),
            ..self.clone()
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Postgres(_) => Dialect::Postgres,
            Kind::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Waits for a connection, and opens one if none is at rest.
    pub(super) async fn acquire(&self) -> Result<Lease, DbErr> {
        // Boxed: nested in a request's future, they exceed the compiler's limit on the depth of types.
        let acquire = Box::pin(async {
            match &self.kind {
                Kind::Postgres(pool) => pool.get().await.map(PooledConnection::Postgres),
                Kind::Sqlite(pool) => pool.get().await.map(PooledConnection::Sqlite),
            }
        });
        match timeout(self.acquire_timeout, acquire).await {
            Ok(Ok(connection)) => Ok(Lease::new(connection, self.metrics.clone())),
            Ok(Err(PoolError::Closed)) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            Ok(Err(PoolError::Backend(error))) => Err(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))),
            // The other errors are those of settings that this pool doesn't use.
            Ok(Err(_)) | Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    /// As [`Self::acquire`], for a single statement.
    pub(super) async fn acquire_for_statement(&self) -> Result<Lease, DbErr> {
        self.metrics.acquiring(self.acquire()).await
    }

    /// Reads once on a connection of its own, so that a pool whose connections are all in use is no outage.
    pub(super) async fn read_apart(&self) -> Result<(), DbErr> {
        if self.is_closed() {
            return Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed));
        }
        let read = match &self.kind {
            Kind::Postgres(pool) => read_once::<sqlx::Postgres>(&pool.manager().0, "SELECT 1").await,
            // SQLite accesses the file only for statements about it.
            Kind::Sqlite(pool) => {
                let options = &pool.manager().options;
                read_once::<sqlx::Sqlite>(options, "SELECT count(*) FROM sqlite_schema").await
            }
        };
        read.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
    }

    /// A connection of its own for sea-orm's migrations, which accept no other. It must be closed.
    pub(super) fn for_migrations(&self) -> DatabaseConnection {
        match &self.kind {
            Kind::Postgres(pool) => {
                let one = PoolOptions::new()
                    .max_connections(1)
                    .connect_lazy_with(pool.manager().0.clone());
                SqlxPostgresConnector::from_sqlx_postgres_pool(one)
            }
            Kind::Sqlite(pool) => {
                let options = pool.manager().options.clone();
                let one = PoolOptions::new().max_connections(1).connect_lazy_with(options);
                SqlxSqliteConnector::from_sqlx_sqlite_pool(one)
            }
        }
    }

    fn is_closed(&self) -> bool {
        with_pool!(self, pool => pool.is_closed())
    }

    /// The numbers of open connections and of those at rest.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let status = with_pool!(self, pool => pool.status());
        (status.size, status.available)
    }

    /// Refuses to lend connections from now on, closes those at rest, and waits until the others have come back.
    pub(super) async fn close(&self) {
        with_pool!(self, pool => {
            let resting = pool.retain(|_, _| false).removed;
            pool.close();
            for connection in resting {
                let _ = connection.close().await;
            }
        });
        while self.sizes().0 > 0 {
            sleep(CLOSE_PAUSE).await;
        }
    }
}

/// Each statement runs on a connection of its own.
#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect().backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.acquire_for_statement().await?.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.acquire_for_statement().await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.acquire_for_statement().await?.query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.acquire_for_statement().await?.query_all(statement).await
    }
}

fn open<M>(manager: M, size: usize) -> managed::Pool<M>
where
    M: managed::Manager<Type: sqlx::Connection> + 'static,
{
    let pool = managed::Pool::builder(manager)
        .max_size(size)
        // Connections that aren't needed come to rest.
        .queue_mode(managed::QueueMode::Lifo)
        .build()
        .expect("a pool without timeouts needs no runtime");
    if let Ok(runtime) = Handle::try_current() {
        let pool = pool.weak();
        runtime.spawn(async move {
            loop {
                sleep(REVIEW_INTERVAL).await;
                let Some(pool) = pool.upgrade() else { return };
                for connection in pool.retain(|_, usage| usage.last_used() < LONGEST_REST).removed {
                    let _ = connection.close().await;
                }
            }
        });
    }
    pool
}

async fn read_once<DB: sqlx::Database>(
    options: &<DB::Connection as sqlx::Connection>::Options,
    sql: &'static str,
) -> Result<(), sqlx::Error>
where
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    let mut connection = options.connect().await?;
    connection.execute(sql).await?;
    connection.close().await
}
