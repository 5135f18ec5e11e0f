//! Connecting for one purpose, and looking at a database without changing it.

use std::{io, sync::Arc, time::Duration};

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{self, ConnectOptions as _, Connection as _, Executor as _},
};
use tokio::time::timeout;

use super::{
    Connection, Database, DatabaseSettings, Dialect,
    availability::{Access, Probe},
    bounds::Bounds,
    settings::{Purpose, options},
    transaction::TransactionConnection,
};
use crate::error::{Cause, Error, Result};

/// Which version of the program the tables are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Ours,
    /// They can be brought up to date; there may be none at all.
    Earlier,
    Later,
}

pub(super) async fn connection(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
) -> Result<Connection<DatabaseConnection>> {
    let dialect = Dialect::of(url);
    let connections = settings.connections(dialect, purpose);
    let bounds = (dialect == Dialect::Sqlite && purpose != Purpose::Writing)
        .then(|| Bounds::new(Duration::from_secs(settings.request_timeout_seconds)));
    let options = options(url, settings, (purpose, connections), bounds.clone());
    let inner = sea_orm::Database::connect(options).await?;
    Ok(Connection {
        inner,
        dialect,
        pooled: true,
        bounds,
        availability: None,
    })
}

/// Probes the database on connections of its own, so that a pool without free connections is no outage.
pub(super) fn probe(
    reader: &DatabaseConnection,
    writer: &DatabaseConnection,
    dialect: Dialect,
    patience: Duration,
) -> Probe {
    let (reader, writer) = (reader.clone(), writer.clone());
    Box::new(move |access| {
        let (reader, writer) = (reader.clone(), writer.clone());
        Box::pin(async move {
            let probing = async {
                match access {
                    Access::Read => probe_reading(&reader, dialect).await,
                    Access::Write => probe_writing(&writer, dialect).await,
                }
            };
            let probed = timeout(patience, probing).await;
            match probed.unwrap_or(Err(Error::Unavailable(Cause::Io(io::ErrorKind::TimedOut)))) {
                // The database answers; connections that are open go on.
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
            // SQLite looks at the file only for a statement about it.
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

/// Commits a change that changes nothing.
async fn probe_writing(pool: &DatabaseConnection, dialect: Dialect) -> Result<()> {
    let transaction = TransactionConnection::begin(pool, dialect, None).await?;
    transaction
        .execute_unprepared("UPDATE definition_version SET version = version")
        .await?;
    Ok(transaction.commit().await?)
}

impl Database {
    /// Connects to a database that is there already, so that it can be looked at and not be written to: as somebody who may
    /// only read it, or to a copy.
    pub async fn connect_to_look(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        let pool = connection(url, settings, Purpose::Looking).await?;
        Ok(Self::new(pool.clone(), pool, settings))
    }

    /// How the tables compare with what this version expects. Changes nothing.
    pub async fn version(&self) -> Result<Version> {
        match Migrator::get_pending_migrations_read_only(&self.reader.inner).await {
            Ok(pending) if pending.is_empty() => Ok(Version::Ours),
            Ok(_) => Ok(Version::Earlier),
            // One was done that isn't known here.
            Err(DbErr::Custom(_)) => Ok(Version::Later),
            Err(error) => Err(error.into()),
        }
    }
}
