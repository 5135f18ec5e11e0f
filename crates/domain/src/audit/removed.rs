//! Looks up when something that no longer exists was removed.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, AuditLog, Chain, Member, Subject, search::decode};
use crate::caller::{Caller, Permission};
use clientele_core::error::Result;

impl AuditLog {
    /// Returns when a user of this name was last removed. None if the audit log has no such removal.
    ///
    /// # Errors
    /// [`clientele_core::error::Error::Forbidden`] without MANAGE_USERS.
    pub async fn user_removed_at(&self, caller: &Caller, name: &str) -> Result<Option<DateTime<Utc>>> {
        caller.require(Permission::ManageUsers)?;
        let read = self.db.read();
        let row = read.dialect.row::<audit_record::Entity>("a");
        let row = read.dialect.cast_to_text(&row);
        let (user, deleted) = (Subject::User.as_str(), Action::Deleted.as_str());
        let sql = format!(
            "SELECT {row} FROM audit_record a WHERE a.chain = $1 AND a.subject = '{user}' AND a.action = '{deleted}' \
             ORDER BY a.position DESC"
        );
        for row in read.all(sql, [Chain::Users.name().into()]).await? {
            let record = decode(&row)?;
            let contents = record.contents.as_deref().unwrap_or_default();
            // `audit verify` reports contents that can't be read.
            let members: Vec<Member> = serde_json::from_str(contents).unwrap_or_default();
            let named = |member: &Member| {
                member.path == ["name"]
                    && member
                        .before
                        .as_deref()
                        .is_some_and(|before| before.eq_ignore_ascii_case(name))
            };
            if members.iter().any(named) {
                return Ok(Some(record.recorded_at));
            }
        }
        Ok(None)
    }
}
