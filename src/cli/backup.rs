//! `clientele backup`: copies a SQLite database to a file while servers run.

use std::path::PathBuf;

use clap::Args;

use super::open_error::explain_copying;
use super::store::{self, OpenMode};
use super::{Failure, print};
use crate::config::Config;
use clientele_storage::db::BackupError;

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The copy; nothing may exist under this name.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(config: &Config, Target { file }: &Target) -> Result<(), Failure> {
    if !config.database_url.is_sqlite() {
        return Err(Failure::misconfigured(
            "`clientele backup` copies SQLite databases only: use pg_dump for a database on PostgreSQL",
        ));
    }
    store::with_database(config, OpenMode::Copy, async |database| {
        database.back_up(file).await.map_err(|error| {
            let reason = match &error {
                BackupError::Database(error) => explain_copying(error),
                error => error.to_string(),
            };
            Failure::new(format!("can't copy the database to {}: {reason}", file.display()))
        })
    })
    .await?;
    print(&format!("the database has been copied to {}\n", file.display()))
}
