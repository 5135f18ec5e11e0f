//! The claim of a client on a value of a unique custom field.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "custom_field_claim")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub field_key: String,
    /// The value in the form in which equal values are equal texts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub value: String,
    pub client_key: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
