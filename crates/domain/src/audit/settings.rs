//! Settings of the audit log.

use serde::{Deserialize, Serialize};

use clientele_core::secret::Secret;

/// Protects the audit log against forgery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// The key for the HMACs of new records. Without one, a key in the database is used: an attacker who can write the
    /// database can read it there, and forge records that verify.
    pub key: Secret,
    /// The keys of older records, newest first. A key that was replaced must never be used again.
    pub previous_keys: Vec<Secret>,
}
