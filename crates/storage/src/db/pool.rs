//! Keeps connections open and lends them.
//!
//! A connection is free as soon as its statement has ended. The pool of sqlx asks the database after each use whether
//! the connection still works, in a task of its own: a second round trip for every statement.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use deadpool::managed::{self, Metrics as Usage, PoolError};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement,
    sqlx::{self, ConnectOptions as _, Connection as _, Executor as _, pool::PoolOptions},
};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::{
    DatabaseSettings, Dialect, address,
    interrupter::Interrupter,
    lease::{CONNECTION_CLOSE_TIMEOUT, Lease, PoolContext, PooledConnection},
    manager::{Postgres, Sqlite},
    metrics::Metrics,
    settings::{Purpose, postgres_session, sqlite_options},
};

/// A connection that isn't used for this time is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The same for the connection of migrations, which is only needed at the start.
const MIGRATIONS_IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// An older connection is replaced, because the memory of its session grows.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The interval at which the two limits above are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The interval at which closing checks whether all connections have come back.
const CLOSE_INTERVAL: Duration = Duration::from_millis(5);

/// The connections of one purpose. Clones share them.
#[derive(Clone)]
pub struct Pool {
    kind: Kind,
    acquire_timeout: Duration,
    context: Arc<PoolContext>,
    /// For sea-orm's migrations, which accept no other. It has a connection only while they run, and a moment longer.
    migrations: DatabaseConnection,
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

impl Pool {
    /// A pool that has no connection yet. `interrupter` interrupts the statements on SQLite.
    pub(super) fn new(
        url: &str,
        settings: &DatabaseSettings,
        purpose: Purpose,
        interrupter: Option<&Interrupter>,
        outage: &Arc<AtomicBool>,
    ) -> Result<Self, sqlx::Error> {
        let size = settings.connections(Dialect::of(url), purpose) as usize;
        let acquire_timeout = Duration::from_secs(settings.acquire_timeout_seconds);
        let (kind, migrations) = match interrupter {
            None => {
                let options = postgres_session(url, settings, purpose)?;
                let pool = of_migrations(acquire_timeout).connect_lazy_with(options.clone());
                let migrations = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
                (Kind::Postgres(open(Postgres(options), size)), migrations)
            }
            Some(interrupter) => {
                let options = sqlite_options(url, settings, purpose)?;
                let watcher = interrupter.clone();
                let pool = of_migrations(acquire_timeout)
                    .after_connect(move |connection, _| Box::pin(watcher.clone().watch(connection)))
                    .connect_lazy_with(options.clone());
                let manager = Sqlite {
                    options,
                    interrupter: interrupter.clone(),
                };
                let migrations = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
                (Kind::Sqlite(open(manager, size)), migrations)
            }
        };
        let context = PoolContext {
            metrics: Metrics::default(),
            outage: outage.clone(),
            statement_timeout: Duration::from_secs(settings.request_timeout_seconds),
            caches_statements: address::caches_statements(url),
            returning: TaskTracker::new(),
        };
        Ok(Self {
            kind,
            acquire_timeout,
            context: Arc::new(context),
            migrations,
        })
    }

