//! The change feed: every committed change of a client. No change ever appears before a position that was served.
//!
//! A trigger of the database adds each audit record of a client to the table `client_change`. Changes are in the order
//! of `ordinal`, then of `id`. On SQLite, which has one writer at a time, ids are the order of commits. On PostgreSQL,
//! an ordinal is the id of the writing transaction, and transactions commit in any order. So changes are served only
//! below the horizon, the least id of the transactions that run: all transactions below it have ended, and later ones
//! get higher ids. The changes of a client keep the order of its versions, because the trigger raises an ordinal that is
//! less than that of the version before.
//!
//! A [`Position`] names the last change that was read, never the horizon: after a crash, PostgreSQL can reuse the ids of
//! transactions that wrote nothing.

mod change;
mod filter;
mod kind;
mod live;
mod position;
mod read;
mod removal;
mod subscription;

use std::sync::Arc;

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

pub(crate) use self::read::end;
pub use self::{
    change::ClientChange, filter::ChangeFilter, kind::ChangeKind, live::SubscriptionEnd, position::Position,
    subscription::ChangeSubscription,
};
use self::{live::Live, read::ChangeBatch};
use crate::{
    caller::{Caller, Permission},
    definitions::DefinitionsCache,
};
use clientele_core::error::Result;
use clientele_storage::db::{Database, Dialect, Step, Transaction, Work};

/// The limit of the changes of a page.
pub const LARGEST_PAGE: u32 = 1_000;

/// The number of changes that a page examines for a filter or a limited caller.
pub const EXAMINED: u32 = 1_000;

/// Settings of the change feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeSettings {
    /// The time that changes can be read, in days. The audit log keeps their records longer.
    pub retention_days: u32,
}

impl Default for ChangeSettings {
    fn default() -> Self {
        Self { retention_days: 90 }
    }
}

/// Reads the change feed. Clones share everything.
#[derive(Clone, Debug)]
pub struct ChangeFeed {
    db: Database,
    definitions: DefinitionsCache,
    retention: TimeDelta,
    live: Arc<Live>,
}

/// A page of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangePage {
    pub changes: Vec<ClientChange>,
    /// The position after the last change that was examined. Without further changes, the one that the page was read
    /// from.
    pub position: Position,
    /// True if there are changes after `position`. The filter may leave them out.
    pub has_more: bool,
}

/// The reason why a page can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangesRefused {
    #[error("This isn't a position of the change feed: send the position of a page, a change or an export.")]
    Malformed,
    #[error(
        "The feed has no change at this position: it is of another database, or an earlier state was restored. Start \
         from an export."
    )]
    Unknown,
    #[error("The changes after this position are no longer available. Start from an export.")]
    Expired,
    #[error("The change feed isn't available while the tables are distributed (database.distributed).")]
    Distributed,
}

impl ChangeFeed {
    pub fn new(db: Database, definitions: DefinitionsCache, settings: ChangeSettings) -> Self {
        Self {
            db,
            definitions,
            retention: TimeDelta::days(settings.retention_days.into()),
            live: Arc::default(),
        }
    }

    /// Ensures that new changes follow the stored ones. A database that was moved to another cluster of PostgreSQL has
    /// changes of later transactions than that cluster has begun.
    pub async fn start(&self) -> Result<()> {
        if self.db.read().dialect == Dialect::Sqlite || self.db.read().distributed {
            return Ok(());
        }
        self.db.write(&RaiseShift).await
    }

    /// Returns up to `first` changes after a position that pass the filter. Takes one statement.
    ///
    /// # Errors
    /// The inner error is a position that can't be read from. [`Error::Forbidden`](clientele_core::error::Error) without
    /// VIEW_CLIENT.
    pub async fn page(
        &self,
        caller: &Caller,
        after: Option<&Position>,
        first: u32,
        filter: &ChangeFilter,
    ) -> Result<Result<ChangePage, ChangesRefused>> {
        if let Err(refused) = self.admit(caller)? {
            return Ok(Err(refused));
        }
        let is_narrow = filter.is_narrow() || caller.rights.are_limited();
        let most = if is_narrow { first.max(EXAMINED) } else { first };
        let batch = ChangeBatch::after(self.db.read(), after.unwrap_or(&Position::START), most).await?;
        let mut position = match after {
            Some(after) if after.is_before(&batch.begins_after) => return Ok(Err(ChangesRefused::Expired)),
            Some(_) if !batch.has_position => return Ok(Err(ChangesRefused::Unknown)),
            Some(after) => after.clone(),
            None => batch.begins_after,
        };
        // Read after the changes, so that values of a field that has moved to another set are hidden.
        let definitions = self.definitions.to_mask(&caller.rights).await?;
        let (mut changes, mut examined) = (Vec::new(), 0);
        for stored in batch.changes.iter().take(most as usize) {
            if changes.len() == first as usize {
                break;
            }
            position = stored.position.clone();
            examined += 1;
            changes.extend(ClientChange::of(stored, &caller.rights, &*definitions, filter));
        }
        Ok(Ok(ChangePage {
            changes,
            position,
            has_more: examined < batch.found_count,
        }))
    }

    /// Returns the position after all changes that can be served now.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn end(&self, caller: &Caller) -> Result<Result<Position, ChangesRefused>> {
        match self.admit(caller)? {
            Ok(()) => end(self.db.read()).await.map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn admit(&self, caller: &Caller) -> Result<Result<(), ChangesRefused>> {
        caller.require(Permission::ViewClient)?;
        if self.db.read().distributed {
            return Ok(Err(ChangesRefused::Distributed));
        }
        // A replica that lags doesn't know the latest positions.
        self.db.read_from_primary();
        Ok(Ok(()))
    }
}

/// Raises the ids of transactions if changes have higher ones than any transaction that has begun.
struct RaiseShift;

impl Work for RaiseShift {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let missing =
            "(SELECT max(ordinal) FROM client_change) + 1 - pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
        let is_low = format!("SELECT 1 FROM change_feed WHERE shift < {missing}");
        if transaction.one(is_low, []).await?.is_none() {
            return Ok(Step::Discard(()));
        }
        // A change that is being written with the former shift would be below the new horizon.
        transaction
            .execute_unprepared("LOCK TABLE client_change IN SHARE ROW EXCLUSIVE MODE")
            .await?;
        let raise = format!("UPDATE change_feed SET shift = {missing} WHERE shift < {missing}");
        transaction.run(raise, []).await?;
        Ok(Step::Commit(()))
    }
}

#[cfg(test)]
mod tests;
