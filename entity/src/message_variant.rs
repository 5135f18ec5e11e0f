//! The texts of a message template in one language. A row is a version: its texts never change, because messages refer
//! to them.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "message_variant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub template_key: String,
    pub language: String,
    /// Null for channels without subjects.
    pub subject: Option<String>,
    pub text: String,
    pub html: Option<String>,
    /// True for the version used for new messages: one for each language of an existing template.
    pub current: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
