//! Opens the database and the domain for a command, and closes the database when the command ends.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;

use super::open_error::{check, failure};
use super::{Failure, listening};
use crate::api::health::{NO_ANSWER, Ping};
use crate::config::Config;
use crate::services::{ServiceSettings, Services};
use clientele_core::error::Error;
use clientele_delivery::quiet_hours::QuietHours;
use clientele_domain::client::fill_search_rows;
use clientele_storage::db::{Database, Dialect, Layout, Version, is_of_database, missing_file};

const OF_LATER: &str = "was migrated by a later version of this program: use that version";
const OF_EARLIER: &str =
    "is of an earlier version than this program: run `clientele migrate`, or start the server, which migrates it";
pub(super) const DISTRIBUTED: &str =
    "has tables that are distributed with Citus: set database.distributed = true for all servers, workers and commands";
const UNDISTRIBUTED: &str = "has tables that aren't distributed, and database.distributed is on: stop the servers, make a \
    backup, and run `clientele migrate`";
const WITHOUT_TABLES: &str =
    "has no tables of clientele: run `clientele serve` to create them, or name another one with --database-url";

/// The way a command opens the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenMode {
    /// Creates the database if missing, and migrates it.
    Create,
    /// Reads and writes a database of this version.
    Change,
    /// Reads a database of this version; read access is enough.
    Look,
    /// Copies a database of any version.
    Copy,
    /// Looks at a database of any version; read access is enough.
    Inspect,
}

/// Runs a command on the configured domain. The database is closed when the command ends, also when it fails, panics,
/// or is stopped by SIGINT or SIGTERM.
///
/// Every command that writes must use this function: one that omitted a part of the configuration would work by other
/// rules, for example seal the audit log with another key.
pub(super) async fn with_services<T>(
    config: &Config,
    mode: OpenMode,
    command: impl AsyncFnOnce(Services) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_opened(config, mode, listening::interrupted()?, async |database| {
        Ok(command(services(database, config, mode).await?).await?)
    })
    .await
}

/// Like [`with_services`], for a command that handles SIGINT and SIGTERM itself. `interrupted` ends the start before
/// the command runs.
pub(super) async fn with_services_until_stopped<T>(
    config: &Config,
    mode: OpenMode,
    interrupted: impl Future<Output = Failure>,
    command: impl AsyncFnOnce(Services) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let is_running = AtomicBool::new(false);
    let interrupted = async {
        let failure = interrupted.await;
        match is_running.load(Ordering::Relaxed) {
            true => pending().await,
            false => failure,
        }
    };
    with_opened(config, mode, interrupted, async |database| {
        warn_of_changed_options(&database, config).await?;
        let services = services(database, config, mode).await?;
        is_running.store(true, Ordering::Relaxed);
        Ok(command(services).await?)
    })
    .await
}

/// Like [`with_services`], for a command that needs only the database.
pub(super) async fn with_database<T>(
    config: &Config,
    mode: OpenMode,
    command: impl AsyncFnOnce(Database) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_opened(config, mode, listening::interrupted()?, async |database| {
        Ok(command(database).await?)
    })
    .await
}

