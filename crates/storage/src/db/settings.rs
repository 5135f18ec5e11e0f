//! Settings of the database and of its connections.

use std::{thread::available_parallelism, time::Duration};

use sea_orm::sqlx::{
    self, ConnectOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use serde::{Deserialize, Serialize};

use super::{Dialect, address};
use clientele_core::{budget::Connections, secret::Secret};

/// The lock timeout on PostgreSQL in milliseconds: a transaction that holds a lock for longer must not block every
/// connection.
const LOCK_TIMEOUT: &str = "5000";

/// The address of the database and the limits on its use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// Addresses of streaming replicas of PostgreSQL, which serve reads of requests when they are as fresh as the
    /// primary. Each must lead to one server.
    pub replica_urls: Vec<Secret>,
    /// The maximum number of connections. On SQLite these are readers, at most two for each core, plus one writer that
    /// callers share in turn. One request uses at most a quarter of the connections at once, and all requests of one
    /// caller three quarters.
    pub max_connections: u32,
    /// The longest wait of a request for a free connection, in seconds. It is then answered with 503.
    pub acquire_timeout_seconds: u64,
    /// The durability of a commit on SQLite: FULL survives a power failure, NORMAL may lose the last commits.
    pub sqlite_synchronous: Synchronous,
    /// The time limit of a request in seconds. Then its statements are cancelled, and its writes are rolled back unless
    /// the commit has begun.
    pub request_timeout_seconds: u64,
    /// PostgreSQL with the extension Citus: the tables are distributed over the nodes of its cluster. Migrating
    /// distributes those that aren't.
    pub distributed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Synchronous {
    Full,
    Normal,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            replica_urls: Vec::new(),
            max_connections: 16,
            acquire_timeout_seconds: 5,
            sqlite_synchronous: Synchronous::Full,
            request_timeout_seconds: 30,
            distributed: false,
        }
    }
}

/// One request uses at most this fraction of the connections at once, so that it doesn't starve others.
const SHARES: usize = 4;
/// SQLite computes in this process: more readers for each core would not be faster, and would delay other work such as
/// refusing requests.
const READERS_PER_CORE: u32 = 2;

impl DatabaseSettings {
    /// The number of connections for a purpose.
    pub(super) fn connections(&self, dialect: Dialect, purpose: Purpose) -> u32 {
        match (dialect, purpose) {
            (Dialect::Postgres, _) => self.max_connections,
            (Dialect::Sqlite, Purpose::Writing) => 1,
            (Dialect::Sqlite, Purpose::Reading | Purpose::Looking) => {
                let cores = available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
                self.max_connections.min(cores.saturating_mul(READERS_PER_CORE))
            }
        }
    }

    /// The connections that requests share. On SQLite these are readers.
    pub(super) fn for_requests(&self, dialect: Dialect) -> Connections {
        let all = usize::try_from(self.connections(dialect, Purpose::Reading)).unwrap_or(1);
        Connections {
            all,
            of_request: (all / SHARES).max(1),
        }
    }
}

/// The purpose of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Neither connecting nor using them can create or change anything.
    Looking,
    /// Reads data that another connection of this process writes.
    Reading,
    Writing,
}

/// The options of every connection to a PostgreSQL address.
pub fn postgres_options(url: &str, settings: &DatabaseSettings) -> Result<PgConnectOptions, sqlx::Error> {
    postgres_session(url, settings, Purpose::Writing)
}

/// The options that a server sets for its sessions on PostgreSQL, times in milliseconds.
pub(super) fn session_options(settings: &DatabaseSettings) -> [(&'static str, String); 7] {
    let statement_timeout = u128::from(settings.request_timeout_seconds) * 1000;
    // Statements are short and prepared once: planning them for each value, or compiling them, would take longer than
    // running them. Citus plans some statements only for values.
    let plan_cache_mode = if settings.distributed {
        "auto"
    } else {
        "force_generic_plan"
    };
    [
        ("plan_cache_mode", plan_cache_mode.to_owned()),
        ("jit", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        // A word of seven letters with one wrong letter shares at least 5 of 11 trigrams with the right one. Three
        // letters at the beginning don't reach this threshold for a word of six.
        ("pg_trgm.word_similarity_threshold", "0.45".to_owned()),
        ("lock_timeout", LOCK_TIMEOUT.to_owned()),
        ("statement_timeout", statement_timeout.to_string()),
        ("idle_in_transaction_session_timeout", "60000".to_owned()),
    ]
}

/// The options of a session on PostgreSQL. `default_transaction_read_only` stays as set by the server, the database or
/// the role: operators and managed services use it to stop writes.
pub(super) fn postgres_session(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
) -> Result<PgConnectOptions, sqlx::Error> {
    let postgres = address::postgres(url)?;
    let named = match postgres.get_application_name() {
        Some(_) => postgres,
        None => postgres.application_name("clientele"),
    };
    // Statements contain personal data.
    let postgres = named.options(session_options(settings)).disable_statement_logging();
    Ok(match purpose {
        Purpose::Looking => postgres.options([("default_transaction_read_only", "on")]),
        Purpose::Reading | Purpose::Writing => postgres,
    })
}

/// The options of a connection to a SQLite file, which must exist: `SqliteFile` creates it. A connection that replaces
/// another one must not create an empty database.
pub(super) fn sqlite_options(
    url: &str,
    settings: &DatabaseSettings,
    purpose: Purpose,
) -> Result<SqliteConnectOptions, sqlx::Error> {
    let sqlite: SqliteConnectOptions = url.parse()?;
    let sqlite = match purpose {
        Purpose::Looking => sqlite.read_only(true),
        Purpose::Reading | Purpose::Writing => sqlite.journal_mode(SqliteJournalMode::Wal),
    };
    let synchronous = match settings.sqlite_synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let is_writer = purpose == Purpose::Writing;
    Ok(sqlite
        .create_if_missing(false)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("query_only", if is_writer { "OFF" } else { "ON" })
        // Deleted and erased data is overwritten. FAST would leave whole pages of it, and rows of some length use whole
        // pages.
        .pragma("secure_delete", "ON")
        // In KiB. The writer uses every index; its default of 2 MiB would hold only a fraction of their upper pages.
        .pragma("cache_size", if is_writer { "-32768" } else { "-4096" })
        // In pages. Each checkpoint adds a wait for the disk, for all changes since the last one.
        .pragma("wal_autocheckpoint", "4000")
        .disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::{DatabaseSettings, Dialect, Purpose};

    #[test]
    fn sqlite_has_one_writer_and_a_few_readers_and_postgres_one_pool() {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        for (dialect, purpose, max_connections, connections) in [
            (Dialect::Postgres, Purpose::Writing, 1_000, 1_000),
            (Dialect::Postgres, Purpose::Looking, 3, 3),
            (Dialect::Sqlite, Purpose::Writing, 1_000, 1),
            (Dialect::Sqlite, Purpose::Reading, 1_000, cores * 2),
            (Dialect::Sqlite, Purpose::Looking, 1_000, cores * 2),
            (Dialect::Sqlite, Purpose::Reading, 1, 1),
        ] {
            let settings = DatabaseSettings {
                max_connections,
                ..DatabaseSettings::default()
            };
            assert_eq!(
                settings.connections(dialect, purpose),
                connections,
                "{dialect:?} {purpose:?}"
            );
        }
        let share = |max_connections| {
            let settings = DatabaseSettings {
                max_connections,
                ..DatabaseSettings::default()
            };
            settings.for_requests(Dialect::Postgres).of_request
        };
        assert_eq!([1, 4, 7, 8, 16].map(share), [1, 1, 1, 2, 4]);
    }
}
