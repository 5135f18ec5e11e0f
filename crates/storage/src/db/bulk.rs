//! Stores many new rows by the database's own bulk path: COPY on PostgreSQL, INSERTs of many rows on SQLite.

use entity::{Table, instant};
use sea_orm::{Iterable, ModelTrait, Value};

use super::{Dialect, Transaction};
use clientele_core::error::{Error, Result};

/// The numbers of rows in one INSERT, in the order in which they are tried. The SQL text then doesn't depend on the
/// total number of rows.
const ROWS: [usize; 3] = [100, 10, 1];

/// New rows of some tables, in the form that the database takes. They can be made before their transaction begins.
#[derive(Clone, Debug)]
pub struct NewRows {
    dialect: Dialect,
    tables: Vec<TableRows>,
}

#[derive(Clone, Debug)]
struct TableRows {
    table: &'static str,
    columns: Vec<&'static str>,
    cells: Cells,
}

#[derive(Clone, Debug)]
enum Cells {
    /// The rows in the text format of COPY.
    Text(Vec<u8>),
    /// The values of all rows.
    Values(Vec<Value>),
}

impl NewRows {
    pub fn new(dialect: Dialect) -> Self {
        let tables = Vec::new();
        Self { dialect, tables }
    }

    /// Adds the next table, with these rows. Tables are written in this order.
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
        let cells = match self.dialect {
            Dialect::Sqlite => Cells::Values(rows.flatten().collect()),
            Dialect::Postgres => {
                let mut text = Vec::new();
                for row in rows {
                    row.for_each(|cell| {
                        write_cell(&cell, &mut text);
                        text.push(b'\t');
                    });
                    text.pop();
                    text.push(b'\n');
                }
                Cells::Text(text)
            }
        };
        self.tables.push(TableRows {
            table: T::table(),
            columns: T::columns().into_iter().chain(more_columns).collect(),
            cells,
        });
    }
}

impl Transaction {
    /// Stores new rows: an existing primary key is an error. All parts must have the same tables. For hundreds of rows,
    /// faster than a [`Batch`](super::Batch).
    pub async fn load(&self, parts: &[&NewRows]) -> Result<()> {
        let tables = parts.first().map_or(0, |part| part.tables.len());
        for at in 0..tables {
            let (mut text, mut values) = (Vec::new(), Vec::new());
            let TableRows { table, columns, .. } = &parts[0].tables[at];
            for part in parts {
                match part.tables.get(at).filter(|part| part.table == *table) {
                    Some(TableRows { cells, .. }) => match cells {
                        Cells::Text(more) => text.extend_from_slice(more),
                        Cells::Values(more) => values.extend(more),
                    },
                    None => return Err(Error::defect("parts of new rows have different tables")),
                }
            }
            let names = columns.join(", ");
            if !text.is_empty() {
                self.copy(&format!("COPY {table} ({names}) FROM STDIN"), &text).await?;
            }
            let mut rows = values.chunks(columns.len()).len();
            let mut values = values.into_iter().cloned();
            let row = format!("({})", vec!["?"; columns.len()].join(", "));
            for most in ROWS {
                let sql = format!("INSERT INTO {table} ({names}) VALUES {}", vec![&*row; most].join(", "));
                while rows >= most {
                    self.run(sql.as_str(), values.by_ref().take(most * columns.len()))
                        .await?;
                    rows -= most;
                }
            }
        }
        Ok(())
    }
}

/// A value as the columns keep it: dates and numbers with a fraction are text on SQLite.
fn stored(value: Value) -> Value {
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
    while let Some(at) = rest.iter().position(|byte| b"\\\n\r\t".contains(byte)) {
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

    use super::write_cell;

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
