//! Connecting for one purpose, and looking at a database without changing it.

use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbErr};

use super::{
    Connection, Database, DatabaseSettings, Dialect,
    bounds::Bounds,
    settings::{Purpose, options},
};
use crate::error::Result;

/// Which version of the program the tables are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Ours,
    /// They can be brought up to date; there may be none at all.
    Earlier,
    Later,
}

pub(super) async fn connection(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
) -> Result<Connection<DatabaseConnection>> {
    let dialect = Dialect::of(url);
    let connections = settings.connections(dialect, purpose);
    let bounds = (dialect == Dialect::Sqlite && purpose != Purpose::Writing)
        .then(|| Bounds::new(Duration::from_secs(settings.request_timeout_seconds)));
    let options = options(url, settings, (purpose, connections), bounds.clone());
    let inner = sea_orm::Database::connect(options).await?;
    Ok(Connection {
        inner,
        dialect,
        pooled: true,
        bounds,
    })
}

impl Database {
    /// Connects to a database that is there already, so that it can be looked at and not be written to: as somebody who may
    /// only read it, or to a copy.
    pub async fn connect_to_look(url: &str, settings: &DatabaseSettings) -> Result<Self> {
        let pool = connection(url, settings, Purpose::Looking).await?;
        Ok(Self::of(pool.clone(), pool, settings))
    }

    /// How the tables compare with what this version expects. Changes nothing.
    pub async fn version(&self) -> Result<Version> {
        match Migrator::get_pending_migrations_read_only(self.reader.orm()).await {
            Ok(pending) if pending.is_empty() => Ok(Version::Ours),
            Ok(_) => Ok(Version::Earlier),
            // One was done that isn't known here.
            Err(DbErr::Custom(_)) => Ok(Version::Later),
            Err(error) => Err(error.into()),
        }
    }
}
