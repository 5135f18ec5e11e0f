//! The outcome of a request under the key that its caller gave it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "idempotency_record")]
pub struct Model {
    /// Kind and id: callers don't share keys.
    #[sea_orm(primary_key, auto_increment = false)]
    pub caller: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The hash of what was asked for, as 64 hex digits.
    pub fingerprint: String,
    /// From then on the key is free.
    #[serde(with = "crate::instant")]
    pub expires_at: DateTimeUtc,
    /// The client that the outcome shows. None before there is one, which nobody else ever sees, and once it is erased.
    pub client_key: Option<String>,
    /// The outcome as JSON, personal data included. None as above.
    pub outcome: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
