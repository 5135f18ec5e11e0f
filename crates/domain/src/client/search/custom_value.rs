//! The condition of clients that have a value of a custom field.

use clientele_storage::{db::Dialect, paging::Conditions};

/// Adds the condition of clients with this value. SQLite reads all clients of an `IN` first. So if the value is common,
/// clients are checked one by one: a page, or a count, then ends early.
pub(super) fn with_custom_value(conditions: &mut Conditions, field_key: &str, value: &str, is_common: bool) {
    // The key is bound only with the value: PostgreSQL rejects a parameter that the statement doesn't use.
    if value.contains('\0') {
        conditions.push("FALSE".to_owned());
        return;
    }
    if is_common && conditions.dialect == Dialect::Sqlite {
        let (field_key, value) = (conditions.bind(field_key), conditions.bind(value));
        conditions.push(format!(
            "EXISTS (SELECT 1 FROM custom_field_value v WHERE v.client_key = c.encoded_key \
             AND v.field_key = {field_key} AND coalesce(v.value, v.linked_key) = {value})"
        ));
        return;
    }
    let value = custom_value(conditions, field_key, value);
    conditions.push(format!("c.encoded_key IN (SELECT client_key FROM {value})"));
}

/// Selects the rows with this value of a custom field, in the form that the index serves.
pub(super) fn custom_value(conditions: &mut Conditions, field_key: &str, value: &str) -> String {
    let (field_key, value) = (conditions.bind(field_key), conditions.bind(value));
    let value = conditions.dialect.cast(&value, "text");
    // The index has the beginning of the value.
    format!(
        "custom_field_value WHERE field_key = {field_key} \
         AND substr(coalesce(value, linked_key), 1, 100) = substr({value}, 1, 100) \
         AND coalesce(value, linked_key) = {value}"
    )
}
