//! A client role that a custom field is available to. A field without any is available to all roles.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "custom_field_role")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub field_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub role_key: String,
    pub position: i32,
    pub is_required: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
