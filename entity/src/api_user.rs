//! A user, who signs in with a name and a password.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "api_user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub name: String,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    pub active: bool,
    /// True when another person set the password, so that it must be changed.
    pub initial: bool,
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
    pub version: i64,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    #[serde(with = "crate::instant")]
    pub updated_at: DateTimeUtc,
}

/// Omits the hash: printed output may be kept.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.encoded_key;
        f.debug_struct("api_user")
            .field("encoded_key", key)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
