//! Conditions of clients that have a row in another table.

use clientele_storage::{db::Dialect, paging::Conditions};

/// The rows of another table by which clients are found.
#[derive(Debug)]
pub(super) struct OtherRows {
    table: &'static str,
    holds: String,
    /// A further condition, which makes an index serve the rows of all clients.
    indexed: String,
    /// True if no client has more than one of them.
    pub is_one_each: bool,
}

/// Returns true if rows that all clients of a list must have are common: if there are more than a count examines.
pub(super) type IsCommon<'a> = dyn FnMut(&OtherRows) -> bool + 'a;

impl OtherRows {
    /// The rows of a table whose index serves the condition.
    pub fn new(table: &'static str, holds: String) -> Self {
        Self {
            table,
            holds,
            indexed: String::new(),
            is_one_each: false,
        }
    }

    /// The folded texts for which the condition holds.
    pub fn of_folded(holds: String) -> Self {
        Self {
            is_one_each: true,
            ..Self::new("client_search", holds)
        }
    }

    /// The rows with this value of a custom field; none for a value that can't be stored.
    pub fn of_custom_value(
        conditions: &mut Conditions,
        field_key: &str,
        value: &str,
        is_one_each: bool,
    ) -> Option<Self> {
        // The key is bound only with the value: PostgreSQL rejects a parameter that the statement doesn't use.
        if value.contains('\0') {
            return None;
        }
        let (field_key, value) = (conditions.bind(field_key), conditions.bind(value));
        let value = conditions.dialect.cast(&value, "text");
        let holds = format!("field_key = {field_key} AND coalesce(value, linked_key) = {value}");
        Some(Self {
            // The index has the beginning of the value.
            indexed: format!(" AND substr(coalesce(value, linked_key), 1, 100) = substr({value}, 1, 100)"),
            is_one_each,
            ..Self::new("custom_field_value", holds)
        })
    }

    /// The rows in the form that the index serves: a statement from its table on.
    pub fn rows(&self) -> String {
        format!("{} WHERE {}{}", self.table, self.holds, self.indexed)
    }

    /// The condition of clients `c` that have such a row. SQLite reads all rows of an `IN` first. So if they are
    /// common, clients are checked one by one: a page, or a count, then ends early.
    fn condition(&self, dialect: Dialect, is_common: bool) -> String {
        match is_common && dialect == Dialect::Sqlite {
            true => format!(
                "EXISTS (SELECT 1 FROM {} WHERE client_key = c.encoded_key AND {})",
                self.table, self.holds
            ),
            false => format!("c.encoded_key IN (SELECT client_key FROM {})", self.rows()),
        }
    }
}

/// Adds the condition of clients that have these rows; there are none for a value that can't be stored.
pub(super) fn with_rows(conditions: &mut Conditions, rows: Option<OtherRows>, is_common: &mut IsCommon<'_>) {
    let term = rows.map(|rows| rows.condition(conditions.dialect, is_common(&rows)));
    conditions.push(term.unwrap_or_else(|| "FALSE".to_owned()));
}
