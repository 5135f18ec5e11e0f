//! A value that a selection field offers.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "custom_field_option")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub field_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub position: i32,
    pub value: String,
    pub state: String,
    /// A decimal in its canonical text.
    pub score: Option<String>,
    /// The values of the parent field that the option is available for, as a JSON array; null for all.
    pub for_values: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
