//! `clientele migrate`: brings the database to this version's form, or shows what that would do.

use clap::{Args, Subcommand};

use super::open_error::migration_text;
use super::store::{self, OpenMode};
use super::{Failure, print};
use crate::config::Config;
use clientele_core::{error::Error, scalar::DateTime};
use clientele_storage::db::{Database, Layout, MigrationStep};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    /// Print the SQL statements that would run, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the steps of the migration, with the time when each was applied. Changes nothing.
    ///
    /// Exit codes: 0 if all steps are applied and the tables are distributed as database.distributed says; 3 if steps
    /// are pending or tables aren't distributed yet; 1 if a later version has migrated the database, the tables are
    /// distributed and the setting is off, they can't be distributed, or the database can't be read.
    Status,
}

pub(super) async fn run(config: &Config, options: Options) -> Result<(), Failure> {
    if options.dry_run {
        return store::with_database(config, OpenMode::Inspect, async |database| dry_run(&database).await).await;
    }
    if let Some(Command::Status) = options.command {
        return store::with_database(config, OpenMode::Inspect, async |database| status(&database).await).await;
    }
    // Begins the audit log of a new database.
    store::with_services(config, OpenMode::Create, async |_| Ok(())).await?;
    print("the database is up to date\n")
}

async fn steps(database: &Database) -> Result<Vec<MigrationStep>, Failure> {
    let steps = database.migration_steps().await;
    steps.map_err(|error| Failure::new(format!("can't read the steps of the migration: {}", error.kind())))
}

async fn status(database: &Database) -> Result<(), Failure> {
    let steps = steps(database).await?;
    print(&steps.iter().map(line).collect::<String>())?;
    later(&steps)?;
    let layout = layout(database).await?;
    match steps.iter().filter(|step| step.applied_at.is_none()).count() {
        0 if layout == Layout::Undistributed => Err(Failure::pending(
            "the tables aren't distributed: run `clientele migrate`",
        )),
        0 => Ok(()),
        1 => Err(Failure::pending("1 step is pending: run `clientele migrate`")),
        pending => Err(Failure::pending(format!(
            "{pending} steps are pending: run `clientele migrate`"
        ))),
    }
}

/// Fails if the tables are distributed and the setting is off, or if it is on and they can't be distributed.
async fn layout(database: &Database) -> Result<Layout, Failure> {
    match database.layout().await {
        Ok(Layout::Distributed) => Err(Failure::new(format!("the database {}", store::DISTRIBUTED))),
        Ok(layout) => Ok(layout),
        Err(error) => Err(cannot_migrate(&error)),
    }
}

fn cannot_migrate(error: &Error) -> Failure {
    let reason = migration_text(error).unwrap_or_else(|| error.kind());
    Failure::new(format!("the database can't be migrated: {reason}"))
}

/// Fails if a later version has migrated the database.
fn later(steps: &[MigrationStep]) -> Result<(), Failure> {
    match steps.iter().all(|step| step.is_known) {
        true => Ok(()),
        false => Err(Failure::new(
            "the database was migrated by a later version of this program: use that version",
        )),
    }
}

fn line(step: &MigrationStep) -> String {
    let state = match &step.applied_at {
        None => "pending".to_owned(),
        Some(at) if step.is_known => format!("applied  {}", DateTime::text(at)),
        Some(at) => format!("applied  {}  by a later version", DateTime::text(at)),
    };
    format!("{:<34}  {state}\n", step.name)
}

async fn dry_run(database: &Database) -> Result<(), Failure> {
    later(&steps(database).await?)?;
    layout(database).await?;
    let script = database.migration_script().await;
    print(&script.map_err(|error| cannot_migrate(&error))?)
}
