//! The suppression list: recipients that get no messages, because messages to them came back or because a caller said
//! so. It belongs to the installation, not to clients: callers who are limited to branches or centres have no access.

mod change;
mod forget;
mod list;

pub use change::{AddSuppression, RemoveSuppression};
pub(crate) use forget::{forget, record_forgotten};
pub use list::{NEWEST_FIRST, SuppressionFilter, cursor, listed};

use clientele_storage::db::Database;

use crate::{audit::AuditLog, caller::Caller, message_guard::Recipients};
use clientele_core::error::{Error, Result};

/// Reads and changes the suppression list. Clones share everything.
#[derive(Clone, Debug)]
pub struct Suppressions {
    db: Database,
    audit: AuditLog,
    recipients: Recipients,
}

impl Suppressions {
    pub fn new(db: Database, audit: AuditLog, recipients: Recipients) -> Self {
        Self { db, audit, recipients }
    }
}

/// # Errors
/// [`Error::LimitedRights`] for a caller who is limited to branches or centres.
fn require_all_clients(caller: &Caller) -> Result<()> {
    match caller.rights.are_limited() {
        true => Err(Error::LimitedRights),
        false => Ok(()),
    }
}
