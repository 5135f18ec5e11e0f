//! The rights of a caller: permissions, the custom field sets that it can see and change, and its branches and centres.

use std::{collections::BTreeSet, fmt};

use super::Limit;
use clientele_core::{
    error::{Error, Result},
    text_enum,
};

text_enum! {
    /// A permission of a caller.
    Permission {
        /// View clients and everything that belongs to them.
        ViewClient = "VIEW_CLIENT",
        /// Create clients.
        CreateClient = "CREATE_CLIENT",
        /// Change clients.
        EditClient = "EDIT_CLIENT",
        /// Change the states of clients: approve, reject, blacklist them, and so on.
        ChangeState = "CHANGE_STATE",
        /// Merge a client into another one.
        MergeClients = "MERGE_CLIENTS",
        /// Delete clients.
        DeleteClient = "DELETE_CLIENT",
        /// Erase the personal data of clients for good, also that of deleted clients.
        EraseClient = "ERASE_CLIENT",
        /// Define custom fields and client roles.
        ManageCustomFields = "MANAGE_CUSTOM_FIELDS",
        /// Create, change and delete message templates.
        ManageTemplates = "MANAGE_TEMPLATES",
        /// View the messages to clients.
        ViewMessages = "VIEW_MESSAGES",
        /// Resend failed messages.
        ResendMessages = "RESEND_MESSAGES",
        /// Record delivery receipts of messages: for gateways and mail servers.
        RecordReceipts = "RECORD_RECEIPTS",
        /// Add recipients to the suppression list and remove them.
        ManageSuppressions = "MANAGE_SUPPRESSIONS",
        /// Manage users and API tokens.
        ManageUsers = "MANAGE_USERS",
        /// Read the audit log. Values of clients are masked unless you also have VIEW_CLIENT.
        Audit = "AUDIT",
        /// Read `/metrics`.
        ViewMetrics = "VIEW_METRICS",
    }
}

impl Permission {
    pub const ALL: [Self; 16] = [
        Self::ViewClient,
        Self::CreateClient,
        Self::EditClient,
        Self::ChangeState,
        Self::MergeClients,
        Self::DeleteClient,
        Self::EraseClient,
        Self::ManageCustomFields,
        Self::ManageTemplates,
        Self::ViewMessages,
        Self::ResendMessages,
        Self::RecordReceipts,
        Self::ManageSuppressions,
        Self::ManageUsers,
        Self::Audit,
        Self::ViewMetrics,
    ];

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u32);

impl Permissions {
    pub const fn all() -> Self {
        Self((1 << Permission::ALL.len()) - 1)
    }

    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// In the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .into_iter()
            .filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | permission.bit()),
        )
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

/// Sets of custom fields, by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sets {
    All,
    These(BTreeSet<String>),
}

impl Sets {
    pub fn contains(&self, set_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(set_id),
        }
    }

    /// The stored form: a JSON array, or none for all.
    pub(crate) fn to_column(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::These(ids) => Some(serde_json::json!(ids).to_string()),
        }
    }

    pub(crate) fn of_column(column: Option<&str>) -> Result<Self> {
        match column {
            None => Ok(Self::All),
            Some(ids) => serde_json::from_str(ids).map(Self::These).map_err(Error::internal),
        }
    }
}

/// The rights of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub permissions: Permissions,
    /// The sets whose values it can see, in addition to those it can change.
    pub view_sets: Sets,
    /// The sets whose values it can change.
    pub edit_sets: Sets,
    /// The branches that limit the caller, and the centres. A client must be within both limits.
    pub branches: Limit,
    pub centres: Limit,
}

impl Rights {
    pub fn all() -> Self {
        Self {
            permissions: Permissions::all(),
            view_sets: Sets::All,
            edit_sets: Sets::All,
            branches: Limit::None,
            centres: Limit::None,
        }
    }

    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self {
            permissions: permissions.into_iter().collect(),
            ..Self::all()
        }
    }

    /// Returns true if these are all rights.
    pub fn are_all(&self) -> bool {
        self.cover(&Self::all())
    }

    /// Returns true if these rights show the values of every set, including future ones.
    pub fn views_all(&self) -> bool {
        self.view_sets == Sets::All || self.edits_all()
    }

    /// Returns true if these rights show the values of some sets.
    pub fn views_any(&self) -> bool {
        [&self.view_sets, &self.edit_sets].into_iter().any(|sets| match sets {
            Sets::All => true,
            Sets::These(ids) => !ids.is_empty(),
        })
    }

    /// Returns true if these rights allow changing the values of every set.
    pub fn edits_all(&self) -> bool {
        self.edit_sets == Sets::All
    }

    /// Returns true if these rights show the values of this set. The right to change them includes it.
    pub fn views(&self, set_id: &str) -> bool {
        self.view_sets.contains(set_id) || self.edits(set_id)
    }

    /// Returns true if these rights allow changing the values of this set.
    pub fn edits(&self, set_id: &str) -> bool {
        self.edit_sets.contains(set_id)
    }

    /// Returns true if these rights include all of `other`.
    pub fn cover(&self, other: &Self) -> bool {
        let covers = |sets: &Sets, all: bool, one: &dyn Fn(&str) -> bool| match sets {
            Sets::All => all,
            Sets::These(ids) => all || ids.iter().all(|id| one(id)),
        };
        let mut permissions = other.permissions.iter();
        permissions.all(|permission| self.permissions.contains(permission))
            && covers(&other.view_sets, self.views_all(), &|id| self.views(id))
            && covers(&other.edit_sets, self.edits_all(), &|id| self.edits(id))
            && self.branches.covers(&other.branches)
            && self.centres.covers(&other.centres)
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Permissions, Rights, Sets};

    #[test]
    fn a_set_has_what_was_put_in_and_no_more() {
        for permission in Permission::ALL {
            let one = Permissions::from_iter([permission]);
            assert_eq!(one.iter().collect::<Vec<_>>(), [permission]);
            assert!(Permissions::all().contains(permission));
            assert!(!Permissions::default().contains(permission));
        }
    }

    #[test]
    fn rights_cover_what_is_no_more_than_themselves() {
        let these = |ids: &[&str]| Sets::These(ids.iter().map(ToString::to_string).collect());
        let rights = |permissions: &[Permission], view: Sets, edit: Sets| Rights {
            view_sets: view,
            edit_sets: edit,
            ..Rights::of(permissions.iter().copied())
        };
        let mine = rights(
            &[Permission::ViewClient, Permission::ManageUsers],
            these(&["a"]),
            these(&["b"]),
        );
        for (other, covered) in [
            (mine.clone(), true),
            (rights(&[], these(&[]), these(&[])), true),
            (rights(&[Permission::Audit], these(&[]), these(&[])), false),
            (rights(&[], these(&["b"]), these(&[])), true),
            (rights(&[], these(&["a"]), these(&["a"])), false),
            (rights(&[], these(&["c"]), these(&[])), false),
            (rights(&[], Sets::All, these(&[])), false),
            (rights(&[], these(&[]), Sets::All), false),
            (Rights::all(), false),
        ] {
            assert_eq!(mine.cover(&other), covered, "{other:?}");
            assert!(Rights::all().cover(&other), "{other:?}");
        }
    }
}
