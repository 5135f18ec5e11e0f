//! A limit of a caller to some branches, or to some centres.

use std::collections::BTreeSet;

use clientele_core::error::{Error, Result};

/// The branches or centres, by their keys, whose clients a caller can access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// No limit: clients of all branches or centres, and clients without one.
    #[default]
    None,
    /// Only clients of these branches or centres. An empty set allows no client.
    To(BTreeSet<String>),
}

impl Limit {
    pub(crate) fn allows(&self, key: Option<&str>) -> bool {
        match self {
            Self::None => true,
            Self::To(keys) => key.is_some_and(|key| keys.contains(key)),
        }
    }

    /// Returns true if this limit allows every client that the other one allows.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, _) => true,
            (Self::To(_), Self::None) => false,
            (Self::To(own), Self::To(others)) => others.is_subset(own),
        }
    }

    /// Returns the allowed key if there is exactly one.
    pub(crate) fn only(&self) -> Option<&String> {
        match self {
            Self::To(keys) if keys.len() == 1 => keys.first(),
            Self::None | Self::To(_) => None,
        }
    }

    /// The stored form: a JSON array, or none without a limit.
    pub(crate) fn to_column(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::To(keys) => Some(serde_json::json!(keys).to_string()),
        }
    }

    pub(crate) fn of_column(column: Option<&str>) -> Result<Self> {
        match column {
            None => Ok(Self::None),
            Some(keys) => serde_json::from_str(keys).map(Self::To).map_err(Error::internal),
        }
    }
}
