//! Probes a database: tries a read or a write on a connection that no request uses.

use std::{io, sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{self, ConnectOptions as _, Connection as _, Executor as _},
};
use tokio::time::timeout;

use super::{Dialect, settings::Purpose, sqlite_file::SqliteFile, transaction::TransactionConnection};
use clientele_core::error::{Cause, Error, Result};

/// The kind of a tried or failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The pools to probe.
pub(super) struct Probe {
    pub reader: DatabaseConnection,
    pub writer: DatabaseConnection,
    pub dialect: Dialect,
    pub file: Option<SqliteFile>,
    /// A database that doesn't answer for this long is unavailable.
    pub time_limit: Duration,
}

impl Probe {
    pub async fn run(&self, access: Access) -> Result<()> {
        let probing = async {
            match access {
                Access::Read => probe_reading(&self.reader, self.dialect).await,
                Access::Write if self.file.as_ref().is_some_and(|file| !file.is_in_place()) => {
                    Err(Error::Unavailable(Cause::FileGone))
                }
                Access::Write => probe_writing(&self.writer, self.dialect).await,
            }
        };
        let probed = timeout(self.time_limit, probing).await;
        match probed.unwrap_or(Err(Error::Unavailable(Cause::Io(io::ErrorKind::TimedOut)))) {
            // The database answers, and existing connections keep working.
            Err(Error::Unavailable(Cause::Postgres(state))) if &state == b"53300" => Ok(()),
            probed => probed,
        }
    }
}

/// Uses a connection of its own, so that an exhausted pool is no outage.
async fn probe_reading(pool: &DatabaseConnection, dialect: Dialect) -> Result<()> {
    let is_closed = match dialect {
        Dialect::Postgres => pool.get_postgres_connection_pool().is_closed(),
        Dialect::Sqlite => pool.get_sqlite_connection_pool().is_closed(),
    };
    if is_closed {
        return Err(Error::Unavailable(Cause::Closed));
    }
    let probed = match dialect {
        Dialect::Postgres => {
            let options = pool.get_postgres_connection_pool().connect_options();
            read_once::<sqlx::Postgres>(&options, "SELECT 1").await
        }
        Dialect::Sqlite => {
            let options = pool.get_sqlite_connection_pool().connect_options();
            let options = (*options).clone().create_if_missing(false);
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
    let transaction = TransactionConnection::begin(pool, dialect, Purpose::Writing, None).await?;
    transaction
        .execute_unprepared("UPDATE definition_version SET version = version")
        .await?;
    Ok(transaction.commit().await?)
}
