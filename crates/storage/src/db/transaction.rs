//! A database transaction that owns its connection.
//!
//! SQLite ends a transaction by itself on some errors, such as a full disk. A driver that still counts it as open turns
//! the next BEGIN into a savepoint and the next COMMIT into its release: it reports success and stores nothing.
//! Therefore BEGIN, COMMIT and ROLLBACK are sent verbatim. A connection returns to its pool only after the database
//! confirmed that no transaction is open on it. Otherwise it is rolled back or closed.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{Mutex, MutexGuard};

use super::{Dialect, lease::Lease, pool::Pool, settings::Purpose};

/// An open transaction. Dropping it rolls it back.
pub struct TransactionConnection {
    lease: Mutex<Lease>,
    dialect: Dialect,
    /// True after a statement failed or was cancelled. PostgreSQL then refuses further statements, but answers COMMIT
    /// with success. SQLite runs further statements, each in a transaction of its own.
    failed: AtomicBool,
}

impl TransactionConnection {
    pub(super) async fn begin(pool: &Pool, purpose: Purpose) -> Result<Self, DbErr> {
        let dialect = pool.dialect();
        let begin = match (dialect, purpose) {
            (Dialect::Postgres, Purpose::Writing) => "BEGIN",
            (Dialect::Postgres, _) => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            // A deferred transaction would fail at its first write after another connection has written.
            (Dialect::Sqlite, Purpose::Writing) => "BEGIN IMMEDIATE",
            (Dialect::Sqlite, _) => "BEGIN",
        };
        let mut lease = pool.acquire().await?;
        lease.begin(begin).await?;
        Ok(Self {
            lease: Mutex::new(lease),
            dialect,
            failed: AtomicBool::new(false),
        })
    }

    /// Commits. On an error, either all changes of the transaction are stored or none.
    ///
    /// # Errors
    /// When a statement failed before; then nothing is committed.
    pub(super) async fn commit(mut self) -> Result<(), DbErr> {
        if *self.failed.get_mut() {
            return Err(already_failed());
        }
        self.lease.get_mut().end("COMMIT").await
    }

    pub(super) async fn rollback(mut self) -> Result<(), DbErr> {
        self.lease.get_mut().end("ROLLBACK").await
    }

    /// Runs a COPY with these rows. Only PostgreSQL has it.
    pub(super) async fn copy(&self, sql: &str, rows: &[u8]) -> Result<(), DbErr> {
        let mut lease = self.start().await?;
        let result = lease.copy(sql, rows).await;
        self.finish(result)
    }

    /// Takes the connection for one statement.
    async fn start(&self) -> Result<MutexGuard<'_, Lease>, DbErr> {
        let lease = self.lease.lock().await;
        // Set while a statement runs, because its future may be dropped.
        if self.failed.swap(true, Ordering::Relaxed) {
            return Err(already_failed());
        }
        Ok(lease)
    }

    /// Keeps the transaction usable only if the statement succeeded. Called while its connection is still taken.
    fn finish<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        self.failed.store(result.is_err(), Ordering::Relaxed);
        result
    }
}

#[async_trait]
impl ConnectionTrait for TransactionConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut lease = self.start().await?;
        self.finish(lease.execute(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut lease = self.start().await?;
        self.finish(lease.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut lease = self.start().await?;
        self.finish(lease.query_one(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut lease = self.start().await?;
        self.finish(lease.query_all(statement).await)
    }
}

fn already_failed() -> DbErr {
    DbErr::Custom("a statement of the transaction has failed before".to_owned())
}
