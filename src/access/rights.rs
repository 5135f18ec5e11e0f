//! What one caller may do: permissions, and which sets of custom fields it may see and change.

use std::collections::BTreeSet;

use super::{Permission, Permissions};

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
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub permissions: Permissions,
    /// Whose values it may see, beside those it may change.
    pub view_sets: Sets,
    /// Whose values it may change.
    pub edit_sets: Sets,
}

impl Rights {
    pub fn all() -> Self {
        Self {
            permissions: Permissions::all(),
            view_sets: Sets::All,
            edit_sets: Sets::All,
        }
    }

    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self {
            permissions: permissions.into_iter().collect(),
            ..Self::all()
        }
    }

    /// Whether it may see the values of every set, those to come included.
    pub fn views_all(&self) -> bool {
        self.view_sets == Sets::All || self.edits_all()
    }

    /// Whether it may change the values of every set.
    pub fn edits_all(&self) -> bool {
        self.edit_sets == Sets::All
    }

    /// Whether it may see the values of this set: who may change them may see them.
    pub fn views(&self, set_id: &str) -> bool {
        self.view_sets.contains(set_id) || self.edits(set_id)
    }

    /// Whether it may change the values of this set.
    pub fn edits(&self, set_id: &str) -> bool {
        self.edit_sets.contains(set_id)
    }
}
