//! Lists of clients: filters, stable orders, and pages by cursor (or by offset, for the legacy route).

mod cursor;
mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

use std::sync::Arc;

use async_graphql::{Enum, InputObject};

pub use filter::{ClientFilter, CustomFieldFilter, DateTimeRange, Exactly};

use super::aggregate::{self, Aggregate, Wanted};
use crate::{
    Clientele,
    custom_field::Definitions,
    error::Result,
    problem::{Problem, ProblemCode, path},
};
use cursor::Cursor;
use filter::Conditions;

/// What clients are sorted by. Clients that are equal in it come in the order of their keys.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientOrderField {
    /// When the client was created.
    #[default]
    CreatedAt,
    /// When the client was last changed.
    UpdatedAt,
    /// The last name, then the first name, by code point.
    Name,
}

/// Which end comes first.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum OrderDirection {
    /// Smallest, or earliest, first.
    #[default]
    Asc,
    /// Largest, or latest, first.
    Desc,
}

/// How a list of clients is sorted.
#[derive(InputObject, Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOrder {
    /// What to sort by.
    #[graphql(default)]
    pub field: ClientOrderField,
    /// Which end comes first.
    #[graphql(default)]
    pub direction: OrderDirection,
}

/// Which part of a list is asked for.
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
    /// `count` clients after the first `offset`.
    Offset { offset: u64, count: u32 },
}

/// A part of a list, in the list's order whichever end it was read from.
#[derive(Clone, Debug)]
pub struct ClientPage {
    pub rows: Vec<Aggregate>,
    pub definitions: Arc<Definitions>,
    pub order: ClientOrder,
    /// Whether there is more on the side that was read towards.
    pub more: bool,
}

impl ClientPage {
    /// The cursor of a row of this page.
    pub fn cursor(&self, row: &Aggregate) -> String {
        Cursor::of(&row.client, self.order.field).encode()
    }
}

impl Clientele {
    /// A page of the clients that pass `filter`. One statement, whatever the data.
    ///
    /// # Errors
    /// As the inner error: a cursor that isn't one of this order, or a custom field that doesn't exist.
    pub async fn clients(
        &self,
        filter: &ClientFilter,
        order: ClientOrder,
        range: &Range,
        wanted: Wanted,
    ) -> Result<Result<ClientPage, Problem>> {
        let connection = self.db.read();
        let mut conditions = match self.conditions(filter).await? {
            Ok(conditions) => conditions,
            Err(problem) => return Ok(Err(problem)),
        };
        let (count, backwards, offset, cursors) = match range {
            Range::First { count, after, before } => (*count, false, 0, [("after", after), ("before", before)]),
            Range::Last { count, after, before } => (*count, true, 0, [("after", after), ("before", before)]),
            Range::Offset { offset, count } => (*count, false, *offset, [("after", &None), ("before", &None)]),
        };
        for (name, text) in cursors {
            let Some(text) = text else { continue };
            match Cursor::decode(text, order.field) {
                Some(cursor) => {
                    conditions.push_cursor(&cursor, (name == "after") == (order.direction == OrderDirection::Asc))
                }
                None => {
                    let message = "This isn't a cursor of this list in this order: send one that a page has given you.";
                    return Ok(Err(Problem::new(ProblemCode::Invalid, path![name], message)));
                }
            }
        }
        let descending = backwards != (order.direction == OrderDirection::Desc);
        let direction = if descending { "DESC" } else { "ASC" };
        let columns: Vec<String> = order
            .field
            .columns()
            .iter()
            .map(|column| format!("c.{column} {direction}"))
            .collect();
        let limit = conditions.bind(i64::from(count) + 1);
        let offset = if offset > 0 {
            format!(" OFFSET {}", conditions.bind(offset.min(i64::MAX as u64) as i64))
        } else {
            String::new()
        };
        let sql = format!(
            "{} {} ORDER BY {} LIMIT {limit}{offset}",
            aggregate::select(connection.dialect, wanted),
            conditions.clause(),
            columns.join(", "),
        );
        let mut clients = self.clients_of(sql, conditions.values).await?;
        let more = clients.rows.len() > count as usize;
        clients.rows.truncate(count as usize);
        if backwards {
            clients.rows.reverse();
        }
        Ok(Ok(ClientPage {
            rows: clients.rows,
            definitions: clients.definitions,
            order,
            more,
        }))
    }

    /// How many clients pass `filter`.
    pub async fn count_clients(&self, filter: &ClientFilter) -> Result<Result<i64, Problem>> {
        let conditions = match self.conditions(filter).await? {
            Ok(conditions) => conditions,
            Err(problem) => return Ok(Err(problem)),
        };
        let sql = format!("SELECT count(*) FROM client c {}", conditions.clause());
        let row = self.db.read().one(sql, conditions.values).await?;
        Ok(Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?))
    }

    async fn conditions(&self, filter: &ClientFilter) -> Result<Result<Conditions, Problem>> {
        let connection = self.db.read();
        // Only a filter by a custom field needs the definitions before the clients are read.
        let definitions = match filter.custom_field {
            Some(_) => Some(self.definitions.current(connection).await?),
            None => None,
        };
        Ok(filter.conditions(connection.dialect, definitions.as_deref()))
    }
}

impl ClientOrderField {
    /// The columns that are compared; the key makes the order total.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::CreatedAt => &["created_at", "encoded_key"],
            Self::UpdatedAt => &["updated_at", "encoded_key"],
            Self::Name => &["last_name", "first_name", "encoded_key"],
        }
    }
}

impl Conditions {
    /// Rows on one side of a cursor.
    fn push_cursor(&mut self, cursor: &Cursor, greater: bool) {
        let columns: Vec<String> = cursor
            .field
            .columns()
            .iter()
            .map(|column| format!("c.{column}"))
            .collect();
        let values: Vec<String> = cursor
            .values
            .iter()
            .zip(cursor.field.columns())
            .map(|(value, column)| {
                let placeholder = self.bind(value.as_str());
                if column.ends_with("_at") {
                    self.dialect.cast(&placeholder, "timestamptz")
                } else {
                    placeholder
                }
            })
            .collect();
        let sign = if greater { '>' } else { '<' };
        self.push(format!("({}) {sign} ({})", columns.join(", "), values.join(", ")));
    }
}
