//! A record of the history: who changed what, and when.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "audit_record")]
pub struct Model {
    /// The key of the client whose change it is, or the name of a chain that is shared.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chain: String,
    /// From 1, without a gap.
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
    /// JSON: the members that changed. None once they have been erased, together with the salt.
    pub contents: Option<String>,
    pub salt: Option<String>,
    pub digest: String,
    pub hmac: String,
    /// Names the key of the HMAC.
    pub key_id: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
