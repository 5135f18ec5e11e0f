//! Compares the configured keys with those that sealed the newest records, for a diagnosis.

use chrono::{DateTime, Utc};

use super::AuditLog;
use crate::caller::{Caller, Permission};
use clientele_core::error::Result;

/// The key of the newest records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyInUse {
    /// There are no records.
    None,
    /// The one that seals new records.
    Current,
    /// A configured earlier one, or the database's own: the next start goes on with the current one.
    Earlier,
    /// One that isn't configured.
    Unknown,
}

/// The newest record of all clients, and the last ones of the shared chains.
const NEWEST: &str = "SELECT key_id, recorded_at FROM \
    (SELECT key_id, recorded_at FROM audit_record ORDER BY recorded_at DESC, chain DESC, position DESC LIMIT 1) newest \
    UNION ALL SELECT r.key_id, r.recorded_at FROM audit_chain c JOIN audit_record r \
    ON r.chain = c.chain AND r.position = c.count WHERE c.chain IN ('~definitions', '~users')";

impl AuditLog {
    /// The key of the newest records, and their latest time.
    pub async fn newest(&self, caller: &Caller) -> Result<(KeyInUse, Option<DateTime<Utc>>)> {
        caller.require(Permission::Audit)?;
        let connection = self.db.read();
        let keys = self.keys(connection).await?;
        let rows = connection.all(NEWEST, []).await?;
        let (mut in_use, mut latest) = (KeyInUse::None, None);
        for row in &rows {
            let (id, at): (String, DateTime<Utc>) = row.try_get_many_by_index()?;
            latest = latest.max(Some(at));
            in_use = match (keys.key(&id), in_use) {
                (_, KeyInUse::Unknown) | (None, _) => KeyInUse::Unknown,
                (Some(key), KeyInUse::None | KeyInUse::Current) if key.id == keys.current().id => KeyInUse::Current,
                (Some(_), _) => KeyInUse::Earlier,
            };
        }
        Ok((in_use, latest))
    }
}
