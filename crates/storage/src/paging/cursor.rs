//! Orders and cursors. A cursor is the position of a row in an order, as opaque text that stays valid when rows are
//! added or removed.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::instant;

use clientele_core::scalar::DateTime;

/// The sort order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The name in its cursors: a cursor of another order is invalid in this one.
    pub name: &'static str,
    /// The columns to compare. A key makes the order total.
    pub columns: &'static [&'static str],
    pub descending: bool,
}

/// A position in an order: the values of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(Vec<String>);

/// Longer than any valid cursor: three texts of 255 characters.
const LONGEST: usize = 8_192;

impl Order {
    pub(super) fn is_instant(column: &str) -> bool {
        column.ends_with("_at")
    }

    pub(super) fn is_number(column: &str) -> bool {
        column == "position"
    }
}

impl Cursor {
    pub fn of(values: Vec<String>) -> Self {
        Self(values)
    }

    pub fn values(&self) -> &[String] {
        &self.0
    }

    pub fn encode(&self, order: &Order) -> String {
        let content = serde_json::to_vec(&(order.name, &self.0)).expect("texts are JSON");
        BASE64_URL_SAFE_NO_PAD.encode(content)
    }

    /// Parses a cursor of this order. None when it isn't one.
    pub fn decode(text: &str, order: &Order) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let content = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (found, values): (String, Vec<String>) = serde_json::from_slice(&content).ok()?;
        let can_be = |value: &String, column: &str| {
            if Order::is_instant(column) {
                is_stored_instant(value)
            } else if Order::is_number(column) {
                value.parse().is_ok_and(|number: i64| number.to_string() == *value)
            } else {
                !value.contains('\0')
            }
        };
        let fits = found == order.name
            && values.len() == order.columns.len()
            && values
                .iter()
                .zip(order.columns)
                .all(|(value, column)| can_be(value, column));
        fits.then_some(Self(values))
    }
}

/// Returns true for exactly the stored form: SQLite compares it as text.
fn is_stored_instant(text: &str) -> bool {
    DateTime::parse(text).is_some_and(|parsed| instant::to_text(&parsed.0) == text)
}
