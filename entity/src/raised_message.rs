//! A message as receipts find it by its key, and as limits count it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "raised_message")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub channel: String,
    /// The normalised recipient. None if the message isn't counted: it was suppressed, or limits no longer concern it.
    pub recipient: Option<String>,
    /// The kind and the id of the caller whose change raised it. None if it isn't counted for a caller.
    pub caller: Option<String>,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
