//! What a submission says about somebody's rights, and who may give them.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined;

use super::{Caller, Permission, Rights, Sets};
use crate::{
    db::{Dialect, Transaction},
    error::Result,
    member::{Problems, Scalars},
    problem::ProblemCode,
};

/// Users and tokens are changed one at a time; any number will do, as long as it stays.
const USERS_LOCK: i64 = 0x7573_6572;
const MOST_SETS: usize = 1_000;

/// One change of users and tokens at a time: who is the last to manage them must be known for sure.
pub(super) async fn lock_users(transaction: &Transaction) -> Result<()> {
    if transaction.dialect == Dialect::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock({USERS_LOCK})");
        transaction.one(sql, []).await?;
    }
    Ok(())
}

/// What is sent for rights, by the same names for users and tokens.
pub(super) struct Sent<'a> {
    pub permissions: &'a MaybeUndefined<Vec<Permission>>,
    pub view_sets: &'a MaybeUndefined<Vec<String>>,
    pub edit_sets: &'a MaybeUndefined<Vec<String>>,
}

impl Sent<'_> {
    /// The rights as they are to be. Absent stays; null stands for all sets.
    pub fn rights(&self, stored: Option<&Rights>, problems: &mut Problems) -> Rights {
        let permissions = problems.list("permissions", self.permissions, Permission::ALL.len());
        let permissions = permissions.map(|list| list.iter().copied().collect());
        let mut sets = |name, sent: &MaybeUndefined<Vec<String>>, stored: Option<&Sets>| match sent {
            MaybeUndefined::Undefined => stored.cloned().unwrap_or(Sets::All),
            MaybeUndefined::Null => Sets::All,
            MaybeUndefined::Value(_) => {
                let ids = problems.list(name, sent, MOST_SETS).unwrap_or_default();
                let mut member = Scalars {
                    scope: Vec::new(),
                    problems,
                };
                let ids: BTreeSet<String> = ids.iter().filter(|id| member.fits(name, id, 32)).cloned().collect();
                Sets::These(ids)
            }
        };
        let view_sets = sets("viewSets", self.view_sets, stored.map(|rights| &rights.view_sets));
        let edit_sets = sets("editSets", self.edit_sets, stored.map(|rights| &rights.edit_sets));
        Rights {
            permissions: permissions.unwrap_or_else(|| stored.map(|rights| rights.permissions).unwrap_or_default()),
            view_sets,
            edit_sets,
        }
    }
}

/// Nobody gives away what he hasn't.
pub(super) fn may_give(caller: &Caller, rights: &Rights, problems: &mut Problems) {
    if !caller.rights.cover(rights) {
        let message = "You can't give rights that you don't have yourself.";
        problems.add(ProblemCode::Forbidden, ["permissions".into()], message);
    }
}

/// The name of a role, which the configuration may have limits for.
pub(super) fn role(sent: &MaybeUndefined<String>, stored: Option<String>, problems: &mut Problems) -> Option<String> {
    let mut member = Scalars {
        scope: Vec::new(),
        problems,
    };
    member.limited("role", sent, stored, 64)
}
