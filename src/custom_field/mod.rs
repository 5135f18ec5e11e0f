//! Custom fields: what a bank keeps about its clients beyond the members everybody has; and the roles clients have.
//!
//! Definitions are few and read with every client, so that they are kept in memory; see [`definitions`].

mod definitions;
mod kind;
mod roles;
mod upsert;

pub use definitions::{Definitions, DefinitionsCache, Excerpt, Field, FieldState, NO_GROUP, SetUsage, version};
pub use kind::Kind;
pub use roles::{UpsertClientRole, upsert_client_role};
pub use upsert::{
    CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, UpsertCustomFieldSet, shared_lock,
    upsert_custom_field_set,
};
pub(crate) use upsert::{bump_version, definition_id, key_of_choice, lock_definitions};
