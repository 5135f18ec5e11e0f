//! Explains why a database can't be opened or used: one sentence with the cause and the remedy.

mod postgres;
mod sqlite;

use sea_orm::{DbErr, RuntimeErr, sqlx};

pub(super) use self::postgres::{certificate_files, explain_statement as explain_postgres};
use super::Failure;
use crate::config::Config;
use clientele_core::error::{Cause, Error};
use clientele_storage::db::sqlite_path;

/// Checks the file, or connects once, before the pool does: the pool retries for seconds, and discards the cause.
pub(super) async fn check(config: &Config) -> Result<(), Failure> {
    let url = config.database_url.reveal();
    let checked = match sqlite_path(url) {
        Some(file) => sqlite::check(&file),
        None => postgres::check(url, &config.database).await,
    };
    checked.map_err(|reason| cannot("open", config, &reason))
}

/// A failure of the opened database during the start. `doing` is the failed action, as in "migrate".
pub(super) async fn failure(doing: &str, config: &Config, error: &Error) -> Failure {
    let url = config.database_url.reveal();
    let reason = match (driver_error(error), error) {
        (Some(error), _) if config.database_url.is_sqlite() => sqlite::explain(error),
        (Some(error), _) => postgres::explain_statement(error),
        (None, Error::Unavailable(Cause::Sqlite(code))) if !sqlite::is_about_opening(*code) => {
            sqlite::explain_code(*code)
        }
        (None, Error::Unavailable(_) | Error::ReadOnly | Error::Conflict) if config.database_url.is_sqlite() => {
            sqlite::find_cause(url).await
        }
        (None, Error::ReadOnly) => {
            "it is read-only (default_transaction_read_only is on, or it is a standby): use one that \
                                    accepts changes"
                .to_owned()
        }
        (None, Error::Conflict) if doing == "migrate" => {
            "other sessions have kept a table locked for a minute: end them (a backup or a long transaction), then \
             start again"
                .to_owned()
        }
        (None, Error::Unavailable(cause)) => format!("the server doesn't answer any more ({cause}): look at its log"),
        (None, error) => migration_text(error).unwrap_or_else(|| error.kind()),
    };
    cannot(doing, config, &reason)
}

fn cannot(doing: &str, config: &Config, reason: &str) -> Failure {
    Failure::new(format!("can't {doing} the database {}: {reason}", config.database_url))
}

/// The message of a migration that can't be applied to the stored rows.
pub(super) fn migration_text(error: &Error) -> Option<String> {
    match error {
        Error::Internal(cause) => match cause.downcast_ref()? {
            DbErr::Migration(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The reason why a SQLite database can't be copied.
pub(super) fn explain_copying(error: &DbErr) -> String {
    match from_driver(error) {
        Some(error) => sqlite::explain(error),
        None => error.to_string(),
    }
}

fn driver_error(error: &Error) -> Option<&sqlx::Error> {
    match error {
        Error::Internal(cause) => from_driver(cause.downcast_ref()?),
        _ => None,
    }
}

fn from_driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => match cause {
            RuntimeErr::SqlxError(error) => Some(error),
            RuntimeErr::Internal(_) => None,
        },
        _ => None,
    }
}
