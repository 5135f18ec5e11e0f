//! Stores many new rows by the database's own bulk path: COPY on PostgreSQL, INSERTs of many rows on SQLite.

use entity::Table;
use sea_orm::Value;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Dialect, Transaction};
use clientele_core::error::{Error, Result};

/// The numbers of rows in one INSERT, in the order in which they are tried. The SQL text then doesn't depend on the
/// total number of rows.
const ROWS: [usize; 3] = [100, 10, 1];

impl Transaction {
    /// Stores new rows: an existing primary key is an error. For hundreds of rows, faster than a
    /// [`Batch`](super::Batch).
    pub async fn load<T: Table>(&self, rows: &[&T::Model]) -> Result<()> {
        self.load_columns::<T>(&T::columns(), rows).await
    }

    /// Like [`load`](Self::load), for objects with members for exactly these columns of the table.
    pub async fn load_columns<T: Table>(&self, columns: &[&str], rows: &[impl Serialize]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (table, names) = (T::table(), columns.join(", "));
        match self.dialect {
            Dialect::Postgres => {
                let mut text = Vec::new();
                for row in rows {
                    let cells = cells(row)?;
                    for (at, column) in columns.iter().enumerate() {
                        if at > 0 {
                            text.push(b'\t');
                        }
                        write_cell(cells.get(*column), &mut text);
                    }
                    text.push(b'\n');
                }
                self.copy(&format!("COPY {table} ({names}) FROM STDIN"), &text).await
            }
            Dialect::Sqlite => {
                let row = format!("({})", vec!["?"; columns.len()].join(", "));
                let mut rest = rows;
                for most in ROWS {
                    let sql = format!("INSERT INTO {table} ({names}) VALUES {}", vec![&*row; most].join(", "));
                    while let Some((part, others)) = rest.split_at_checked(most) {
                        let mut values = Vec::with_capacity(most * columns.len());
                        for row in part {
                            let mut cells = cells(row)?;
                            values.extend(columns.iter().map(|column| bound(cells.remove(*column))));
                        }
                        self.run(sql.as_str(), values).await?;
                        rest = others;
                    }
                }
                Ok(())
            }
        }
    }
}

fn cells(row: &impl Serialize) -> Result<Map<String, Json>> {
    match serde_json::to_value(row).map_err(Error::internal)? {
        Json::Object(cells) => Ok(cells),
        _ => Err(Error::defect("a row is not an object")),
    }
}

/// Writes a cell in the text format of COPY.
fn write_cell(cell: Option<&Json>, out: &mut Vec<u8>) {
    match cell {
        None | Some(Json::Null) => out.extend(b"\\N"),
        Some(Json::String(text)) => {
            for byte in text.bytes() {
                match byte {
                    b'\\' => out.extend(b"\\\\"),
                    b'\n' => out.extend(b"\\n"),
                    b'\r' => out.extend(b"\\r"),
                    b'\t' => out.extend(b"\\t"),
                    byte => out.push(byte),
                }
            }
        }
        Some(other) => out.extend(other.to_string().bytes()),
    }
}

/// A cell as SQLite stores it.
fn bound(cell: Option<Json>) -> Value {
    match cell {
        None | Some(Json::Null) => Value::String(None),
        Some(Json::String(text)) => text.into(),
        Some(Json::Bool(value)) => value.into(),
        Some(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        // Lists and objects are stored as JSON in a text.
        Some(other) => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write_cell;

    #[test]
    fn cells_are_escaped_for_copy() {
        for (cell, text) in [
            (json!(null), "\\N"),
            (json!("\\N"), "\\\\N"),
            (json!("\\."), "\\\\."),
            (json!("a\tb\r\nc\\"), "a\\tb\\r\\nc\\\\"),
            (json!(""), ""),
            (json!("ü\u{7}"), "ü\u{7}"),
            (json!(true), "true"),
            (json!(-12), "-12"),
        ] {
            let mut out = Vec::new();
            write_cell(Some(&cell), &mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), text, "{cell}");
        }
    }
}
