//! Unexpected errors: the input is valid, but the operation failed. Expected outcomes are
//! [`Problem`](crate::problem::Problem)s.
//!
//! An error never shows the database's message to a caller. Each API maps a variant to its own code and message.

use std::{io, sync::Arc, time::Duration};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, sqlx};

/// Sentences that several APIs answer.
pub mod sentence {
    pub const WRONG_CREDENTIALS: &str = "These credentials are wrong, or not valid any more.";
    pub const TOO_MANY_ATTEMPTS: &str =
        "Too many attempts to sign in have failed. Wait, then try again with the right credentials.";
    pub const BUSY: &str = "The server has more to do than it can. Try again shortly.";
    pub const LIMITED_RIGHTS: &str =
        "This concerns all clients: you can't do it while your rights are limited to branches or centres.";
    pub const INTERNAL: &str = "Something went wrong on the server. Its log has the cause under the request id.";
}

/// The reason why an operation failed. A write that returns it has stored nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller's credentials are no longer valid.
    #[error("the caller's credentials are not valid any more")]
    Unauthenticated,
    /// Too many failed sign-in attempts. Holds the time until the next attempt is allowed.
    #[error("too many attempts to sign in have failed")]
    TooManyAttempts(Duration),
    /// The caller lacks the permission of this name.
    #[error("the permission {0} is missing")]
    Forbidden(&'static str),
    /// The operation concerns all clients, and the caller's rights are limited to branches or centres.
    #[error("the caller's rights are limited to branches or centres")]
    LimitedRights,
    /// Concurrent changes kept colliding until the retries were used up. A retry may succeed.
    #[error("concurrent changes could not be serialised")]
    Conflict,
    /// The database can't be reached, can't store anything, or has no connection free in time.
    #[error("the database is unavailable: {0}")]
    Unavailable(Cause),
    /// The database answers but accepts no writes.
    #[error("the database is read-only")]
    ReadOnly,
    /// The request exceeded its time limit and was cancelled.
    #[error("the request took too long")]
    TimedOut,
    /// The request needs more memory than its limit.
    #[error("the answer is too large")]
    TooLarge {
        /// The limit in bytes.
        most: usize,
    },
    /// The answers under way leave no memory for this one. A retry may succeed shortly.
    #[error("the memory for answers is used up")]
    Busy,
    /// Anything else: a defect of this server or of its database.
    #[error("internal error")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(source.into()))
    }

    /// A state that this server doesn't expect. The sentence must not contain stored data.
    pub fn defect(sentence: &'static str) -> Self {
        Self::Internal(Arc::new(Defect(sentence)))
    }

    /// The kind of error for a log line. Never includes the cause's text, which may repeat stored data.
    pub fn kind(&self) -> String {
        let Self::Internal(cause) = self else {
            return self.to_string();
        };
        if let Some(error) = cause.downcast_ref::<DbErr>() {
            database_kind(error)
        } else if let Some(error) = cause.downcast_ref::<serde_json::Error>() {
            format!("JSON: {:?}", error.classify())
        } else if let Some(Defect(sentence)) = cause.downcast_ref() {
            (*sentence).to_owned()
        } else {
            "internal".to_owned()
        }
    }
}

/// The reason why the database is unavailable, for the log. Holds no stored data and never the database's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Cause {
    #[error("no connection was free in time")]
    NoFreeConnection,
    /// The connections were closed because the process stops.
    #[error("the connections are closed")]
    Closed,
    /// The connection was refused or broken.
    #[error("{}", io_name(*.0))]
    Io(io::ErrorKind),
    #[error("no TLS connection")]
    Tls,
    /// The connection ended in the middle of an exchange.
    #[error("the connection was lost")]
    Lost,
    /// A result code of SQLite.
    #[error("{} (code {})", sqlite_name(*.0), .0)]
    Sqlite(i32),
    /// PgBouncer's last login at the database has failed. It tries again after `server_login_retry`.
    #[error("a pooler could not log in at the database a moment ago")]
    PoolerLogin,
    /// A SQLSTATE of PostgreSQL.
    #[error("{} (code {})", postgres_name(.0), postgres_code(.0))]
    Postgres([u8; 5]),
    /// The database file was removed, renamed or replaced while it was open.
    #[error("its file was removed, renamed or replaced")]
    FileGone,
    /// The database wasn't queried again.
    #[error("an outage is known")]
    Outage,
    /// Another request failed to read the same rows a moment ago.
    #[error("the same read failed for another request")]
    SharedRead,
    #[error("too many passwords wait to be hashed")]
    HashingQueue,
}

impl Cause {
    /// Returns true when no connection could be opened or kept, which starts a probe.
    pub fn is_about_reaching(self) -> bool {
        match self {
            Self::Io(_) | Self::Tls | Self::Lost | Self::PoolerLogin | Self::Outage | Self::Closed => true,
            // Counted by metrics.
            Self::NoFreeConnection => true,
            Self::Postgres(state) => state.starts_with(b"08") || state.starts_with(b"57"),
            _ => false,
        }
    }