/// The reason why a command failed on an open database.
enum Cause {
    Failure(Failure),
    /// Explained after the database is closed: finding the cause opens and closes the SQLite file, which would release
    /// this process's locks on it.
    Database(&'static str, Error),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The only function that opens and closes the database for a command.
async fn with_opened<T>(
    config: &Config,
    mode: OpenMode,
    interrupted: impl Future<Output = Failure>,
    command: impl AsyncFnOnce(Database) -> Result<T, Cause>,
) -> Result<T, Failure> {
    let mut interrupted = pin!(interrupted);
    let connecting = connect(config, mode);
    let database = match config.database_url.is_sqlite() {
        // A connection that is cancelled while connecting isn't closed.
        true => connecting.await?,
        false => tokio::select! {
            failure = &mut interrupted => return Err(failure),
            connected = connecting => connected?,
        },
    };
    let running = async {
        prepare(&database, config, mode).await?;
        command(database.clone()).await
    };
    let mut running = Box::pin(AssertUnwindSafe(running).catch_unwind());
    let outcome = tokio::select! {
        failure = interrupted => Ok(Err(failure.into())),
        outcome = &mut running => outcome,
    };
    // Closing starts first: an open pool takes back a connection only after its interrupted statement has completed.
    tokio::join!(database.clone().close(), async { drop(running) });
    match outcome.unwrap_or_else(|panic| resume_unwind(panic)) {
        Ok(output) => Ok(output),
        Err(Cause::Failure(failure)) => Err(failure),
        Err(Cause::Database(doing, error)) => Err(failure(doing, config, &error).await),
    }
}

async fn connect(config: &Config, mode: OpenMode) -> Result<Database, Failure> {
    let (url, settings) = (config.database_url.reveal(), &config.database);
    if mode != OpenMode::Create
        && let Some(path) = missing_file(url)
    {
        let path = std::path::absolute(&path).unwrap_or(path);
        return Err(Failure::new(format!(
            "there is no database at {}: run `clientele serve` to create it, or name another one with --database-url",
            path.display()
        )));
    }
    check(config).await?;
    let connected = match mode {
        OpenMode::Create => Database::connect(url, settings).await,
        OpenMode::Change | OpenMode::Copy => Database::connect_to_existing(url, settings).await,
        OpenMode::Look | OpenMode::Inspect => Database::connect_to_look(url, settings).await,
    };
    match connected {
        Ok(database) => Ok(database),
        Err(error) if matches!(mode, OpenMode::Look | OpenMode::Inspect) => Err(failure("read", config, &error).await),
        Err(error) => Err(failure("open", config, &error).await),
    }
}

/// Only [`OpenMode::Create`] migrates: another command of a newer version must not change the tables under running
/// servers.
async fn prepare(database: &Database, config: &Config, mode: OpenMode) -> Result<(), Cause> {
    let reading = |error| Cause::Database("read", error);
    if mode == OpenMode::Inspect {
        return Ok(());
    }
    let version = database.version().await.map_err(reading)?;
    if version == Version::Empty
        && mode == OpenMode::Create
        && database.has_other_tables().await.map_err(reading)?
        // Another starting process may have created this program's tables meanwhile.
        && database.version().await.map_err(reading)? == Version::Empty
    {
        return Err(unusable(config, "has tables of another program: name another file"));
    }
    let layout = database.layout().await;
    let doing = if config.database.distributed {
        "distribute"
    } else {
        "read"
    };
    let layout = layout.map_err(|error| Cause::Database(doing, error))?;
    if layout == Layout::Distributed {
        return Err(unusable(config, DISTRIBUTED));
    }
    match (version, mode) {
        // A read-only database of this version can serve reads.
        // A fill may have been interrupted.
        (Version::Ours, OpenMode::Create) if layout == Layout::AsSet => fill(database).await,
        (Version::Ours | Version::Empty | Version::Earlier, OpenMode::Create) => {
            let migrated = database.migrate().await;
            migrated.map_err(|error| Cause::Database("migrate", error))?;
            fill(database).await
        }
        (Version::Ours, _) if layout == Layout::Undistributed => Err(unusable(config, UNDISTRIBUTED)),
        (Version::Ours, _) | (Version::Earlier | Version::Later, OpenMode::Copy) => Ok(()),
        (Version::Later, _) => Err(unusable(config, OF_LATER)),
        (Version::Empty, _) => Err(unusable(config, WITHOUT_TABLES)),
        (Version::Earlier, _) => Err(unusable(config, OF_EARLIER)),
    }
}

/// Without these options, statements and locks have no time limit, and searches find other clients.
async fn warn_of_changed_options(database: &Database, config: &Config) -> Result<(), Cause> {
    let changed = database.changed_options(&config.database).await;
    let changed = changed.map_err(|error| Cause::Database("read", error))?;
    if !changed.is_empty() {
        let options = changed.join(", ");
        tracing::warn!(
            options,
            "sessions of the database lack options: let a pooler pass them on, or give them to the role"
        );
    }
    Ok(())
}

/// Writes the rows that a migration can't: those of a large database take several transactions.
async fn fill(database: &Database) -> Result<(), Cause> {
    let progress = |clients: usize| {
        if clients.is_multiple_of(10_000) {
            tracing::info!(clients, "preparing clients for searches");
        }
    };
    let filled = fill_search_rows(database, progress).await;
    filled.map_err(|error| Cause::Database("migrate", error))
}

/// Refuses to write a file of the database itself. Must be called before a file is created or replaced.
pub(super) fn refuse_own_file(config: &Config, file: &Path) -> Result<(), Failure> {
    match is_of_database(config.database_url.reveal(), file) {
        true => {
            let sentence = format!("{} is the database or a part of it: name another file", file.display());
            Err(Failure::new(sentence))
        }
        false => Ok(()),
    }
}

/// The kind of the configured database, for the log.
pub(super) fn kind(config: &Config) -> &'static str {
    Dialect::of(config.database_url.reveal()).as_str()
}

fn unusable(config: &Config, what_to_do: &str) -> Cause {
    Failure::new(format!("the database {} {what_to_do}", config.database_url)).into()
}

/// The domain as configured. The audit log and the change feed start with the first command that writes.
async fn services(database: Database, config: &Config, mode: OpenMode) -> Result<Services, Cause> {
    let settings = ServiceSettings {
        clients: config.clients.clone(),
        idempotency: config.idempotency,
        audit: config.audit.clone(),
        changes: config.changes,
        messages: config.notifications.message_settings(),
        ..ServiceSettings::default()
    };
    let services = Services::new(database, settings);
    // The configuration has refused invalid settings.
    if let Ok(Some(hours)) = QuietHours::new(&config.notifications.sms.quiet_hours) {
        let metrics = &services.messages.metrics;
        metrics.watch_quiet_hours(move |now| hours.end(now).is_some());
    }
    if mode != OpenMode::Look {
        let begun = services.audit.start(now()).await;
        begun.map_err(|error| Cause::Database("write", error))?;
        let prepared = services.changes.start().await;
        prepared.map_err(|error| Cause::Database("write", error))?;
    }
    Ok(services)
}

/// The time of a command, or of the background work of a process.
#[expect(clippy::disallowed_methods, reason = "the domain gets the time as a parameter")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Checks that the database can be read and written.
pub(super) fn ping(database: Database) -> Ping {
    Arc::new(move || {
        let database = database.clone();
        Box::pin(async move {
            database.check().await.map_err(|_| match database.accepts_no_changes() {
                true => "the database accepts no changes\n",
                false => NO_ANSWER,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{OpenMode, with_database};
    use crate::config::{Config, DatabaseUrl};

    #[tokio::test]
    async fn database_is_closed_when_a_command_panics() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("clientele.db");
        let config = Config {
            database_url: DatabaseUrl::new(format!("sqlite:{}", file.display())),
            ..Config::default()
        };
        let command = tokio::spawn(async move {
            with_database(&config, OpenMode::Create, async |_| -> Result<(), _> {
                panic!("a defect")
            })
            .await
        });
        assert!(command.await.is_err_and(|end| end.is_panic()));
        let left: Vec<_> = folder.path().read_dir().expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
