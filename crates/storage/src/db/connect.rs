//! Opens a database: creates it if requested, connects for one purpose, and reads the version of its tables.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use migration::{Migrator, MigratorTrait};
use rand::RngExt;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{self, ConnectOptions as _, Connection as _, Executor as _},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Connection, Database, DatabaseSettings, Dialect,
    availability::{Access, OutageFlag, Probe},
    bounds::Bounds,
    metrics::Metrics,
    settings::{Purpose, options},
    sqlite_file::SqliteFile,
    transaction::TransactionConnection,
};
use clientele_core::error::{Cause, Error, Result};

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

/// The longest wait for a lock, over all attempts.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Calls [`connect_once`] again while another process has SQLite's file locked: turning write-ahead logging on doesn't
/// wait.
async fn connection(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
    outage: &OutageFlag,
) -> Result<(Connection<DatabaseConnection>, Option<Bounds>)> {
    let begun = Instant::now();
    loop {
        match connect_once(url, settings, purpose, outage).await {
            Err(Error::Conflict) if begun.elapsed() < LOCK_TIMEOUT => {
                let pause = rand::rng().random_range(Duration::ZERO..LOCK_PAUSE);
                sleep(pause).await;
            }
            connected => return connected,
        }
    }
}

/// Opens a pool. On SQLite, also returns the bounds that interrupt its statements.
async fn connect_once(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
    outage: &OutageFlag,
) -> Result<(Connection<DatabaseConnection>, Option<Bounds>)> {
    let dialect = Dialect::of(url);
    let connections = settings.connections(dialect, purpose);
    let bounds =
        (dialect == Dialect::Sqlite).then(|| Bounds::new(Duration::from_secs(settings.request_timeout_seconds)));
    let options = options(url, settings, (purpose, connections), bounds.clone(), outage);
    let inner = sea_orm::Database::connect(options).await?;
    let connection = Connection {
        inner,
        dialect,
        pooled: true,
        // The writer's statements are never repeated.
        bounds: bounds.clone().filter(|_| purpose != Purpose::Writing),
        availability: None,
        metrics: Metrics::default(),
    };
    Ok((connection, bounds))
}

/// Creates a probe of the database. Reads use connections of their own, so that an exhausted pool is no outage.
pub(super) fn probe(database: &Database, patience: Duration) -> Probe {
    let (reader, writer) = (database.reader.inner.clone(), database.writer.inner.clone());
    let (dialect, file) = (database.writer.dialect, database.file.clone());
    Box::new(move |access| {
        let (reader, writer, file) = (reader.clone(), writer.clone(), file.clone());
        Box::pin(async move {
            let probing = async {
                match access {
                    Access::Read => probe_reading(&reader, dialect).await,
                    Access::Write if file.is_some_and(|file| !file.is_in_place()) => {
                        Err(Error::Unavailable(Cause::FileGone))
                    }
                    Access::Write => probe_writing(&writer, dialect).await,
                }
            };
            let probed = timeout(patience, probing).await;
            match probed.unwrap_or(Err(Error::Unavailable(Cause::Io(io::ErrorKind::TimedOut)))) {
                // The database answers, and existing connections keep working.
                Err(Error::Unavailable(Cause::Postgres(state))) if &state == b"53300" => Ok(()),
                probed => probed,
            }
        })
    })
}

async fn probe_reading(pool: &DatabaseConnection, dialect: Dialect) -> Result<()> {
    let probed = match dialect {
        Dialect::Postgres => {
            let pool = pool.get_postgres_connection_pool();
            if pool.is_closed() {
                return Err(Error::Unavailable(Cause::Closed));
            }
            read_once::<sqlx::Postgres>(&pool.connect_options(), "SELECT 1").await
        }
        Dialect::Sqlite => {
            let pool = pool.get_sqlite_connection_pool();
            if pool.is_closed() {
                return Err(Error::Unavailable(Cause::Closed));
            }
            let options = (*pool.connect_options()).clone().create_if_missing(false);
            // SQLite accesses the file only for statements about it.
            read_once::<sqlx::Sqlite>(&options, "SELECT count(*) FROM sqlite_schema").await
        }
    };
    probed.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))).into())
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

/// Commits an empty change.
async fn probe_writing(pool: &DatabaseConnection, dialect: Dialect) -> Result<()> {
    let transaction = TransactionConnection::begin(pool, dialect, None).await?;
    transaction
        .execute_unprepared("UPDATE definition_version SET version = version")
        .await?;
    Ok(transaction.commit().await?)
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
        let outage = OutageFlag::default();
        // On SQLite, the writer is opened first: it turns write-ahead logging on.
        let (writer, writer_bounds) = connection(url, settings, Purpose::Writing, &outage).await?;
        let open = |reader, writer| Self {
            file,
            writer_bounds,
            ..Self::new(reader, writer, settings)
        };
        if writer.dialect == Dialect::Postgres {
            return Ok(open(writer.clone(), writer).watched(settings, outage));
        }
        match connection(url, settings, Purpose::Reading, &outage).await {
            Ok((reader, _)) => Ok(open(reader, writer).watched(settings, outage)),
            Err(error) => {
                open(writer.clone(), writer).close().await;
                Err(error)
            }
        }
    }

    /// Connects to an existing database without writing to it: as a user with read access only, or to a copy.
    pub async fn connect_to_look(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        let (pool, _) = connection(url, settings, Purpose::Looking, &OutageFlag::default()).await?;
        Ok(Self {
            file: sqlite_file(url)?,
            ..Self::new(pool.clone(), pool, settings)
        })
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

fn sqlite_file(url: &str) -> Result<Option<SqliteFile>> {
    match Dialect::of(url) {
        Dialect::Sqlite => SqliteFile::of(url).map(Some).map_err(from_driver),
        Dialect::Postgres => Ok(None),
    }
}

fn from_driver(error: sqlx::Error) -> Error {
    DbErr::Conn(RuntimeErr::SqlxError(error.into())).into()
}
