//! Loaded data whose reader's permission isn't checked yet: one statement can load for several requests.

use super::{Caller, Permission, Rights};
use clientele_core::error::Result;

/// Data that can be loaded before its reader is known.
pub trait Readable {
    /// The permission to see any of it.
    const NEEDS: Permission;
    /// The data that a reader sees.
    type Seen;

    /// Returns what a reader with the permission and these rights sees.
    fn seen_with(&self, rights: &Rights) -> Result<Self::Seen>;
}

/// Data that only a caller with the permission can access.
#[derive(Clone, Debug)]
pub struct Unread<T>(T);

impl<T: Readable> Unread<T> {
    pub(crate) const fn new(stored: T) -> Self {
        Self(stored)
    }

    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) without the permission.
    pub fn read_by(&self, caller: &Caller) -> Result<T::Seen> {
        caller.needs(T::NEEDS)?;
        self.0.seen_with(&caller.rights)
    }
}
