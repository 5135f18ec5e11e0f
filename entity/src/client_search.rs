//! The folded texts of a client, by which it is searched and compared with others. They can be computed anew from the
//! client at any time.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "client_search")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    pub first_name: String,
    pub last_name: String,
    pub birth_date: Option<Date>,
    pub email: Option<String>,
    /// The digits of a phone number.
    pub home_phone: Option<String>,
    pub mobile_phone1: Option<String>,
    pub mobile_phone2: Option<String>,
    pub city: Option<String>,
    pub country: Option<String>,
    /// The names and other words without digits, in ASCII: a search finds similar ones.
    pub words: String,
    /// All words that a search finds, in ASCII.
    pub text: String,
    /// The version of the folding.
    pub form: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
