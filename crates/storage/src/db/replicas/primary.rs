//! The primary's position in the write-ahead log, which tells how far a replica must be.

use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use tokio::time::timeout;

use super::{super::pool::Pool, coalesced::Coalesced};

/// A position of the log, in bytes, and its timeline: another server that becomes the primary begins a new timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub bytes: i64,
    pub timeline: i64,
    /// When the server was started: it may have been restored from an older copy before.
    pub started: i64,
}

/// A cluster, and the tables in one of its databases. Both have the same numbers on each replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub cluster: String,
    /// None where there are no tables.
    pub tables: Option<i64>,
}

/// A question that the primary doesn't answer in this time has no answer. Reads wait for a shorter time.
const LIMIT: Duration = Duration::from_secs(1);

/// A commit is visible, and answered, after its record was written to the log. With `synchronous_commit = off` it is
/// before: then the end of what was added to the log counts.
const POSITION: &str = "SELECT (position - '0/0')::bigint, \
    ('x' || substr(pg_walfile_name(position), 1, 8))::bit(32)::bigint, \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint \
    FROM (SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() \
    ELSE pg_current_wal_lsn() END AS position) log";

const IDENTITY: &str = "SELECT system_identifier::text, to_regclass('definition_version')::oid::bigint \
    FROM pg_control_system()";

/// Asks the primary on a connection of its own, so that it answers also while all others are in use.
pub(super) struct Primary {
    pool: Pool,
    position: Coalesced<Option<Position>>,
}

impl Primary {
    pub fn new(pool: Pool) -> Self {
        let asked = pool.clone();
        let position = Coalesced::new(move || {
            let pool = asked.clone();
            async move { position(&pool).await }.boxed()
        });
        Self { pool, position }
    }

    /// A position that the primary had after this call. None if it doesn't answer, or if it is a standby itself.
    pub async fn position(&self) -> Option<Position> {
        self.position.ask().await.flatten()
    }

    pub async fn identity(&self) -> Option<Identity> {
        let row = one(&self.pool, IDENTITY, LIMIT).await.ok()??;
        let (cluster, tables) = row.try_get_many_by_index().ok()?;
        Some(Identity { cluster, tables })
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn position(pool: &Pool) -> Option<Position> {
    let row = one(pool, POSITION, LIMIT).await.ok()??;
    let (bytes, timeline, started) = row.try_get_many_by_index().ok()?;
    Some(Position {
        bytes,
        timeline,
        started,
    })
}

/// Runs a statement within a time limit. None if there is no answer in time.
pub(super) async fn one(pool: &Pool, sql: &str, limit: Duration) -> Result<Option<QueryResult>, DbErr> {
    let statement = Statement::from_string(pool.get_database_backend(), sql);
    match timeout(limit, pool.query_one_raw(statement)).await {
        Ok(answer) => answer,
        Err(_) => Ok(None),
    }
}
