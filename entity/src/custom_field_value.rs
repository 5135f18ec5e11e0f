//! A client's value of a custom field. Inputs are matched to it by its key.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "custom_field_value")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub field_key: String,
    /// -1 in an ungrouped set: a null would not be unique in the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub group_index: i32,
    pub encoded_key: String,
    pub position: i32,
    /// The value as canonical text. Null for links.
    pub value: Option<String>,
    /// The key of the linked entity. Null for all other types.
    pub linked_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
