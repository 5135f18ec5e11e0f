//! Opens the database for a command, and says in one sentence why that failed.

use std::error::Error as _;

use super::Failure;
use crate::config::Config;
use crate::db::Database;
use crate::error::Error;

/// Connects, creating a SQLite file that isn't there, and brings the tables up to date.
pub(super) async fn open(config: &Config) -> Result<Database, Failure> {
    let failure = |doing: &str, error: &Error| {
        let hint = if config.database_url.is_sqlite() {
            " (does its directory exist, and may it be written?)"
        } else {
            ""
        };
        Failure::new(format!(
            "can't {doing} the database {}: {}{hint}",
            config.database_url,
            reason(error)
        ))
    };
    let connecting = Database::connect(config.database_url.reveal(), &config.database);
    let database = connecting.await.map_err(|error| failure("open", &error))?;
    database.migrate().await.map_err(|error| failure("migrate", &error))?;
    Ok(database)
}

/// What the driver said, if it said anything: this goes to the person at the terminal, who owns the database.
fn reason(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
