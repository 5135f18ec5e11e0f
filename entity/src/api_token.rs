//! A token that a program sends in place of a name and a password, with rights of its own.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "api_token")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub name: String,
    /// SHA-256 of the token, in hexadecimal. The token itself is never stored.
    pub token_hash: String,
    /// A JSON array of names of permissions.
    pub permissions: String,
    /// A JSON array of ids of custom field sets. None: all of them.
    pub view_sets: Option<String>,
    pub edit_sets: Option<String>,
    /// A JSON array of keys of branches. None: clients of all branches, and those without one.
    pub branches: Option<String>,
    /// The same for centres.
    pub centres: Option<String>,
    /// The role, whose limits the configuration sets.
    pub role: Option<String>,
    #[serde(with = "crate::instant::option")]
    pub expires_at: Option<DateTimeUtc>,
    #[serde(with = "crate::instant::option")]
    pub revoked_at: Option<DateTimeUtc>,
    /// The creator's name at that time, and the creator's kind and id. The last two are none for tokens created before
    /// these columns existed.
    pub created_by: String,
    pub created_by_kind: Option<String>,
    pub created_by_id: Option<String>,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
}

/// Omits the hash: printed output may be kept.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.encoded_key;
        f.debug_struct("api_token")
            .field("encoded_key", key)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
