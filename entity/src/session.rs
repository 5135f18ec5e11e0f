//! A session: a user who signed in with `signIn`, and the hashes of the tokens that are valid now.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub user_key: String,
    /// SHA-256 of the part that all refresh tokens of the session share, in hexadecimal. It finds the session of a
    /// token that was replaced.
    pub family_hash: String,
    /// SHA-256 of the current refresh token, and of the one before.
    pub refresh_hash: String,
    pub previous_refresh_hash: Option<String>,
    /// SHA-256 of the current access token.
    pub access_hash: String,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    #[serde(with = "crate::instant")]
    pub refreshed_at: DateTimeUtc,
    #[serde(with = "crate::instant")]
    pub access_expires_at: DateTimeUtc,
    /// The session ends then unless it is refreshed before.
    #[serde(with = "crate::instant")]
    pub refresh_expires_at: DateTimeUtc,
    /// The session ends then in any case.
    #[serde(with = "crate::instant")]
    pub expires_at: DateTimeUtc,
}

/// Omits the hashes: printed output may be kept.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.encoded_key;
        f.debug_struct("session")
            .field("encoded_key", key)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
