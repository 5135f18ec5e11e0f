//! Looks at a database for a diagnosis: applied migrations, and the sessions and rights on PostgreSQL. Changes nothing.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    DbErr,
    sqlx::{
        self, ConnectOptions, Connection,
        postgres::{PgConnectOptions, PgSslMode},
    },
};

use super::{Database, DatabaseSettings, Dialect, Version, address, postgres_options, settings::session_options};
use clientele_core::error::{Error, Result, is_lost_statement};

/// A step of the migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStep {
    pub name: String,
    /// None while it is pending.
    pub applied_at: Option<DateTime<Utc>>,
    /// False for a step of a later version of this program.
    pub is_known: bool,
}

/// A PostgreSQL server and a session on it.
#[derive(Clone, Debug)]
pub struct PostgresSession {
    /// As in `15.14`.
    pub version: String,
    pub major_version: i64,
    pub role: String,
    pub is_superuser: bool,
    /// True on a standby.
    pub is_in_recovery: bool,
    pub is_encrypted: bool,
    /// Tables on which the role lacks a right that servers need.
    pub tables_without_rights: Vec<String>,
    /// True if the role can create tables, as migrations do.
    pub can_create_tables: bool,
    /// The options of sessions that don't have the value which the server sets.
    pub changed_options: Vec<&'static str>,
}

/// Between this program and a PostgreSQL server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Each connection has its own session.
    Sessions,
    /// A pooler gives a session to another connection after each transaction.
    Transactions,
    /// As [`Transactions`](Self::Transactions), but the pooler loses prepared statements.
    UnpreparedTransactions,
}

/// The path of the data between this program and PostgreSQL, as the address requires it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// A socket or a loopback address: nothing leaves the machine.
    Local,
    /// The server's certificate is verified.
    Verified,
    Unverified,
}

/// The oldest PostgreSQL that has all functions which the statements use: `gen_random_uuid`.
pub const OLDEST_POSTGRES: i64 = 13;

const SESSION: &str = "SELECT current_setting('server_version'), \
    CAST(current_setting('server_version_num') AS BIGINT) / 10000, current_user::text, \
    coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false), pg_is_in_recovery(), \
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";

/// The history is never deleted.
const TABLES_WITHOUT_RIGHTS: &str = "SELECT c.relname::text FROM pg_class c \
    JOIN pg_class own ON own.oid = to_regclass('seaql_migrations') \
    WHERE c.relnamespace = own.relnamespace AND c.relowner = own.relowner AND c.relkind IN ('r', 'p') \
    AND NOT (has_table_privilege(c.oid, 'SELECT') AND (c.oid = own.oid OR has_table_privilege(c.oid, 'INSERT') \
    AND has_table_privilege(c.oid, 'UPDATE') \
    AND (c.relname LIKE 'audit%' OR has_table_privilege(c.oid, 'DELETE')))) ORDER BY 1";

impl Database {
    /// The steps of this version in their order, then applied ones that it doesn't know.
    pub async fn migration_steps(&self) -> Result<Vec<MigrationStep>> {
        let mut applied = match self.version().await? {
            Version::Empty => Vec::new(),
            _ => {
                let sql = "SELECT version, applied_at FROM seaql_migrations ORDER BY version";
                let rows = self.reader.all(sql, []).await?;
                let rows = rows.iter().map(|row| Ok(row.try_get_many_by_index::<(String, i64)>()?));
                rows.collect::<Result<_>>()?
            }
        };
        let mut steps: Vec<MigrationStep> = Vec::new();
        for step in Migrator::migrations() {
            let at = applied.iter().position(|(name, _)| name == step.name());
            let applied_at = at.map(|at| applied.remove(at).1);
            steps.push(MigrationStep {
                name: step.name().to_owned(),
                applied_at: applied_at.map(time),
                is_known: true,
            });
        }
        steps.extend(applied.into_iter().map(|(name, at)| MigrationStep {
            name,
            applied_at: Some(time(at)),
            is_known: false,
        }));
        Ok(steps)
    }

    /// The statements of the pending steps, and those that distribute the tables, as a script. Call this on a database
    /// that was opened to look at it.
    ///
    /// # Errors
    /// The reason why a step can't be applied or the tables can't be distributed, too.
    pub async fn migration_script(&self) -> Result<String> {
        if !self.reader.inner.caches_statements() {
            // Prepared by name, outside a transaction.
            return Err(DbErr::Migration(
                "a dry run can't go through a pooler: name the database's own address, without \
                 statement-cache-capacity=0"
                    .to_owned(),
            )
            .into());
        }
        let distributed = self.reader.distributed;
        Ok(migration::dry_run::script(self.reader.inner.migrations(), distributed).await?)
    }

