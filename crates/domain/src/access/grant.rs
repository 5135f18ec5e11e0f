//! Checks the rights in an input for a user or token, and that the caller can give them.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined;

use crate::caller::{Caller, Limit, Permission, Rights, Sets};
use crate::member::{Problems, Scalars};
use clientele_core::{path, problem::ProblemCode, scalar::is_key};

const MOST_SETS: usize = 1_000;
/// Limit of the branches, and of the centres, in the rights of a user or token.
pub const MOST_PLACES: usize = 1_000;

/// The rights in an input for a user or token. An absent member keeps its value; null means all sets, branches or
/// centres. Sets to edit can be viewed, too: when only the sets to view are sent, they limit those to edit.
pub(super) struct SentRights<'a> {
    pub permissions: &'a MaybeUndefined<Vec<Permission>>,
    pub view_sets: &'a MaybeUndefined<Vec<String>>,
    pub edit_sets: &'a MaybeUndefined<Vec<String>>,
    pub branches: &'a MaybeUndefined<Vec<String>>,
    pub centres: &'a MaybeUndefined<Vec<String>>,
}

/// Returns the rights that an input for a user or token results in.
pub(super) fn rights(sent: &SentRights<'_>, stored: Option<&Rights>, problems: &mut Problems) -> Rights {
    let SentRights {
        permissions,
        view_sets: sent_view_sets,
        edit_sets,
        branches,
        centres,
    } = sent;
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
    let view_sets = sets("viewSets", sent_view_sets, stored.map(|rights| &rights.view_sets));
    let mut sets_to_edit = sets("editSets", edit_sets, stored.map(|rights| &rights.edit_sets));
    if edit_sets.is_undefined() && sent_view_sets.is_value() && sets_to_edit == Sets::All {
        sets_to_edit = view_sets.clone();
    }
    let branches = limit("branches", branches, stored.map(|rights| &rights.branches), problems);
    let centres = limit("centres", centres, stored.map(|rights| &rights.centres), problems);
    Rights {
        permissions: permissions.unwrap_or_else(|| stored.map(|rights| rights.permissions).unwrap_or_default()),
        view_sets,
        edit_sets: sets_to_edit,
        branches,
        centres,
    }
}

fn limit(
    name: &'static str,
    sent: &MaybeUndefined<Vec<String>>,
    stored: Option<&Limit>,
    problems: &mut Problems,
) -> Limit {
    match sent {
        MaybeUndefined::Undefined => stored.cloned().unwrap_or_default(),
        MaybeUndefined::Null => Limit::None,
        MaybeUndefined::Value(_) => {
            let keys = problems.list(name, sent, MOST_PLACES).unwrap_or_default();
            if let Some(index) = keys.iter().position(|key| !is_key(key)) {
                let message = format!("{name} must have keys of 1 to 32 letters and digits.");
                problems.add(ProblemCode::Malformed, path![name, index], message);
            }
            Limit::To(keys.iter().cloned().collect())
        }
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
