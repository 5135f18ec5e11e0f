//! The private database of one test.

use clientele::db::{Database, DatabaseSettings, Synchronous};
use tempfile::TempDir;

use super::postgres;

/// The database that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A database of one test.
#[derive(Debug)]
pub enum PrivateDatabase {
    Sqlite(TempDir),
    Postgres { url: String, name: String },
}

impl PrivateDatabase {
    /// An empty, migrated one; none when PostgreSQL is wanted and isn't installed.
    pub async fn create(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => Some(Self::Sqlite(
                tempfile::tempdir().expect("a temporary folder can be made"),
            )),
            Backend::Postgres => postgres::create().await.map(|(url, name)| Self::Postgres { url, name }),
        }
    }

    pub async fn connect(&self, request_timeout_seconds: u64) -> Database {
        let settings = DatabaseSettings {
            request_timeout_seconds,
            // As many as production has, so that concurrent requests meet in the database and not before it.
            max_connections: 16,
            // Durability is not needed during a test.
            sqlite_synchronous: Synchronous::Normal,
            ..DatabaseSettings::default()
        };
        let database = Database::connect(&self.url(), &settings)
            .await
            .expect("the private database answers");
        if let Self::Sqlite(_) = self {
            database.migrate().await.expect("migrations run");
        }
        database
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("clientele.db").display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    pub async fn drop(self) {
        if let Self::Postgres { name, .. } = &self {
            postgres::drop(name).await;
        }
    }
}
