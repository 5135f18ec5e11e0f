//! Stores many new rows by the database's own bulk path: COPY on PostgreSQL, INSERTs of many rows on SQLite.

use std::{borrow::Cow, ops::Range};

use entity::{Table, instant};
use sea_orm::{ConnectionTrait, Iterable, ModelTrait, Value};

use super::{Dialect, Transaction};
use clientele_core::error::Result;

/// The numbers of rows in one INSERT, in the order in which they are tried. The SQL text then doesn't depend on the
/// total number of rows.
const ROWS: [usize; 3] = [100, 10, 1];

/// New rows of some tables, in the form that the database takes. They can be made before their transaction begins, in
/// parts of which it stores only some.
#[derive(Debug)]
pub struct NewRows {
    dialect: Dialect,
    tables: Vec<TableRows>,
    parts: usize,
}

#[derive(Debug)]
struct TableRows {
    table: &'static str,
    columns: Vec<&'static str>,
    cells: Cells,
    /// The ends of the parts in the cells.
    ends: Vec<usize>,
}

#[derive(Debug)]
enum Cells {
    /// The rows in the text format of COPY.
    Text(Vec<u8>),
    /// The values of all rows.
    Values(Vec<Value>),
}

impl NewRows {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            tables: Vec::new(),
            parts: 0,
        }
    }

    /// Adds rows of a table. Tables are written in the order in which they are first added.
    pub fn add<'a, T: Table>(&mut self, rows: impl IntoIterator<Item = &'a T::Model>)
    where
        T::Model: ModelTrait<Entity = T> + 'a,
    {
        self.add_with::<T, 0>([], rows.into_iter().map(|row| (row, [])));
    }

    /// Does the same for rows with columns that the model lacks.
    pub fn add_with<'a, T: Table, const N: usize>(
        &mut self,
        more_columns: [&'static str; N],
        rows: impl IntoIterator<Item = (&'a T::Model, [Value; N])>,
    ) where
        T::Model: ModelTrait<Entity = T> + 'a,
    {
        let rows = rows.into_iter().map(|(row, more)| {
            let own = T::Column::iter().map(|column| stored(row.get(column)));
            own.chain(more)
        });
        match self.cells::<T>(&more_columns) {
            Cells::Values(values) => values.extend(rows.flatten()),
            Cells::Text(text) => {
                for row in rows {
                    row.for_each(|cell| {
                        write_cell(&cell, text);
                        text.push(b'\t');
                    });
                    text.pop();
                    text.push(b'\n');
                }
            }
        }
    }

    fn cells<T: Table>(&mut self, more_columns: &[&'static str]) -> &mut Cells {
        let known = self.tables.iter().position(|known| known.table == T::table());
        let at = known.unwrap_or_else(|| {
            self.tables.push(TableRows {
                table: T::table(),
                columns: T::columns().into_iter().chain(more_columns.iter().copied()).collect(),
                cells: match self.dialect {
                    Dialect::Sqlite => Cells::Values(Vec::new()),
                    Dialect::Postgres => Cells::Text(Vec::new()),
                },
                ends: vec![0; self.parts],
            });
            self.tables.len() - 1
        });
        &mut self.tables[at].cells
    }

    /// Ends a part: the rows that were added since the part before. It can have none.
    pub fn end_part(&mut self) {
        self.parts += 1;
        for table in &mut self.tables {
            table.ends.push(table.cells.len());
        }
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Values(values) => values.len(),
        }
    }
}

impl TableRows {
    /// The ranges of cells of these parts. Adjacent ones share a range.
    fn ranges(&self, is_stored: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        let (mut ranges, mut start) = (Vec::<Range<usize>>::new(), 0);
        for (part, end) in self.ends.iter().enumerate() {
            if is_stored(part) {
                match ranges.last_mut().filter(|last| last.end == start) {
                    Some(last) => last.end = *end,
                    None => ranges.push(start..*end),
                }
            }
            start = *end;
        }
        ranges
    }
}

