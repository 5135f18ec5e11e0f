//! The statements of both databases. The parameters `which` and `source` are the parts that differ.

use crate::answer::{ADDRESS, CLIENT, DOCUMENT, VALUE};

pub const ROLES: &str = "SELECT encoded_key, name FROM client_role";
pub const FIELDS: &str = "SELECT encoded_key, field_id, name FROM custom_field";

/// The key of the client with this id.
pub const KEY: &str = "(SELECT client_key FROM client_id_claim WHERE client_id = $1)";

pub fn three() -> String {
    format!("SELECT first_name, last_name, email_address FROM client WHERE encoded_key = {KEY}")
}

pub fn client(which: &str) -> String {
    format!("SELECT {CLIENT} FROM client WHERE encoded_key {which}")
}

/// The client with the number of its records, locked until the end of the transaction.
pub fn lock() -> String {
    format!("SELECT {CLIENT}, history_count FROM client WHERE encoded_key = {KEY} FOR UPDATE")
}

pub fn page() -> String {
    format!("SELECT {CLIENT} FROM client ORDER BY created_at, encoded_key LIMIT 50")
}

/// The rows of a collection. PostgreSQL's are sorted by the ceiling.
pub fn addresses(which: &str) -> String {
    format!("SELECT {ADDRESS} FROM address WHERE client_key {which}")
}

pub fn documents(which: &str) -> String {
    format!("SELECT {DOCUMENT} FROM id_document WHERE client_key {which}")
}

pub fn values(which: &str) -> String {
    format!("SELECT {VALUE} FROM custom_field_value WHERE client_key {which}")
}

pub fn update() -> String {
    format!(
        "UPDATE client SET first_name = $2, last_name = $3, updated_at = $4, version = version + 1, \
         history_count = history_count + 1 WHERE encoded_key = $1 RETURNING {CLIENT}, history_count"
    )
}

pub const DELETE_ADDRESS: &str = "DELETE FROM address WHERE client_key = $1";
pub const DELETE_DOCUMENTS: &str = "DELETE FROM id_document WHERE client_key = $1";
pub const DELETE_SEARCHED_DOCUMENTS: &str = "DELETE FROM id_document_search WHERE client_key = $1";

pub fn insert_address() -> String {
    format!(
        "INSERT INTO address (client_key, encoded_key, position, line1, city) VALUES ($1, $2, 0, $3, $4) \
         RETURNING {ADDRESS}"
    )
}

/// `source` yields the client's key, and the key, position, type and number of the document.
pub fn insert_documents(source: &str) -> String {
    format!(
        "INSERT INTO id_document (client_key, encoded_key, position, document_type, document_id) {source} \
         RETURNING {DOCUMENT}"
    )
}

/// `which` leaves out the keys of the fields that keep their values.
pub fn delete_values(which: &str) -> String {
    format!("DELETE FROM custom_field_value WHERE client_key = $1 AND field_key {which}")
}

/// `source` yields the client's key, the field's key, and the key, position and text of the value.
pub fn upsert_values(source: &str) -> String {
    format!(
        "INSERT INTO custom_field_value (client_key, field_key, group_index, encoded_key, position, value) {source} \
         ON CONFLICT (client_key, field_key, group_index) \
         DO UPDATE SET position = excluded.position, value = excluded.value RETURNING {VALUE}"
    )
}

pub const UPDATE_SEARCHED: &str = "UPDATE client_search SET first_name = $2, last_name = $3, city = $4, \
    country = NULL, words = $5, text = $6 WHERE client_key = $1";

/// `source` yields the client's key, and the key, folded type and number of the document.
pub fn insert_searched_documents(source: &str) -> String {
    format!("INSERT INTO id_document_search (client_key, encoded_key, document_type, document_id) {source}")
}

pub const INSERT_RECORD: &str = "INSERT INTO audit_record (chain, position, recorded_at, caller_kind, caller_id, \
    caller_name, door, request_id, subject, subject_key, action, contents, salt, digest, hmac, key_id) \
    VALUES ($1, $2, $3, 'OPERATOR', 'ceiling', 'ceiling', 'GRAPHQL', '', 'CLIENT', $1, 'CHANGED', $4, '', $5, '', '')";
