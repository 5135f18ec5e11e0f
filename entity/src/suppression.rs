//! An entry of the suppression list: a recipient that gets no messages.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "suppression")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub channel: String,
    /// The normalised recipient, once in each channel.
    pub recipient: String,
    pub reason: String,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    /// The caller who added it or reported the bounce.
    pub caller_kind: String,
    pub caller_id: String,
    pub caller_name: String,
    /// The client whose message a receipt was about. None if a caller added the entry.
    pub client_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
