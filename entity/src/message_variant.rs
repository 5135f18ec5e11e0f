//! The texts of a message template in one language. A row is a version: its texts never change, because messages refer
//! to it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "message_variant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub template_key: String,
    pub language: String,
    /// Null where the channel knows none.
    pub subject: Option<String>,
    pub text: String,
    pub html: Option<String>,
    /// Whether new messages are written from it: one for each language of a template that exists.
    pub current: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