    /// The clock of the database's machine. None on SQLite, which uses this machine's.
    pub async fn clock(&self) -> Result<Option<DateTime<Utc>>> {
        if self.reader.dialect == Dialect::Sqlite {
            return Ok(None);
        }
        let row = self.reader.one("SELECT clock_timestamp()", []).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Looks at a session on PostgreSQL.
    pub async fn postgres_session(&self, settings: &DatabaseSettings) -> Result<PostgresSession> {
        let row = self.reader.one(SESSION, []).await?;
        let row = row.ok_or_else(|| Error::defect("a query without a condition has no row"))?;
        let tables = self.reader.all(TABLES_WITHOUT_RIGHTS, []).await?;
        let tables = tables.iter().map(|row| Ok(row.try_get_by_index(0)?));
        Ok(PostgresSession {
            version: row.try_get_by_index(0)?,
            major_version: row.try_get_by_index(1)?,
            role: row.try_get_by_index(2)?,
            is_superuser: row.try_get_by_index(3)?,
            is_in_recovery: row.try_get_by_index(4)?,
            is_encrypted: row.try_get_by_index(5)?,
            can_create_tables: row.try_get_by_index(6)?,
            tables_without_rights: tables.collect::<Result<_>>()?,
            changed_options: self.changed_options(settings).await?,
        })
    }

    /// The options that the server sets for its sessions and that they don't have: a pooler may not pass them on. None
    /// on SQLite.
    pub async fn changed_options(&self, settings: &DatabaseSettings) -> Result<Vec<&'static str>> {
        let mut changed = Vec::new();
        if self.reader.dialect == Dialect::Sqlite {
            return Ok(changed);
        }
        for (name, value) in session_options(settings) {
            // Its library is loaded with its first use, and until then its value is kept as text.
            let sql = "SELECT coalesce((SELECT setting FROM pg_settings WHERE lower(name) = lower($1)), \
                       current_setting($1, true))";
            let row = self.reader.one(sql, [name.into()]).await?;
            let found: Option<String> = row.map_or(Ok(None), |row| row.try_get_by_index(0))?;
            if found.is_none_or(|found| found != value) {
                changed.push(name);
            }
        }
        Ok(changed)
    }
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// The encryption that a PostgreSQL address requires.
pub fn required_encryption(options: &PgConnectOptions) -> Encryption {
    let host = options.get_host();
    let is_socket = options.get_socket().is_some() || host.starts_with('/');
    let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if is_socket || is_loopback || host == "localhost" {
        return Encryption::Local;
    }
    match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => Encryption::Verified,
        _ => Encryption::Unverified,
    }
}

/// Finds out whether a pooler is in between, on two connections: only a pooler gives the session of an open connection
/// to another one.
pub async fn pooling(url: &str, settings: &DatabaseSettings) -> Result<Pooling, sqlx::Error> {
    match share_sessions(url, settings).await {
        Ok(true) => Ok(Pooling::Transactions),
        Ok(false) => Ok(Pooling::Sessions),
        // A prepared statement that is missing in the session, or is another connection's.
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| is_lost_statement(&code)) => {
            Ok(Pooling::UnpreparedTransactions)
        }
        Err(error) => Err(error),
    }
}

/// Returns true if the session of an open connection is given to another one.
async fn share_sessions(url: &str, settings: &DatabaseSettings) -> Result<bool, sqlx::Error> {
    let options = postgres_options(url, settings)?;
    let persistent = address::caches_statements(url);
    let mut first = options.connect().await?;
    let mut second = options.connect().await?;
    let mut transaction = first.begin().await?;
    let of_first = session_id(&mut transaction, persistent).await?;
    transaction.commit().await?;
    let mut holding = second.begin().await?;
    let of_second = session_id(&mut holding, persistent).await?;
    // The session in which the first connection has prepared its statement is held.
    let mut transaction = first.begin().await?;
    let again = session_id(&mut transaction, persistent).await;
    let _ = (transaction.rollback().await, holding.rollback().await);
    let _ = (first.close().await, second.close().await);
    again.map(|again| of_first == of_second || of_first != again)
}

async fn session_id(connection: &mut sqlx::PgConnection, persistent: bool) -> Result<i32, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT pg_backend_pid()").persistent(persistent);
    query.fetch_one(connection).await
}
