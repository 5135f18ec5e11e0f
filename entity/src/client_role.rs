//! The role of a client in the bank.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "client_role")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub role_id: String,
    pub name: String,
    pub description: Option<String>,
    pub is_default: bool,
    pub position: i32,
    /// The form of the ids that are generated for its clients; none for the configured one.
    #[serde(default)]
    pub id_pattern: Option<String>,
    #[serde(default = "yes")]
    pub allows_addresses: bool,
    #[serde(default)]
    pub requires_id_document: bool,
    /// None for roles that were created before this column existed.
    #[serde(default, with = "crate::instant::option")]
    pub created_at: Option<DateTimeUtc>,
}

/// Roles that were kept before there was this rule allow addresses.
fn yes() -> bool {
    true
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
