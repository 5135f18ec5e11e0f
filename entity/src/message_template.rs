//! A template of messages: when one is written, and to whom. What is written is in its variants.

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
    /// JSON; empty lists ask for nothing.
    pub conditions: String,
    pub position: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
