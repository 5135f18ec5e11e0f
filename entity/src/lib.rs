//! The tables, one file each. Depends only on sea-orm; the domain gives values their meaning.
//!
//! A client is one row plus collections. A collection is a table whose rows belong to one client, and which is read and
//! replaced as a whole. A new collection implements [`Collection`] for its entity; the domain's reader and writer then
//! support it.

pub mod address;
pub mod api_token;
pub mod api_user;
pub mod audit_chain;
pub mod audit_record;
pub mod client;
pub mod client_id_claim;
pub mod client_role;
pub mod client_search;
pub mod custom_field;
pub mod custom_field_claim;
pub mod custom_field_option;
pub mod custom_field_role;
pub mod custom_field_set;
pub mod custom_field_value;
pub mod date;
pub mod definition_version;
pub mod exact;
pub mod id_document;
pub mod id_document_search;
pub mod id_document_template;
pub mod idempotency_record;
pub mod instant;
pub mod message;
pub mod message_template;
pub mod message_variant;
pub mod provider_message;
pub mod raised_message;
pub mod session;
pub mod suppression;

use sea_orm::{EntityTrait, IdenStatic, Iterable};
use serde::{Serialize, de::DeserializeOwned};

/// A table that is read and written as JSON arrays of its columns, in the order of its model's fields.
pub trait Table: EntityTrait<Model: Serialize + DeserializeOwned> {
    /// The table's columns, in the order of the model's fields.
    fn columns() -> Vec<&'static str> {
        Self::Column::iter().map(|column| column.as_str()).collect()
    }

    /// The columns of the primary key.
    fn key_columns() -> Vec<&'static str> {
        Self::PrimaryKey::iter().map(|key| key.as_str()).collect()
    }

    fn table() -> &'static str {
        Self::default().table_name()
    }
}

impl<E: EntityTrait<Model: Serialize + DeserializeOwned>> Table for E {}

/// A table whose rows belong to one client. It has the columns `client_key`, `encoded_key` and `position`.
pub trait Collection: Table<Model: Member> {}

/// A row of a collection.
pub trait Member: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    fn encoded_key(&self) -> &str;

    /// The place among the members.
    fn position(&self) -> i32;
}

macro_rules! collections {
    ($($module:ident),+) => {
        /// The tables of all collections.
        pub fn collections() -> impl Iterator<Item = &'static str> {
            [$($module::Entity::table()),+].into_iter()
        }

        $(
            impl Collection for $module::Entity {}
            impl Member for $module::Model {
                fn encoded_key(&self) -> &str {
                    &self.encoded_key
                }

                fn position(&self) -> i32 {
                    self.position
                }
            }
        )+
    };
}

collections!(address, id_document, custom_field_value);
