//! Custom fields, which hold the data that a bank defines for its clients, and client roles.
//!
//! Definitions are few and read with every client, so they are kept in memory; see [`definitions`].

mod names;
mod roles;
mod upsert;

pub(crate) use names::{definition_id, key_of_choice};
pub use roles::{UpsertClientRole, upsert_client_role};
pub use upsert::{
    CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, UpsertCustomFieldSet, upsert_custom_field_set,
};
