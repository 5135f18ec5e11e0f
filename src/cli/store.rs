//! Opens the database for a command, and says in one sentence why that failed.

use std::error::Error as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, RuntimeErr};

use super::Failure;
use crate::Clientele;
use crate::api::health::Ping;
use crate::config::Config;
use crate::db::Database;
use crate::error::Error;

/// Connects, creating a SQLite file that isn't there, brings the tables up to date, and begins the history: for whatever
/// writes.
pub(super) async fn open(config: &Config) -> Result<Database, Failure> {
    let database = migrated(config).await?;
    let clientele = Clientele::new(database, config.clients.clone()).with_audit(config.audit.clone());
    let begun = clientele.begin_history(now()).await;
    begun.map_err(|error| failure("write", config, &error))?;
    Ok(clientele.db)
}

#[expect(clippy::disallowed_methods, reason = "the command line is a door")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The same without beginning the history, which is for nobody to do who only looks at it.
pub(super) async fn migrated(config: &Config) -> Result<Database, Failure> {
    let connecting = Database::connect(config.database_url.reveal(), &config.database);
    let database = connecting.await.map_err(|error| failure("open", config, &error))?;
    database
        .migrate()
        .await
        .map_err(|error| failure("migrate", config, &error))?;
    Ok(database)
}

/// Asks the database whether it answers.
pub(super) fn ping(database: Database) -> Ping {
    Arc::new(move || {
        let database = database.clone();
        Box::pin(async move { database.ping().await.is_ok() })
    })
}

/// The driver's own words are for the person at the terminal, who owns the database. They hold no password.
fn failure(doing: &str, config: &Config, error: &Error) -> Failure {
    let reason = match error {
        Error::Unavailable | Error::ReadOnly if config.database_url.is_sqlite() => {
            "its directory must exist, and both must be writable".to_owned()
        }
        Error::Unavailable => format!("no connection within {} s", config.database.acquire_timeout_seconds),
        error => error.source().map_or_else(|| error.to_string(), in_its_own_words),
    };
    Failure::new(format!("can't {doing} the database {}: {reason}", config.database_url))
}

/// The database's own words, without the preambles of the libraries between it and us. A library's words would quote the
/// address, password and all.
fn in_its_own_words(source: &(dyn std::error::Error + 'static)) -> String {
    let error = match source.downcast_ref() {
        Some(DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) => error,
        _ => return "its address can't be read; special characters of a password must be percent-encoded".to_owned(),
    };
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}
