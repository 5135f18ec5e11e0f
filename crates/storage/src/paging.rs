//! Paging of lists: their conditions, their order and the requested part. The same for all lists; it doesn't know what
//! they contain.

use async_graphql::InputObject;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::instant;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::de::DeserializeOwned;

use crate::db::{Connection, Dialect};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
    scalar::DateTime,
    text_enum,
};

/// The largest exact total. A count stops after one more row.
pub const COUNT_LIMIT: i64 = 10_000;
/// Longer than any valid cursor: three texts of 255 characters.
const LONGEST_CURSOR: usize = 8_192;

/// The parts of a list that are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requested {
    pub rows: bool,
    pub total: bool,
    /// The contents of the rows, where they can be large.
    pub contents: bool,
}

impl Requested {
    pub fn or(self, other: Self) -> Self {
        Self {
            rows: self.rows || other.rows,
            total: self.total || other.total,
            contents: self.contents || other.contents,
        }
    }
}

/// The requested part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// The first `count` after a cursor; from the start without one.
    First {
        count: u32,
        after: Option<String>,
        before: Option<String>,
    },
    /// The last `count` before a cursor; from the end without one.
    Last {
        count: u32,
        after: Option<String>,
        before: Option<String>,
    },
    /// `count` rows after the first `offset`.
    Offset { offset: u64, count: u32 },
}

/// A [`Range`] with parsed cursors: a part of the list in one order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    count: u32,
    backward: bool,
    offset: u64,
    after: Option<Cursor>,
    before: Option<Cursor>,
}

/// A part of a list, in the list's order even when it was read from the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// True when there are rows after these. Known when reading forward, or from a `before`.
    pub has_next: bool,
    /// True when there are rows before these. Known when reading backward, or from an `after`.
    pub has_previous: bool,
}

impl Window {
    /// # Errors
    /// A cursor that isn't one of this order.
    pub fn of(range: &Range, order: &Order) -> Result<Self, Problem> {
        Self::of_list(range, order, "")
    }

    /// The same for one of several lists in this order, such as searches. `list` is a text that tells them apart.
    ///
    /// # Errors
    /// A cursor that isn't one of this order, or is one of another list.
    pub fn of_list(range: &Range, order: &Order, list: &str) -> Result<Self, Problem> {
        let (count, backward, offset, after, before) = match range {
            Range::First { count, after, before } => (*count, false, 0, after.as_deref(), before.as_deref()),
            Range::Last { count, after, before } => (*count, true, 0, after.as_deref(), before.as_deref()),
            Range::Offset { offset, count } => (*count, false, *offset, None, None),
        };
        let read = |name: &'static str, text: Option<&str>| {
            let message = "This isn't a cursor of this list in this order: send one that a page has given you.";
            let foreign = || Problem::new(ProblemCode::Invalid, path![name], message);
            text.map(|text| Cursor::decode_of(text, order, list).ok_or_else(foreign))
                .transpose()
        };
        Ok(Self {
            count,
            backward,
            offset,
            after: read("after", after)?,
            before: read("before", before)?,
        })
    }

    /// The end of a statement that reads this part of the rows of the table `alias`, from `WHERE` on. It reads one
    /// extra row, so that [`Window::page`] knows whether there are more.
    pub fn clauses(&self, order: &Order, alias: &str, conditions: &mut Conditions) -> String {
        for (cursor, after) in [(&self.after, true), (&self.before, false)] {
            if let Some(cursor) = cursor {
                conditions.seek(cursor, order, alias, after);
            }
        }
        let limit = conditions.bind(i64::from(self.count) + 1);
        let mut clauses = format!(
            "{} ORDER BY {} LIMIT {limit}",
            conditions.clause(),
            self.order_by(order, alias)
        );
        if self.offset > 0 {
            let offset = conditions.bind(self.offset.min(i64::MAX as u64) as i64);
            clauses += &format!(" OFFSET {offset}");
        }
        clauses
    }

    /// The order of reading rows: from the end of the list when the last rows are requested.
    pub fn order_by(&self, order: &Order, alias: &str) -> String {
        let direction = match self.backward == order.descending {
            true => "ASC",
            false => "DESC",
        };
        let columns = order.columns.iter();
        let columns: Vec<String> = columns.map(|column| format!("{alias}.{column} {direction}")).collect();
        columns.join(", ")
    }

    /// Converts the rows that a statement with [`Window::clauses`] read.
    pub fn page<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let more = rows.len() > self.count as usize;
        rows.truncate(self.count as usize);
        let (has_next, has_previous) = if self.backward {
            rows.reverse();
            (self.before.is_some(), more)
        } else {
            (more, self.after.is_some())
        };
        Page {
            rows,
            has_next,
            has_previous,
        }
    }

    /// Decodes a page from a column with all rows that a statement with [`Window::clauses`] read, as a JSON array; NULL
    /// has no rows. Returns also the size of the rows in memory.
    pub fn decode_page<T: DeserializeOwned>(&self, row: &QueryResult, column: usize) -> Result<(Page<T>, usize)> {
        let text: Option<String> = row.try_get_by_index(column)?;
        let rows: Vec<T> = match &text {
            Some(text) => serde_json::from_str(text).map_err(Error::internal)?,
            None => Vec::new(),
        };
        let bytes = text.map_or(0, |text| text.len()) + rows.len() * size_of::<T>();
        Ok((self.page(rows), bytes))
    }
}

