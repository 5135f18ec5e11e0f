//! Counts the messages of a channel that failed or wait for too long, for a diagnosis.

use chrono::{DateTime, Utc};
use entity::instant;

use super::Messages;
use crate::{
    caller::{Caller, Permission},
    enums::{Channel, MessageState},
};
use clientele_core::error::Result;

/// The messages of a channel that need attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that no worker has sent although they have been due since before a given time.
    pub overdue: i64,
    /// Messages that were given up.
    pub failed: i64,
}

impl Messages {
    /// The messages of a channel that have been due since before `due_before`, and those that were given up.
    pub async fn backlog(&self, caller: &Caller, channel: Channel, due_before: DateTime<Utc>) -> Result<Backlog> {
        caller.require(Permission::ViewMetrics)?;
        let connection = self.db.read();
        let sql = format!(
            "SELECT (SELECT count(*) FROM message WHERE channel = $1 AND due_at IS NOT NULL AND due_at < {}), \
             (SELECT count(*) FROM message WHERE state = '{}' AND channel = $1)",
            connection.dialect.cast("$2", "timestamptz"),
            MessageState::Failed.as_str()
        );
        let values = [channel.as_str().into(), instant::to_text(&due_before).into()];
        let row = connection.one(sql, values).await?;
        let counted = row.map_or(Ok((0, 0)), |row| row.try_get_many_by_index());
        let (overdue, failed) = counted?;
        Ok(Backlog { overdue, failed })
    }
}
