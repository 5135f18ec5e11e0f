//! The object types of the schema. Each is a table of fields over a row; what isn't in a table isn't public.
//!
//! To add a field: a line in its type's table. To add a type: a file with its `impl Object`, and a line in [`NODES`]
//! when it has a global id.

pub mod audit;
pub mod client;
pub mod connection;
pub mod custom_field;
pub mod definition;
pub mod member;
pub mod message;
pub mod payload;
pub mod template;
pub mod user;

use async_graphql::registry::Registry;

use graphql_server::object::{Object, one_of};

/// Registers a type in the schema, and returns its name there.
type Register = fn(&mut Registry) -> String;

/// The types with a global id.
pub const NODES: &[(&str, Register)] = &[
    (client::Client::NAME, one_of::<client::Client>),
    (member::Address::NAME, one_of::<member::Address>),
    (member::IdDocument::NAME, one_of::<member::IdDocument>),
    (
        custom_field::CustomFieldValue::NAME,
        one_of::<custom_field::CustomFieldValue>,
    ),
    (definition::CustomFieldSet::NAME, one_of::<definition::CustomFieldSet>),
    (definition::CustomField::NAME, one_of::<definition::CustomField>),
    (message::Message::NAME, one_of::<message::Message>),
    (definition::ClientRole::NAME, one_of::<definition::ClientRole>),
    (template::MessageTemplate::NAME, one_of::<template::MessageTemplate>),
    (audit::AuditRecord::NAME, one_of::<audit::AuditRecord>),
    (user::User::NAME, one_of::<user::User>),
    (user::Token::NAME, one_of::<user::Token>),
];