/// Decodes a row from the JSON in its first column, and its size in memory.
pub fn decode_row<T: DeserializeOwned>(row: &QueryResult) -> Result<(T, usize)> {
    let text: String = row.try_get_by_index(0)?;
    let bytes = size_of::<T>() + text.len();
    Ok((serde_json::from_str(&text).map_err(Error::internal)?, bytes))
}

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

impl Order {
    fn is_instant(column: &str) -> bool {
        column.ends_with("_at")
    }

    fn is_number(column: &str) -> bool {
        matches!(column, "position" | "rank")
    }
}

impl Cursor {
    pub fn of(values: Vec<String>) -> Self {
        Self(values)
    }

    pub fn encode(&self, order: &Order) -> String {
        self.encode_of(order, "")
    }

    /// The same for one of several lists in this order.
    pub fn encode_of(&self, order: &Order, list: &str) -> String {
        let content = serde_json::to_vec(&(Self::names(order, list), &self.0)).expect("texts are JSON");
        BASE64_URL_SAFE_NO_PAD.encode(content)
    }

    /// The names of the order and of the list, apart: joined, those of others could be the same.
    fn names(order: &Order, list: &str) -> serde_json::Value {
        match list {
            "" => order.name.into(),
            list => serde_json::json!([order.name, list]),
        }
    }

    /// Parses a cursor of this order. None when it isn't one.
    pub fn decode(text: &str, order: &Order) -> Option<Self> {
        Self::decode_of(text, order, "")
    }

    /// The same for one of several lists in this order.
    fn decode_of(text: &str, order: &Order, list: &str) -> Option<Self> {
        if text.len() > LONGEST_CURSOR {
            return None;
        }
        let content = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (found, values): (serde_json::Value, Vec<String>) = serde_json::from_slice(&content).ok()?;
        let is_valid = |(value, column): (&String, &&str)| match *column {
            // Exactly the stored form: SQLite compares it as text.
            column if Order::is_instant(column) => {
                DateTime::parse(value).is_some_and(|parsed| instant::to_text(&parsed.0) == *value)
            }
            column if Order::is_number(column) => value.parse().is_ok_and(|number: i64| number.to_string() == *value),
            _ => !value.contains('\0'),
        };
        let is_found = found == Self::names(order, list);
        let fits = is_found && values.len() == order.columns.len();
        (fits && values.iter().zip(order.columns).all(is_valid)).then_some(Self(values))
    }
}

/// A range of time. Without `from` it has no start, without `until` no end.
#[derive(InputObject, Copy, Clone, Debug)]
pub struct DateTimeRange {
    /// The start of the range, inclusive.
    pub from: Option<DateTime>,
    /// The end of the range, exclusive.
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

    /// Returns true when there are none: all rows are selected.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Takes out all conditions so far, for a part of the statement. Their values stay bound.
    pub fn take_terms(&mut self) -> Vec<String> {
        std::mem::take(&mut self.terms)
    }

    /// Joins the conditions that `add` adds into one, and returns it without adding it.
    pub fn nested(&mut self, add: impl FnOnce(&mut Self)) -> String {
        let outer = self.take_terms();
        add(self);
        let nested = std::mem::replace(&mut self.terms, outer);
        match nested.is_empty() {
            true => "TRUE".to_owned(),
            false => format!("({})", nested.join(" AND ")),
        }
    }

