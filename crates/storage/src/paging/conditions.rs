//! The conditions that a list's rows must fulfil.

use async_graphql::InputObject;
use entity::instant;
use sea_orm::Value;

use super::{Cursor, Order};
use crate::db::Dialect;
use clientele_core::scalar::DateTime;

/// A range of time. Without `from` it has no start, without `until` no end.
#[derive(InputObject, Copy, Clone, Debug)]
pub struct DateTimeRange {
    /// The first instant within the range.
    pub from: Option<DateTime>,
    /// The first instant after the range.
    pub until: Option<DateTime>,
}

/// The conditions of a statement, and the values bound to its placeholders. All of them must hold.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub dialect: Dialect,
    pub values: Vec<Value>,
    terms: Vec<String>,
}

impl Conditions {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            values: Vec::new(),
            terms: Vec::new(),
        }
    }

    pub fn push(&mut self, term: String) {
        self.terms.push(term);
    }

    /// Binds a value and returns its placeholder.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Returns true when there is only one of them.
    pub fn is_single(&self) -> bool {
        self.terms.len() == 1
    }

    pub fn clause(&self) -> String {
        if self.terms.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.terms.join(" AND "))
        }
    }

    /// A condition on a text. No stored text contains U+0000, and PostgreSQL refuses it.
    pub fn text(&mut self, text: Option<&String>, term: impl Fn(&str) -> String) {
        let Some(text) = text else { return };
        let term = if text.contains('\0') {
            "FALSE".to_owned()
        } else {
            term(&self.bind(text.as_str()))
        };
        self.push(term);
    }

    pub fn range(&mut self, column: &str, range: Option<DateTimeRange>) {
        let Some(DateTimeRange { from, until }) = range else {
            return;
        };
        for (sign, bound) in [(">=", from), ("<", until)] {
            if let Some(bound) = bound {
                let placeholder = self.bind(instant::to_text(&bound.0));
                let term = format!("{column} {sign} {}", self.dialect.cast(&placeholder, "timestamptz"));
                self.push(term);
            }
        }
    }

    /// Adds the condition for rows of the table `alias` that come after a cursor in an order, or before it.
    pub fn beside(&mut self, cursor: &Cursor, order: &Order, alias: &str, after: bool) {
        let values: Vec<String> = cursor
            .values()
            .iter()
            .zip(order.columns)
            .map(|(value, column)| {
                let placeholder = self.bind(value.as_str());
                if Order::is_instant(column) {
                    self.dialect.cast(&placeholder, "timestamptz")
                } else if Order::is_number(column) {
                    format!("CAST({placeholder} AS BIGINT)")
                } else {
                    placeholder
                }
            })
            .collect();
        let columns: Vec<String> = order.columns.iter().map(|column| format!("{alias}.{column}")).collect();
        let sign = if after == order.descending { '<' } else { '>' };
        self.push(format!("({}) {sign} ({})", columns.join(", "), values.join(", ")));
    }
}