    /// Returns true when another connection may work.
    pub fn is_lost_connection(self) -> bool {
        match self {
            Self::Lost => true,
            Self::Io(kind) => matches!(
                kind,
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::UnexpectedEof
            ),
            // Ended by an administrator, for example during a restart, or idle for too long inside or outside a
            // transaction.
            Self::Postgres(state) => [*b"57P01", *b"57P05", *b"25P03"].contains(&state),
            _ => false,
        }
    }
}

fn io_name(kind: io::ErrorKind) -> String {
    match kind {
        // A Unix socket.
        io::ErrorKind::NotFound => "its socket does not exist".to_owned(),
        kind => kind.to_string(),
    }
}

const fn sqlite_name(code: i32) -> &'static str {
    match code & 0xff {
        10 => "disk I/O error",
        11 => "the database file is corrupt",
        26 => "the file is not a database",
        13 => "database or disk is full",
        14 => "unable to open the database file",
        _ => "error",
    }
}

fn postgres_code(state: &[u8; 5]) -> &str {
    str::from_utf8(state).unwrap_or_default()
}

/// Returns true for a SQLSTATE that a connection gets in another session than the one in which it has prepared its
/// statement: invalid_sql_statement_name, duplicate_prepared_statement.
pub fn is_lost_statement(sqlstate: &str) -> bool {
    matches!(sqlstate, "26000" | "42P05")
}

/// The cause of such an error, and what to do.
pub const LOST_STATEMENT: &str =
    "a pooler loses prepared statements: add statement-cache-capacity=0 to the address of the database";

fn postgres_name(state: &[u8; 5]) -> &'static str {
    match state {
        b"28000" => "invalid authorization",
        b"28P01" => "invalid password",
        b"3D000" => "the database does not exist",
        // PgBouncer's code for all its errors.
        b"08P01" => "refused by a pooler, whose log has the reason; or a violation of the protocol",
        b"25P03" => "idle in a transaction for too long",
        state if is_lost_statement(postgres_code(state)) => LOST_STATEMENT,
        b"53100" => "disk full",
        b"53200" => "out of memory",
        b"53300" => "too many connections",
        b"57P01" => "terminated by an administrator",
        b"57P02" => "crash shutdown",
        b"57P03" => "starting up or shutting down",
        b"58030" => "I/O error",
        b"XX001" => "data corrupted",
        b"XX002" => "index corrupted",
        _ => "error",
    }
}

/// A defect that the server found in its own state.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Defect(&'static str);

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let known = match &error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => Some(Self::Unavailable(Cause::NoFreeConnection)),
            DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => Some(Self::Unavailable(Cause::Closed)),
            DbErr::Conn(RuntimeErr::SqlxError(cause)) => from_driver(cause, true),
            DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
                from_driver(cause, false)
            }
            _ => None,
        };
        known.unwrap_or_else(|| Self::internal(error))
    }
}

/// Carries an [`Error`] through sea-orm.
impl From<Error> for DbErr {
    fn from(error: Error) -> Self {
        let cause = match &error {
            Error::Internal(cause) => cause.downcast_ref::<Self>().cloned(),
            _ => None,
        };
        cause.unwrap_or_else(|| {
            let carried = sqlx::Error::AnyDriverError(Box::new(error));
            Self::Query(RuntimeErr::SqlxError(Arc::new(carried)))
        })
    }
}

/// The name of the error's variant, and the database's code if it has one.
fn database_kind(error: &DbErr) -> String {
    let name: String = format!("{error:?}")
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let code = match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => cause
            .as_database_error()
            .and_then(|error| error.code().map(|code| format!(" {code}"))),
        _ => None,
    };
    format!("database: {name}{}", code.unwrap_or_default())
}

fn from_driver(error: &sqlx::Error, is_connecting: bool) -> Option<Error> {
    match error {
        sqlx::Error::AnyDriverError(carried) => carried.downcast_ref::<Error>().cloned(),
        sqlx::Error::Io(error) => Some(Error::Unavailable(Cause::Io(error.kind()))),
        sqlx::Error::Tls(_) => Some(Error::Unavailable(Cause::Tls)),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Some(Error::Unavailable(Cause::Lost)),
        sqlx::Error::PoolTimedOut => Some(Error::Unavailable(Cause::NoFreeConnection)),
        sqlx::Error::PoolClosed => Some(Error::Unavailable(Cause::Closed)),
        sqlx::Error::Database(error) => {
            if error.is_unique_violation() && is_about_history(&**error) {
                return Some(Error::defect(
                    "the history has a record already where the next one belongs: run `clientele audit verify`",
                ));
            }
            if is_pooler_login(&**error) {
                return Some(Error::Unavailable(Cause::PoolerLogin));
            }
            let code = error.code()?;
            let known = match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                Some(_) => code.parse().ok().and_then(from_sqlite),
                None => from_sqlstate(&code),
            };
            // Some errors of opening a connection would be defects in a statement: an invalid password, for example.
            known.or_else(|| postgres(&code).filter(|_| is_connecting))
        }
        _ => None,
    }
}

