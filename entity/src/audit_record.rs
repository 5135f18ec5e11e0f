//! A record of the audit log: a change, its author and its time.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "audit_record")]
pub struct Model {
    /// The key of the changed client, or the name of a shared chain.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chain: String,
    /// Consecutive, starting with 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    #[serde(with = "crate::instant")]
    pub recorded_at: DateTimeUtc,
    pub caller_kind: String,
    pub caller_id: String,
    pub caller_name: String,
    pub door: String,
    pub request_id: String,
    pub subject: String,
    pub subject_key: String,
    pub action: String,
    /// The changed members as JSON. Erased together with the salt, and then none.
    pub contents: Option<String>,
    pub salt: Option<String>,
    pub digest: String,
    pub hmac: String,
    /// Identifies the key of the HMAC.
    pub key_id: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
