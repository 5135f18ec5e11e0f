//! Opens the connections of a pool, and tests them before they are lent.

use std::time::Duration;

use deadpool::managed::{self, Metrics as Usage, RecycleResult};
use sea_orm::sqlx::{self, ConnectOptions as _, postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tokio::time::sleep;

use super::interrupter::Interrupter;
use clientele_core::error::is_pooler_login;

/// A connection is tested before its use after this time: the database may have been restarted.
const PING_AFTER: Duration = Duration::from_secs(1);
/// The pauses between two attempts to connect to a database that starts or has no free connection.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Opens and tests connections to PostgreSQL.
pub(super) struct Postgres(pub PgConnectOptions);

/// Opens and tests connections to a SQLite file.
pub(super) struct Sqlite {
    pub options: SqliteConnectOptions,
    pub interrupter: Interrupter,
}

impl managed::Manager for Postgres {
    type Type = sqlx::PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Self::Type, sqlx::Error> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.0.connect().await {
                Err(error) if is_transient(&error) => sleep(pause).await,
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
    if usage.last_used() > PING_AFTER {
        connection.ping().await?;
    }
    Ok(())
}

/// Returns true for an error of a database that starts, or whose connections are all in use, and of a pooler that tries
/// to reach it again.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase() || is_pooler_login(&**error),
        _ => false,
    }
}
