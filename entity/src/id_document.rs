//! A client's identification document.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "id_document")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub position: i32,
    pub document_type: String,
    pub document_id: String,
    pub issuing_authority: Option<String>,
    #[serde(with = "crate::date")]
    pub valid_until: Option<Date>,
    /// The key of its template.
    #[serde(default)]
    pub template_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
