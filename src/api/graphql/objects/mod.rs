//! The object types of the schema. Each is a table of fields over a row; what isn't in a table isn't public.
//!
//! To add a field: a line in its type's table. To add a type: a file with its `impl Object`, and a line in [`NODES`] when
//! it has a global id.

pub mod client;
pub mod connection;
pub mod custom_field;
pub mod payload;

use async_graphql::registry::Registry;

use super::object::{Object, one_of};

/// Puts a type into the schema, and says what it is called there.
type Register = fn(&mut Registry) -> String;

/// The types with a global id.
pub const NODES: &[(&str, Register)] = &[
    (client::Client::NAME, one_of::<client::Client>),
    (client::Address::NAME, one_of::<client::Address>),
    (client::IdDocument::NAME, one_of::<client::IdDocument>),
    (
        custom_field::CustomFieldValue::NAME,
        one_of::<custom_field::CustomFieldValue>,
    ),
    (
        custom_field::CustomFieldSet::NAME,
        one_of::<custom_field::CustomFieldSet>,
    ),
    (custom_field::CustomField::NAME, one_of::<custom_field::CustomField>),
    (custom_field::ClientRole::NAME, one_of::<custom_field::ClientRole>),
];
