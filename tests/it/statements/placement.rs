//! Where the rows of each table are on a cluster of machines.

/// The place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the shard of a client, whose key is in this column.
    Client(&'static str),
    /// On the shard of the unique value in this column.
    Value(&'static str),
    /// On every machine: a small table that rarely changes.
    Everywhere,
}

use Place::{Client, Everywhere, Value};

pub const PLACES: &[(&str, Place)] = &[
    ("address", Client("client_key")),
    ("api_token", Everywhere),
    ("api_user", Everywhere),
    ("audit_chain", Client("chain")),
    ("audit_key", Everywhere),
    ("audit_record", Client("chain")),
    ("channel_rate", Everywhere),
    ("client", Client("encoded_key")),
    ("client_id_claim", Value("client_id")),
    ("client_role", Everywhere),
    ("client_search", Client("client_key")),
    ("client_search_fill", Everywhere),
    ("custom_field", Everywhere),
    ("custom_field_claim", Value("value")),
    ("custom_field_option", Everywhere),
    ("custom_field_role", Everywhere),
    ("custom_field_set", Everywhere),
    ("custom_field_value", Client("client_key")),
    ("definition_version", Everywhere),
    ("id_document", Client("client_key")),
    ("id_document_search", Client("client_key")),
    ("id_document_template", Everywhere),
    ("idempotency_record", Value("key")),
    ("message", Client("client_key")),
    ("message_template", Everywhere),
    ("message_variant", Everywhere),
    ("provider_message", Value("provider_id")),
    ("raised_message", Client("client_key")),
    ("seaql_migrations", Everywhere),
    ("session", Everywhere),
    ("suppression", Value("recipient")),
];

/// The place of a table's rows; None for tables of the database's own catalog.
pub fn of(table: &str) -> Option<Place> {
    let found = PLACES.iter().find(|(name, _)| *name == table);
    found.map(|(_, place)| *place)
}
