//! The definition of a custom field.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "custom_field")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub field_id: String,
    pub set_key: String,
    pub position: i32,
    pub name: String,
    pub description: Option<String>,
    pub kind: String,
    pub state: String,
    pub required: bool,
    pub pattern: Option<String>,
    pub max_length: Option<i32>,
    /// True if no two clients have the same value.
    #[serde(default)]
    pub is_unique: bool,
    /// The selection whose value decides which options are available.
    #[serde(default)]
    pub parent_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