    /// Returns true when there is only one of them.
    pub fn is_single(&self) -> bool {
        self.terms.len() == 1
    }

    pub fn clause(&self) -> String {
        match self.terms.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.terms.join(" AND ")),
        }
    }

    /// A condition on a text. No stored text contains U+0000, and PostgreSQL refuses it.
    pub fn text(&mut self, text: Option<&String>, term: impl Fn(&str) -> String) {
        let Some(text) = text else { return };
        let term = match text.contains('\0') {
            true => "FALSE".to_owned(),
            false => term(&self.bind(text.as_str())),
        };
        self.push(term);
    }

    pub fn range(&mut self, column: &str, range: Option<DateTimeRange>) {
        let Some(DateTimeRange { from, until }) = range else {
            return;
        };
        for (sign, bound) in [(">=", from), ("<", until)] {
            let Some(bound) = bound else { continue };
            let placeholder = self.bind(instant::to_text(&bound.0));
            let placeholder = self.dialect.cast(&placeholder, "timestamptz");
            self.push(format!("{column} {sign} {placeholder}"));
        }
    }

    /// Adds the condition for rows of the table `alias` that come after a cursor in an order, or before it.
    fn seek(&mut self, cursor: &Cursor, order: &Order, alias: &str, after: bool) {
        let mut values = Vec::new();
        for (value, column) in cursor.0.iter().zip(order.columns) {
            let placeholder = self.bind(value.as_str());
            values.push(match column {
                column if Order::is_instant(column) => self.dialect.cast(&placeholder, "timestamptz"),
                column if Order::is_number(column) => format!("CAST({placeholder} AS BIGINT)"),
                _ => placeholder,
            });
        }
        let columns: Vec<String> = order.columns.iter().map(|column| format!("{alias}.{column}")).collect();
        let sign = if after == order.descending { '<' } else { '>' };
        self.push(format!("({}) {sign} ({})", columns.join(", "), values.join(", ")));
    }
}

text_enum! {
    /// The precision of a `totalCount`.
    CountPrecision {
        /// `totalCount` is the number of entries in the list.
        Exact = "EXACT",
        /// The list has more entries than `totalCount`: counting stopped at 10,000, or at 1,000 of a search.
        AtLeast = "AT_LEAST",
    }
}

/// The number of rows in a list, exact up to [`COUNT_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub count: i64,
    pub precision: CountPrecision,
}

impl Total {
    /// Converts the number that a [`counting`] statement returns.
    pub fn of(counted: i64) -> Self {
        Self {
            count: counted.min(COUNT_LIMIT),
            precision: match counted > COUNT_LIMIT {
                true => CountPrecision::AtLeast,
                false => CountPrecision::Exact,
            },
        }
    }

    /// Decodes the number from a column; none if it wasn't requested.
    pub fn decode(row: &QueryResult, column: usize, asked: Requested) -> Result<Option<Self>> {
        match asked.total {
            true => Ok(Some(Self::of(row.try_get_by_index(column)?))),
            false => Ok(None),
        }
    }

    /// Counts rows; `rows` is a statement from its table on, such as `client c WHERE …`.
    pub async fn count<C: ConnectionTrait>(
        connection: &Connection<C>,
        rows: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Self> {
        let row = connection.one(counting(rows), values).await?;
        Ok(Self::of(row.map_or(Ok(0), |row| row.try_get_by_index(0))?))
    }
}

/// The statement that counts rows up to the limit plus one.
pub fn counting(rows: &str) -> String {
    let limit = COUNT_LIMIT + 1;
    format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {limit}) counted")
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Order};

    #[test]
    fn cursor_of_another_list_is_invalid() {
        let order = |name| Order {
            name,
            columns: &["name"],
            descending: false,
        };
        let (short, long) = (order("ab"), order("abc"));
        let cursor = Cursor::of(vec!["x".to_owned()]);
        let of_list = cursor.encode_of(&short, "cd");
        assert_eq!(Cursor::decode_of(&of_list, &short, "cd"), Some(cursor.clone()));
        assert_eq!(Cursor::decode_of(&of_list, &long, "d"), None);
        assert_eq!(Cursor::decode(&of_list, &short), None);
        let plain = cursor.encode(&long);
        assert_eq!(Cursor::decode(&plain, &long), Some(cursor));
        assert_eq!(Cursor::decode_of(&plain, &short, "c"), None);
    }
}
