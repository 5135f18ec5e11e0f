//! A client: the row with its scalars. Its collections have tables of their own.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "client")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    /// The short id for people; unique through `client_id_claim`.
    pub client_id: String,
    pub state: String,
    pub first_name: String,
    pub middle_name: Option<String>,
    pub last_name: String,
    #[serde(with = "crate::date")]
    pub birth_date: Option<Date>,
    pub gender: Option<String>,
    pub email_address: Option<String>,
    pub home_phone: Option<String>,
    pub mobile_phone1: Option<String>,
    pub mobile_phone2: Option<String>,
    pub preferred_language: String,
    pub notes: Option<String>,
    pub client_role_key: String,
    pub assigned_branch_key: Option<String>,
    pub assigned_centre_key: Option<String>,
    pub assigned_user_key: Option<String>,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    #[serde(with = "crate::instant")]
    pub updated_at: DateTimeUtc,
    #[serde(with = "crate::instant::option")]
    pub approved_at: Option<DateTimeUtc>,
    #[serde(with = "crate::instant::option")]
    pub activated_at: Option<DateTimeUtc>,
    #[serde(with = "crate::instant::option")]
    pub closed_at: Option<DateTimeUtc>,
    /// Incremented with every change of the client or its collections.
    pub version: i32,
    /// The client that this one was merged into.
    pub merged_into_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
