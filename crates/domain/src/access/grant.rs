//! Checks the rights in an input for a user or token, and that the caller can give them.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined;

use crate::caller::{Caller, Permission, Rights, Sets};
use crate::member::{Problems, Scalars};
use clientele_core::{path, problem::ProblemCode};

const MOST_SETS: usize = 1_000;

/// Returns the rights that an input for a user or token results in. An absent member keeps its value; null means all
/// sets.
pub(super) fn rights(
    permissions: &MaybeUndefined<Vec<Permission>>,
    view_sets: &MaybeUndefined<Vec<String>>,
    edit_sets: &MaybeUndefined<Vec<String>>,
    stored: Option<&Rights>,
    problems: &mut Problems,
) -> Rights {
    let permissions = problems.list("permissions", permissions, Permission::ALL.len());
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
    let view_sets = sets("viewSets", view_sets, stored.map(|rights| &rights.view_sets));
    let edit_sets = sets("editSets", edit_sets, stored.map(|rights| &rights.edit_sets));
    Rights {
        permissions: permissions.unwrap_or_else(|| stored.map(|rights| rights.permissions).unwrap_or_default()),
        view_sets,
        edit_sets,
    }
}

/// Callers can give only rights that they have.
pub(super) fn require_rights(caller: &Caller, rights: &Rights, problems: &mut Problems) {
    if !caller.rights.cover(rights) {
        let message = "You can't give rights that you don't have yourself.";
        problems.add(ProblemCode::Forbidden, path!["permissions"], message);
    }
}

/// Returns true if the caller can give this role; none means the general limits. Roles have no order, so a caller
/// without every right can give only their own.
pub(super) fn has_limits(caller: &Caller, role: Option<&str>) -> bool {
    caller.role.as_deref() == role || caller.rights.are_all()
}

pub(super) fn require_role(caller: &Caller, role: Option<&str>, problems: &mut Problems) {
    if has_limits(caller, role) {
        return;
    }
    let message = match &caller.role {
        Some(own) => format!("You can only give your own role, {own}. Giving another one needs every right."),
        None => "You can't give a role that you don't have. Giving one needs every right.".to_owned(),
    };
    problems.add(ProblemCode::Forbidden, path!["role"], message);
}

/// The name of a role, which can have limits in the configuration.
pub(super) fn role(sent: &MaybeUndefined<String>, stored: Option<String>, problems: &mut Problems) -> Option<String> {
    let mut member = Scalars {
        scope: Vec::new(),
        problems,
    };
    member.limited("role", sent, stored, 64)
}
