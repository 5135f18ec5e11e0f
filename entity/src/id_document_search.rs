//! The folded type and number of an identification document, by which clients are searched and compared.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "id_document_search")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    /// The key of the document.
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub document_type: String,
    /// The number's letters and digits.
    pub document_id: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
