//! Opens the database, and all that stands on it, for a command; says in one sentence why that failed.

use std::error::Error as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, RuntimeErr};

use super::Failure;
use crate::Clientele;
use crate::api::health::Ping;
use crate::config::Config;
use crate::db::{Database, Version};
use crate::error::Error;

const LOOK_AT: &str = "look at";
const OF_LATER: &str = "is of a later version than this program: use that one";

/// Connects, creating a SQLite file that isn't there, and brings the tables up to date.
pub(super) async fn migrated(config: &Config) -> Result<Database, Failure> {
    let connecting = Database::connect(config.database_url.reveal(), &config.database);
    let database = connecting.await.map_err(|error| failure("open", config, &error))?;
    match database.migrate().await {
        Ok(()) => Ok(database),
        Err(error) => Err(match database.version().await {
            Ok(Version::Later) => unusable(config, OF_LATER),
            _ => failure("migrate", config, &error),
        }),
    }
}

/// The clients as they are configured, for whoever only looks: nothing is created, migrated or begun, so that it takes no
/// more than the right to read.
pub(super) async fn to_look_at(config: &Config) -> Result<Clientele, Failure> {
    let connecting = Database::connect_to_look(config.database_url.reveal(), &config.database);
    let database = connecting.await.map_err(|error| failure(LOOK_AT, config, &error))?;
    let version = database.version().await;
    let what_to_do = match version.map_err(|error| failure(LOOK_AT, config, &error))? {
        Version::Ours => return Ok(configured(database, config)),
        Version::Earlier => {
            "is of an earlier version, or nothing was ever started on it: use that version, or run `clientele migrate`"
        }
        Version::Later => OF_LATER,
    };
    Err(unusable(config, what_to_do))
}

fn unusable(config: &Config, what_to_do: &str) -> Failure {
    Failure::new(format!("the database {} {what_to_do}", config.database_url))
}

fn configured(database: Database, config: &Config) -> Clientele {
    let clientele = Clientele::new(database, config.clients.clone());
    Clientele {
        idempotency: config.idempotency,
        ..clientele.with_audit(config.audit.clone())
    }
}

/// The clients as they are configured, with their history begun. Every command that writes takes them from here: one that left
/// out a part of the configuration would do the same work by other rules, such as seal the history with another key.
pub(super) async fn clientele(config: &Config) -> Result<Clientele, Failure> {
    let clientele = configured(migrated(config).await?, config);
    let begun = clientele.begin_history(now()).await;
    begun.map_err(|error| failure("write", config, &error))?;
    Ok(clientele)
}

#[expect(clippy::disallowed_methods, reason = "the command line is a door")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Asks whether the database can be read and written.
pub(super) fn ping(database: Database) -> Ping {
    Arc::new(move || {
        let database = database.clone();
        Box::pin(async move { database.check().await.is_ok() })
    })
}

/// The driver's own words are for the person at the terminal, who owns the database. They hold no password.
fn failure(doing: &str, config: &Config, error: &Error) -> Failure {
    let reason = match error {
        Error::Unavailable(_) if doing == LOOK_AT && config.database_url.is_sqlite() => {
            "it must exist, and its directory must be writable".to_owned()
        }
        Error::Unavailable(_) | Error::ReadOnly if config.database_url.is_sqlite() => {
            "its directory must exist, and both must be writable".to_owned()
        }
        Error::Unavailable(_) => format!("no connection within {} s", config.database.acquire_timeout_seconds),
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
