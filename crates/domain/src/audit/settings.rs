//! Settings of the audit log.

use serde::{Deserialize, Serialize};

use clientele_core::secret::Secret;

/// How the history is kept from being forged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// The key of the HMACs of new records. Without one a key that the database keeps is used: whoever can write the
    /// database can read it there, and forge records that verify.
    pub key: Secret,
    /// Keys that older records were made with, the newest first. One that was in use before is never to be used again.
    pub previous_keys: Vec<Secret>,
}
