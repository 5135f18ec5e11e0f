//! The template of an identification document: what the documents that name it have in common.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "id_document_template")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub template_id: String,
    pub position: i32,
    pub document_type: String,
    pub issuing_authority: Option<String>,
    /// The form of the document's number; none for any.
    pub pattern: Option<String>,
    pub is_mandatory: bool,
    pub active: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
