//! Opens the database for a command, and says in one sentence why that failed.

use std::time::Duration;

use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};

use super::Failure;
use crate::config::Config;

/// Connects, creating the SQLite file if it isn't there.
pub(super) async fn open(config: &Config) -> Result<DatabaseConnection, Failure> {
    let patience = Duration::from_secs(config.database.acquire_timeout_seconds);
    let mut options = ConnectOptions::new(config.database_url.reveal());
    options
        .max_connections(config.database.max_connections)
        .connect_timeout(patience)
        .acquire_timeout(patience)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(|sqlite| sqlite.create_if_missing(true));
    sea_orm::Database::connect(options).await.map_err(|error| {
        Failure::new(format!(
            "can't open the database {}: {}",
            config.database_url,
            reason(&error, patience)
        ))
    })
}

/// Drivers speak of neither password nor data when a connection fails; this drops the library's own preambles.
fn reason(error: &DbErr, patience: Duration) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error)) => match &**error {
            sea_orm::SqlxError::PoolTimedOut => format!("it accepts no connection within {} s", patience.as_secs()),
            sea_orm::SqlxError::Database(error) => error.message().to_owned(),
            error => error.to_string(),
        },
        error => error.to_string(),
    }
}