/// Returns true for PgBouncer's error while it waits for `server_login_retry`. All its errors have the same code, and
/// this setting's name is in the messages of all versions.
pub fn is_pooler_login(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code == "08P01") && error.message().contains("server_login_retry")
}

/// Returns true for an error about an audit record. Positions in the audit log are assigned under locks, so no
/// concurrent change can take one.
fn is_about_history(error: &dyn sqlx::error::DatabaseError) -> bool {
    match error.table() {
        Some(table) => table == "audit_record",
        // SQLite reports: "UNIQUE constraint failed: audit_record.chain, audit_record.position".
        // A node of Citus: "duplicate key value violates unique constraint "audit_record_pkey_102041"".
        None => [" audit_record.chain", "\"audit_record_pkey"]
            .iter()
            .any(|name| error.message().contains(name)),
    }
}

/// Result codes of SQLite; the low byte of an extended one is its class.
fn from_sqlite(code: i32) -> Option<Error> {
    match (code, code & 0xff) {
        // A unique or foreign key conflicts with a concurrent change: the next attempt reads that change and reports
        // it.
        (787 | 1555 | 2067, _) => Some(Error::Conflict),
        // BUSY, LOCKED
        (_, 5 | 6) => Some(Error::Conflict),
        // READONLY
        (_, 8) => Some(Error::ReadOnly),
        // INTERRUPT: interrupted reads are repeated, so this is the writer, whose statements end when it is closed.
        (_, 9) => Some(Error::Unavailable(Cause::Closed)),
        // IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
        (_, 10 | 11 | 13 | 14 | 26) => Some(Error::Unavailable(Cause::Sqlite(code))),
        _ => None,
    }
}

/// SQLSTATEs of PostgreSQL and compatible databases.
fn from_sqlstate(code: &str) -> Option<Error> {
    match code {
        // As above: foreign_key_violation, unique_violation; then serialization_failure, deadlock_detected,
        // lock_not_available (lock timeout).
        "23503" | "23505" | "40001" | "40P01" | "55P03" => Some(Error::Conflict),
        // query_canceled: the statement exceeded statement_timeout.
        "57014" => Some(Error::TimedOut),
        // read_only_sql_transaction
        "25006" => Some(Error::ReadOnly),
        // idle_in_transaction_session_timeout, data_corrupted, index_corrupted
        "25P03" | "XX001" | "XX002" => postgres(code),
        _ if is_lost_statement(code) => postgres(code),
        // Connection exceptions, insufficient resources, operator intervention, system errors.
        _ if ["08", "53", "57", "58"].contains(&code.get(..2)?) => postgres(code),
        _ => None,
    }
}

/// None for the codes of SQLite: they are shorter than a SQLSTATE.
fn postgres(code: &str) -> Option<Error> {
    let state = code.as_bytes().try_into().ok()?;
    Some(Error::Unavailable(Cause::Postgres(state)))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sea_orm::{
        DbErr, RuntimeErr,
        sqlx::{self, error::ErrorKind},
    };

    use super::Error;

    /// An error of a node of Citus, which the coordinator passes on without the name of the table.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct OfNode(String);

    impl sqlx::error::DatabaseError for OfNode {
        fn message(&self) -> &str {
            &self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some("23505".into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::UniqueViolation
        }
    }

    #[test]
    fn taken_place_in_the_history_is_a_defect_and_another_taken_key_a_conflict() {
        let kind = |constraint: &str| {
            let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
            let error = sqlx::Error::Database(Box::new(OfNode(message)));
            Error::from(DbErr::Exec(RuntimeErr::SqlxError(error.into()))).kind()
        };
        assert_eq!(
            kind("audit_record_pkey_102041"),
            "the history has a record already where the next one belongs: run `clientele audit verify`"
        );
        assert_eq!(
            kind("client_id_claim_pkey_102077"),
            "concurrent changes could not be serialised"
        );
    }

    #[test]
    fn a_log_line_has_no_more_than_the_kind_of_an_error() {
        let json = serde_json::from_str::<u8>("\"secret\"").expect_err("no number");
        for (error, kind) in [
            (Error::from(DbErr::Custom("secret".to_owned())), "database: Custom"),
            (Error::internal(json), "JSON: Data"),
            (Error::internal("secret"), "internal"),
            (Error::Conflict, "concurrent changes could not be serialised"),
        ] {
            assert_eq!(error.kind(), kind);
        }
    }
}
