//! Loaded data whose reader's permission is still unchecked: one statement may load for several requests.

use super::{Caller, Permission, Rights};
use clientele_core::error::Result;

/// What can be loaded before it is known who is to see it.
pub trait Readable {
    /// The permission to see any of it.
    const NEEDS: Permission;
    /// What is seen of it.
    type Seen;

    /// What somebody with these rights sees, who has the permission.
    fn seen_with(&self, rights: &Rights) -> Result<Self::Seen>;
}

/// Something that only a caller with the permission can get at.
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
