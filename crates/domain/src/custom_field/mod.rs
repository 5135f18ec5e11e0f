//! Custom fields: what a bank keeps about its clients beyond the members everybody has; and the roles clients have.
//!
//! Definitions are few and read with every client, so that they are kept in memory; see [`definitions`].

mod names;
mod roles;
mod upsert;

pub(crate) use names::{definition_id, key_of_choice};
pub use roles::{UpsertClientRole, upsert_client_role};
pub use upsert::{
    CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, UpsertCustomFieldSet, upsert_custom_field_set,
};
