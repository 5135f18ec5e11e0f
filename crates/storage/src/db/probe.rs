//! Probes a database: tries a read or a write on a connection that no request uses.

use std::{io, time::Duration};

use sea_orm::ConnectionTrait;
use tokio::time::{Instant, sleep, timeout};

use super::{pool::Pool, settings::Purpose, sqlite_file::SqliteFile, transaction::TransactionConnection};
use clientele_core::error::{Cause, Error, Result};

/// PgBouncer tries a login again after `server_login_retry`, for which 1 s is recommended. Until then it refuses
/// everything, which is no outage yet.
pub(super) const POOLER_LOGIN: Duration = Duration::from_secs(2);
pub(super) const POOLER_INTERVAL: Duration = Duration::from_millis(50);

/// The kind of a tried or failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The pools to probe.
pub(super) struct Probe {
    pub reader: Pool,
    pub writer: Pool,
    pub file: Option<SqliteFile>,
    /// A database that doesn't answer for this long is unavailable.
    pub time_limit: Duration,
}

impl Probe {
    pub async fn run(&self, access: Access) -> Result<()> {
        let probing = async {
            match access {
                Access::Read => self.probe_reading().await,
                Access::Write if self.file.as_ref().is_some_and(|file| !file.is_in_place()) => {
                    Err(Error::Unavailable(Cause::FileGone))
                }
                Access::Write => probe_writing(&self.writer).await,
            }
        };
        let probed = timeout(self.time_limit, probing).await;
        match probed.unwrap_or(Err(Error::Unavailable(Cause::Io(io::ErrorKind::TimedOut)))) {
            // The database answers, and existing connections keep working.
            Err(Error::Unavailable(Cause::Postgres(state))) if &state == b"53300" => Ok(()),
            probed => probed,
        }
    }

    async fn probe_reading(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.reader.read_on_own_connection().await.map_err(Error::from) {
                Err(Error::Unavailable(Cause::PoolerLogin)) if begun.elapsed() < POOLER_LOGIN => {
                    sleep(POOLER_INTERVAL).await;
                }
                read => return read,
            }
        }
    }
}

/// Commits an empty change.
async fn probe_writing(pool: &Pool) -> Result<()> {
    let transaction = TransactionConnection::begin(pool, Purpose::Writing).await?;
    transaction
        .execute_unprepared("UPDATE definition_version SET version = version")
        .await?;
    Ok(transaction.commit().await?)
}
