//! A provider's id of a message, or a receipt that came before the id was known.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "provider_message")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider_id: String,
    /// The message with this id. None until it is known.
    pub client_key: Option<String>,
    pub encoded_key: Option<String>,
    /// The rank of the early receipt.
    pub rank: Option<i32>,
    /// The early receipt, as JSON.
    pub receipt: Option<String>,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
