//! A template of messages: its event, conditions and recipients. The texts are in its variants.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "message_template")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub template_id: String,
    pub name: String,
    pub event: String,
    pub channel: String,
    pub active: bool,
    pub default_language: String,
    /// JSON; an empty list is no condition.
    pub conditions: String,
    pub position: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
