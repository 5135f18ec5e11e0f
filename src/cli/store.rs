//! Opens the database, and all that stands on it, for a command, and closes it when the command ends.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;

use super::open_error::{check, failure};
use super::{Failure, listening};
use crate::Clientele;
use crate::api::health::Ping;
use crate::config::Config;
use crate::db::{Database, Version, missing_file};

const OF_LATER: &str = "is of a later version than this program: use that one";
const TO_CREATE: &str = "`clientele serve` creates it with the user admin, `clientele user add admin --permissions ALL` with a \
    user whose password you choose";

/// What a command does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Creates it if it is missing, and migrates it.
    Create,
    /// Reads and writes a database of this version.
    Change,
    /// Reads a database of this version: the right to read is enough.
    Look,
    /// Copies a database of any version.
    Copy,
}

/// Runs a command on the clients as they are configured. The database is closed when the command ends, also when it fails,
/// panics, or is stopped by SIGINT or SIGTERM.
///
/// Every command that writes takes the clients from here: one that left out a part of the configuration would do the same work
/// by other rules, such as seal the history with another key.
pub(super) async fn with_clientele<T>(
    config: &Config,
    access: Access,
    command: impl AsyncFnOnce(Clientele) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_database(config, access, async |database| {
        command(clientele(database, config, access).await?).await
    })
    .await
}

/// As [`with_clientele`], for a command that stops by itself at SIGINT and SIGTERM.
pub(super) async fn with_clientele_until_stopped<T>(
    config: &Config,
    access: Access,
    command: impl AsyncFnOnce(Clientele) -> Result<T, Failure>,
) -> Result<T, Failure> {
    opened(config, access, pending(), async |database| {
        command(clientele(database, config, access).await?).await
    })
    .await
}

/// As [`with_clientele`], for a command that needs only the database.
pub(super) async fn with_database<T>(
    config: &Config,
    access: Access,
    command: impl AsyncFnOnce(Database) -> Result<T, Failure>,
) -> Result<T, Failure> {
    opened(config, access, listening::interrupted()?, command).await
}

/// The only place that opens the database for a command, and that closes it.
async fn opened<T>(
    config: &Config,
    access: Access,
    interrupted: impl Future<Output = Failure>,
    command: impl AsyncFnOnce(Database) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut interrupted = pin!(interrupted);
    let connecting = connect(config, access);
    let database = match config.database_url.is_sqlite() {
        // A connection that is cut off while it is made is not closed.
        true => connecting.await?,
        false => tokio::select! {
            failure = &mut interrupted => return Err(failure),
            connected = connecting => connected?,
        },
    };
    let running = async {
        prepare(&database, config, access).await?;
        command(database.clone()).await
    };
    let running = async {
        tokio::select! {
            failure = interrupted => Err(failure),
            result = running => result,
        }
    };
    let outcome = AssertUnwindSafe(running).catch_unwind().await;
    database.close().await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn connect(config: &Config, access: Access) -> Result<Database, Failure> {
    let (url, settings) = (config.database_url.reveal(), &config.database);
    if access != Access::Create
        && let Some(path) = missing_file(url)
    {
        let path = std::path::absolute(&path).unwrap_or(path);
        return Err(Failure::new(format!(
            "there is no database at {}: {TO_CREATE}, --database-url names another one",
            path.display()
        )));
    }
    check(config).await?;
    let connected = match access {
        Access::Create => Database::connect(url, settings).await,
        Access::Change | Access::Copy => Database::connect_to_existing(url, settings).await,
        Access::Look => Database::connect_to_look(url, settings).await,
    };
    let doing = match access {
        Access::Look => "look at",
        Access::Create | Access::Change | Access::Copy => "open",
    };
    match connected {
        Ok(database) => Ok(database),
        Err(error) => Err(failure(doing, config, &error).await),
    }
}

/// Only [`Access::Create`] migrates: another command of a newer version must not change the tables under running servers.
async fn prepare(database: &Database, config: &Config, access: Access) -> Result<(), Failure> {
    let version = match database.version().await {
        Ok(version) => version,
        Err(error) => return Err(failure("look at", config, &error).await),
    };
    match version {
        // A read-only database that is up to date serves reads.
        Version::Ours => Ok(()),
        Version::Later if access != Access::Copy => Err(unusable(config, OF_LATER)),
        Version::Empty | Version::Earlier if access == Access::Create => match database.migrate().await {
            Ok(()) => Ok(()),
            Err(error) => Err(failure("migrate", config, &error).await),
        },
        Version::Empty => Err(unusable(config, &format!("has no tables of clientele: {TO_CREATE}"))),
        Version::Earlier | Version::Later if access == Access::Copy => Ok(()),
        Version::Earlier | Version::Later => Err(unusable(
            config,
            "is of an earlier version than this program: run `clientele migrate`, or start the server, which migrates it",
        )),
    }
}

/// The kind of the configured database, for the log.
pub(super) fn kind(config: &Config) -> &'static str {
    match config.database_url.is_sqlite() {
        true => "sqlite",
        false => "postgresql",
    }
}

fn unusable(config: &Config, what_to_do: &str) -> Failure {
    Failure::new(format!("the database {} {what_to_do}", config.database_url))
}

/// The clients as they are configured. Their history begins with the first command that writes.
async fn clientele(database: Database, config: &Config, access: Access) -> Result<Clientele, Failure> {
    let clientele = Clientele::new(database, config.clients.clone());
    let clientele = Clientele {
        idempotency: config.idempotency,
        ..clientele.with_audit(config.audit.clone())
    };
    if access != Access::Look
        && let Err(error) = clientele.begin_history(now()).await
    {
        return Err(failure("write", config, &error).await);
    }
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

#[cfg(test)]
mod tests {
    use super::{Access, with_database};
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
            with_database(&config, Access::Create, async |_| -> Result<(), _> {
                panic!("a defect")
            })
            .await
        });
        assert!(command.await.is_err_and(|end| end.is_panic()));
        let left: Vec<_> = folder.path().read_dir().expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