    /// The same connections, with the measurements of their use in `metrics`.
    pub(super) fn measured(&self, metrics: Metrics) -> Self {
        let context = PoolContext {
            metrics,
            outage: self.context.outage.clone(),
            returning: self.context.returning.clone(),
            ..*self.context
        };
        Self {
            context: Arc::new(context),
            ..self.clone()
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Postgres(_) => Dialect::Postgres,
            Kind::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Waits for a connection, and opens one if none is idle.
    pub(super) async fn acquire(&self) -> Result<Lease, DbErr> {
        // Boxed: nested in a request's future, they exceed the compiler's limit on the depth of types.
        let acquire = Box::pin(async {
            match &self.kind {
                Kind::Postgres(pool) => pool.get().await.map(PooledConnection::Postgres),
                Kind::Sqlite(pool) => pool.get().await.map(PooledConnection::Sqlite),
            }
        });
        match timeout(self.acquire_timeout, acquire).await {
            Ok(Ok(connection)) if !self.is_closed() => Ok(Lease::new(connection, self.context.clone())),
            Ok(Ok(_) | Err(PoolError::Closed)) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            Ok(Err(PoolError::Backend(error))) => Err(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))),
            // The other errors are those of settings that this pool doesn't use.
            Ok(Err(_)) | Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    /// As [`Self::acquire`], for a single statement.
    pub(super) async fn acquire_for_statement(&self) -> Result<Lease, DbErr> {
        self.context.metrics.acquiring(self.acquire()).await
    }

    /// Reads once on a connection of its own, so that a pool whose connections are all in use is no outage.
    pub(super) async fn read_on_own_connection(&self) -> Result<(), DbErr> {
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

    /// For sea-orm's migrations.
    pub(super) fn migrations(&self) -> &DatabaseConnection {
        &self.migrations
    }

    /// Returns false if prepared statements must not be reused.
    pub(super) fn caches_statements(&self) -> bool {
        self.context.caches_statements
    }

    fn is_closed(&self) -> bool {
        with_pool!(self, pool => pool.is_closed())
    }

    /// The numbers of open connections and of idle ones.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let status = with_pool!(self, pool => pool.status());
        (status.size, status.available)
    }

    /// Closes the connections that are idle.
    pub(super) async fn close_idle(&self) {
        with_pool!(self, pool => close_all(pool.retain(|_, _| false).removed).await);
    }

    /// Refuses to lend connections from now on, and waits until all are closed.
    pub(super) async fn close(&self) {
        let of_requests = async {
            loop {
                with_pool!(self, pool => {
                    let idle = pool.retain(|_, _| false).removed;
                    pool.close();
                    close_all(idle).await;
                });
                let status = with_pool!(self, pool => pool.status());
                // A connection that is being opened counts as waited for.
                if status.size + status.waiting == 0 {
                    return;
                }
                sleep(CLOSE_INTERVAL).await;
            }
        };
        let (_, ()) = tokio::join!(self.migrations.close_by_ref(), of_requests);
        self.context.returning.close();
        self.context.returning.wait().await;
    }
}

async fn close_all<C: sqlx::Connection>(connections: Vec<C>) {
    for connection in connections {
        let _ = timeout(CONNECTION_CLOSE_TIMEOUT, connection.close()).await;
    }
}

/// One connection, closed soon after its use.
fn of_migrations<DB: sqlx::Database>(acquire_timeout: Duration) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(1)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(MIGRATIONS_IDLE_TIMEOUT)
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
        // Connections that aren't needed become idle.
        .queue_mode(managed::QueueMode::Lifo)
        .build()
        .expect("a pool without timeouts needs no runtime");
    let checked = pool.weak();
    tokio::spawn(async move {
        loop {
            sleep(CHECK_INTERVAL).await;
            let Some(pool) = checked.upgrade() else { return };
            let keep = |_: &M::Type, usage: Usage| usage.last_used() < IDLE_TIMEOUT && usage.age() < MAX_LIFETIME;
            close_all(pool.retain(keep).removed).await;
        }
    });
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use sea_orm::{ConnAcquireErr, ConnectionTrait, DbErr};
    use tokio::time::timeout;

    use super::{super::transaction::TransactionConnection, Pool};
    use crate::db::{DatabaseSettings, interrupter::Interrupter, settings::Purpose};

    /// A pool with one connection to a new SQLite file.
    fn pool(folder: &tempfile::TempDir) -> Pool {
        let file = folder.path().join("clientele.db");
        std::fs::File::create(&file).expect("a file");
        let url = format!("sqlite:{}", file.display());
        let interrupter = Interrupter::new(Duration::from_secs(60));
        let settings = DatabaseSettings::default();
        Pool::new(&url, &settings, Purpose::Writing, Some(&interrupter), &Arc::default()).expect("an address")
    }

    #[tokio::test]
    async fn a_dropped_transaction_is_rolled_back_and_its_connection_lent_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let pool = pool(&folder);
        pool.execute_unprepared("CREATE TABLE written (number INTEGER)")
            .await
            .expect("it runs");
        pool.execute_unprepared("CREATE TEMPORARY TABLE of_connection (number INTEGER)")
            .await
            .expect("it runs");
        let transaction = TransactionConnection::begin(&pool, Purpose::Writing)
            .await
            .expect("it begins");
        let insert = "INSERT INTO written VALUES (1)";
        transaction.execute_unprepared(insert).await.expect("it writes");
        drop(transaction);
        assert_eq!(pool.sizes(), (1, 0));
        // The temporary table is one of the same connection.
        let copied = pool
            .execute_unprepared("INSERT INTO of_connection SELECT number FROM written")
            .await;
        assert_eq!(copied.expect("the connection is free again").rows_affected(), 0);
        assert_eq!(pool.sizes(), (1, 1));
        pool.close().await;
    }

    #[tokio::test]
    async fn closing_waits_for_a_lent_connection_and_lends_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let pool = pool(&folder);
        let lease = pool.acquire().await.expect("it is free");
        let closing = pool.clone();
        let mut closed = tokio::spawn(async move { closing.close().await });
        timeout(Duration::from_millis(50), &mut closed)
            .await
            .expect_err("a connection is lent");
        let refused = pool.acquire().await.map(|_| ());
        assert!(
            matches!(refused, Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))),
            "{refused:?}"
        );
        drop(lease);
        closed.await.expect("no panic");
        assert_eq!(pool.sizes(), (0, 0));
    }
}