impl Transaction {
    /// Stores the new rows of the parts for which `is_stored` returns true: an existing primary key is an error. For
    /// hundreds of rows, faster than a [`Batch`](super::Batch).
    pub async fn load(&self, rows: &NewRows, is_stored: impl Fn(usize) -> bool) -> Result<()> {
        for rows in &rows.tables {
            let TableRows {
                table, columns, cells, ..
            } = rows;
            let table = format!("{table} ({})", columns.join(", "));
            let ranges = rows.ranges(&is_stored);
            match cells {
                Cells::Text(_) if ranges.iter().all(Range::is_empty) => {}
                Cells::Text(text) => {
                    let text = match &ranges[..] {
                        [all] => Cow::Borrowed(&text[all.clone()]),
                        some => Cow::Owned(Vec::from_iter(some.iter().map(|range| &text[range.clone()])).concat()),
                    };
                    self.copy(&format!("COPY {table} FROM STDIN"), &text).await?;
                }
                Cells::Values(values) => {
                    let values = ranges.into_iter().flat_map(|range| &values[range]);
                    self.insert_rows(&table, columns.len(), &Vec::from_iter(values)).await?;
                }
            }
        }
        Ok(())
    }

    /// Inserts rows of this many columns. The values of each statement are copied while the one before runs.
    async fn insert_rows(&self, table: &str, columns: usize, values: &[&Value]) -> Result<()> {
        let mut rest = values;
        let mut next = || {
            let rows = ROWS.into_iter().find(|rows| rows * columns <= rest.len())?;
            let row = format!("({})", vec!["?"; columns].join(", "));
            let sql = format!("INSERT INTO {table} VALUES {}", vec![&*row; rows].join(", "));
            let (first, others) = rest.split_at(rows * columns);
            rest = others;
            let first = first.iter().map(|value| (*value).clone());
            Some(self.statement(sql, first))
        };
        let mut statement = next();
        while let Some(present) = statement {
            let ran;
            (ran, statement) = tokio::join!(biased; self.execute_raw(present), async { next() });
            ran?;
        }
        Ok(())
    }
}

/// A value as the columns keep it: dates and numbers with a fraction are text on SQLite.
pub(super) fn stored(value: Value) -> Value {
    match value {
        Value::ChronoDate(date) => date.map(|date| date.to_string()).into(),
        Value::ChronoDateTimeUtc(time) => time.map(|time| instant::to_text(&time)).into(),
        Value::Double(number) => number.map(|number| number.to_string()).into(),
        other => other,
    }
}

/// Writes a stored value in the text format of COPY.
fn write_cell(value: &Value, out: &mut Vec<u8>) {
    let text = match value {
        Value::String(Some(text)) => text,
        Value::Bool(Some(value)) => &value.to_string(),
        Value::Int(Some(number)) => &number.to_string(),
        Value::BigInt(Some(number)) => &number.to_string(),
        Value::String(None) | Value::Bool(None) | Value::Int(None) | Value::BigInt(None) => {
            return out.extend_from_slice(b"\\N");
        }
        other => unreachable!("no column has values like {other:?}"),
    };
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t'))
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use sea_orm::Value;

    use super::{Cells, TableRows, write_cell};

    #[test]
    fn adjacent_parts_share_a_range() {
        let rows = TableRows {
            table: "",
            columns: Vec::new(),
            cells: Cells::Text(Vec::new()),
            ends: vec![2, 2, 5, 7],
        };
        for (stored, ranges) in [
            (&[0, 1, 2, 3][..], &[(0, 7)][..]),
            (&[0, 2], &[(0, 5)]),
            (&[0, 3], &[(0, 2), (5, 7)]),
            (&[1], &[(2, 2)]),
            (&[], &[]),
        ] {
            let found = rows.ranges(|part| stored.contains(&part));
            let found: Vec<_> = found.iter().map(|range| (range.start, range.end)).collect();
            assert_eq!(found, ranges, "{stored:?}");
        }
    }

    #[test]
    fn cells_are_escaped_for_copy() {
        let null: Option<i32> = None;
        for (value, text) in [
            (Value::from("\\N"), "\\\\N"),
            ("\\.".into(), "\\\\."),
            ("a\tb\r\nc\\".into(), "a\\tb\\r\\nc\\\\"),
            ("".into(), ""),
            ("ü\u{7}".into(), "ü\u{7}"),
            (true.into(), "true"),
            ((-12).into(), "-12"),
            (3_i64.into(), "3"),
            (null.into(), "\\N"),
        ] {
            let mut out = Vec::new();
            write_cell(&value, &mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), text, "{value:?}");
        }
    }
}
