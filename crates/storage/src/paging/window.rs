//! The requested part of a list, and the page that was read.

use super::{Conditions, Cursor, Order};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

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
        let (count, backward, offset, after, before) = match range {
            Range::First { count, after, before } => (*count, false, 0, after.as_deref(), before.as_deref()),
            Range::Last { count, after, before } => (*count, true, 0, after.as_deref(), before.as_deref()),
            Range::Offset { offset, count } => (*count, false, *offset, None, None),
        };
        let read = |name: &'static str, text: Option<&str>| {
            let cursor = text.map(|text| Cursor::decode(text, order).ok_or_else(|| foreign(name)));
            cursor.transpose()
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
                conditions.beside(cursor, order, alias, after);
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
        let direction = if self.backward == order.descending {
            "ASC"
        } else {
            "DESC"
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
}

fn foreign(name: &'static str) -> Problem {
    let message = "This isn't a cursor of this list in this order: send one that a page has given you.";
    Problem::new(ProblemCode::Invalid, path![name], message)
}
