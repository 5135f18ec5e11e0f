//! The outcome of a request, stored under its idempotency key.

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
    /// The hash of the request, as 64 hex digits. Empty after an erasure.
    pub fingerprint: String,
    /// The key can be reused after this time.
    #[serde(with = "crate::instant")]
    pub expires_at: DateTimeUtc,
    /// The client in the outcome. None before the outcome exists, which is visible only within the transaction, and
    /// after its erasure.
    pub client_key: Option<String>,
    /// The outcome as JSON, including personal data. None as above.
    pub outcome: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
