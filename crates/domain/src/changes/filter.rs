//! A filter of the change feed.

use std::collections::BTreeSet;

use entity::client;
use sea_orm::{IdenStatic, Iterable};

use super::ChangeKind;
use crate::{
    audit::column_name,
    caller::{Limit, Rights},
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

/// The members of a client by which callers are limited.
pub(super) const BRANCH: &str = "assignedBranchKey";
pub(super) const CENTRE: &str = "assignedCentreKey";

/// The member that has the values of custom fields.
const CUSTOM_INFORMATION: &str = "customInformation";

/// The columns of a client that audit records don't have.
const UNRECORDED: [client::Column; 4] = [
    client::Column::EncodedKey,
    client::Column::Version,
    client::Column::CreatedAt,
    client::Column::UpdatedAt,
];

/// The first steps of the paths in audit records of clients.
fn recorded_members() -> impl Iterator<Item = String> {
    let is_recorded = |column: &client::Column| !UNRECORDED.iter().any(|other| other.as_str() == column.as_str());
    let own = client::Column::iter()
        .filter(is_recorded)
        .map(|column| column_name(column.as_str()));
    own.chain(["addresses", "idDocuments", CUSTOM_INFORMATION, "mergedFrom"].map(str::to_owned))
}

/// Narrows the feed. All members that are given must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeFilter {
    /// Only changes of these clients, by their keys.
    pub clients: Option<BTreeSet<String>>,
    pub kinds: Option<Vec<ChangeKind>>,
    /// Only changes of one of these members, by the first steps of their paths. Removals pass.
    pub members: Option<BTreeSet<String>>,
    pub branches: Limit,
    pub centres: Limit,
}

impl ChangeFilter {
    /// Checks the names of members, and that the caller may use the filter.
    ///
    /// # Errors
    /// The first member of the filter that the caller can't use.
    pub fn check(&self, rights: &Rights) -> Result<(), Problem> {
        let problem = |code, member, message: &'static str| Err(Problem::new(code, path!["filter", member], message));
        let is_known = |name: &String| recorded_members().any(|known| known == *name);
        if !self.members.iter().flatten().all(is_known) {
            let message = "A client has no such member. Use names of fields of Client, such as lastName, addresses, \
                idDocuments or customInformation.";
            return problem(ProblemCode::Invalid, "members", message);
        }
        let has_custom = self.members.iter().flatten().any(|name| name == CUSTOM_INFORMATION);
        if has_custom && !rights.views_any() {
            return problem(
                ProblemCode::Forbidden,
                "members",
                "You may view no set of custom fields.",
            );
        }
        for (member, limit, own) in [
            (BRANCH, &self.branches, &rights.branches),
            (CENTRE, &self.centres, &rights.centres),
        ] {
            if limit.only().is_some_and(|key| !own.allows(Some(key))) {
                return problem(
                    ProblemCode::Forbidden,
                    member,
                    "It must be one of those that your rights are limited to.",
                );
            }
        }
        Ok(())
    }

    /// Returns true if the filter can leave changes out.
    pub fn is_narrow(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn has_client(&self, key: &str) -> bool {
        self.clients.as_ref().is_none_or(|keys| keys.contains(key))
    }

    /// Checks what the caller sees of a change, so that a filter reveals nothing else.
    pub(super) fn passes(&self, kind: ChangeKind, members: &[Vec<String>]) -> bool {
        if self.kinds.as_ref().is_some_and(|kinds| !kinds.contains(&kind)) {
            return false;
        }
        let is_removed = matches!(kind, ChangeKind::Deleted | ChangeKind::Erased | ChangeKind::Left);
        let changed = |names: &BTreeSet<String>| {
            let mut firsts = members.iter().filter_map(|path| path.first());
            firsts.any(|first| names.contains(first))
        };
        is_removed || self.members.as_ref().is_none_or(changed)
    }
}
