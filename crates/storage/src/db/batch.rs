//! Writes that are sent to the database together, in one round trip.
//!
//! PostgreSQL gets one statement, whose parts see the same rows and run in no defined order: no two may change the same
//! row. SQLite and a distributed PostgreSQL get the writes one after the other. The SQL text depends on the kinds of
//! writes, on whether there is one row or several, and on SQLite also on the columns that a change overwrites.

use entity::Table;
use sea_orm::{IdenStatic, Iterable, ModelTrait, Value};
use serde::Serialize;

use super::{Dialect, Transaction, bulk::stored};
use clientele_core::error::{Error, Result};

/// Writes to send together, with placeholders numbered across all of them.
#[derive(Debug)]
pub struct Batch {
    dialect: Dialect,
    /// Each statement is sent alone then, because a distributed database accepts no INSERT as a part of another.
    distributed: bool,
    statements: Vec<(String, Vec<Value>)>,
    /// The values of the statement that is being written.
    values: Vec<Value>,
    /// The number of the last placeholder before it.
    last: usize,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Inserts rows, or overwrites those whose primary key exists.
    pub fn put<T: Table>(&mut self, rows: &[&T::Model]) -> Result<()> {
        match rows {
            [row] => {
                self.put_one::<T, 0>(row, []);
                Ok(())
            }
            rows => self.put_columns::<T>(&T::columns(), rows),
        }
    }

    /// Like [`put`](Self::put), for one row with columns that the model lacks.
    pub fn put_one<T: Table, const N: usize>(&mut self, row: &T::Model, more: [(&'static str, Value); N]) {
        self.insert_one::<T, N>(row, more, overwrite::<T>);
    }

    /// Like [`put_one`](Self::put_one), for a row that is stored as `before`.
    ///
    /// On SQLite, a statement writes every index of the columns that it sets, so only the columns that differ are set.
    /// On PostgreSQL, all are: a new text must be planned for each connection, and a change of one indexed column
    /// writes all indexes.
    pub fn put_over<T: Table, const N: usize>(
        &mut self,
        before: &T::Model,
        row: &T::Model,
        more: [(&'static str, Value); N],
    ) {
        let is_kept = |column: &T::Column| match self.dialect {
            Dialect::Postgres => false,
            Dialect::Sqlite => before.get(*column) == row.get(*column),
        };
        let kept = T::Column::iter().filter(is_kept).map(|column| column.as_str());
        let kept: Vec<&str> = kept.collect();
        self.insert_one::<T, N>(row, more, |columns| {
            let set = columns.iter().copied().filter(|column| !kept.contains(column));
            overwrite::<T>(&Vec::from_iter(set))
        });
    }

    /// Like [`put`](Self::put), for objects with members for exactly these columns of the table.
    pub fn put_columns<T: Table>(&mut self, columns: &[&str], rows: &[impl Serialize]) -> Result<()> {
        self.insert_json::<T>(columns, rows, &overwrite::<T>(columns))
    }

    /// Inserts rows into an append-only table: an existing primary key is an error.
    pub fn insert<T: Table>(&mut self, rows: &[&T::Model]) -> Result<()> {
        match rows {
            [row] => {
                self.insert_one::<T, 0>(row, [], |_| String::new());
                Ok(())
            }
            rows => self.insert_json::<T>(&T::columns(), rows, ""),
        }
    }

    /// One row is bound as values: the database takes longer to read them from JSON.
    fn insert_one<T: Table, const N: usize>(
        &mut self,
        row: &T::Model,
        more: [(&'static str, Value); N],
        conflict: impl Fn(&[&str]) -> String,
    ) {
        let (dialect, mut columns) = (self.dialect, T::columns());
        let own = T::Column::iter().map(|column| match dialect {
            Dialect::Postgres => row.get(column),
            Dialect::Sqlite => stored(row.get(column)),
        });
        let mut placeholders: Vec<String> = own.map(|value| self.bind(value)).collect();
        for (column, value) in more {
            columns.push(column);
            placeholders.push(self.bind(value));
        }
        self.push(format!(
            "INSERT INTO {} ({}) VALUES ({}){}",
            T::table(),
            columns.join(", "),
            placeholders.join(", "),
            conflict(&columns),
        ));
    }

    fn insert_json<T: Table>(&mut self, columns: &[&str], rows: &[impl Serialize], conflict: &str) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = T::table();
        let placeholder = self.bind(serde_json::to_string(rows).map_err(Error::internal)?);
        self.push(format!(
            "INSERT INTO {table} ({}) {}{conflict}",
            columns.join(", "),
            self.dialect.rows_of_json(table, columns, &placeholder),
        ));
        Ok(())
    }

    /// Deletes the rows of one client that have these keys.
    pub fn delete<T: Table>(&mut self, client_key: &str, keys: &[&str]) -> Result<()> {
        let client = self.bind(client_key);
        let keys = self.bind(serde_json::to_string(keys).map_err(Error::internal)?);
        let which = self.dialect.is_one_of("encoded_key", &keys);
        self.push(format!(
            "DELETE FROM {} WHERE client_key = {client} AND {which}",
            T::table()
        ));
        Ok(())
    }

    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.last + self.values.len())
    }

    fn push(&mut self, statement: String) {
        let values = std::mem::take(&mut self.values);
        self.last += if self.distributed { 0 } else { values.len() };
        self.statements.push((statement, values));
    }

    /// The statements to send, one after the other.
    fn into_statements(self) -> Vec<(String, Vec<Value>)> {
        if self.distributed {
            return self.statements;
        }
        let (statements, values): (Vec<String>, Vec<Vec<Value>>) = self.statements.into_iter().unzip();
        let sql = match (self.dialect, statements.split_last()) {
            (Dialect::Postgres, Some((last, others))) if !others.is_empty() => {
                let parts: Vec<String> = others
                    .iter()
                    .enumerate()
                    .map(|(at, statement)| format!("w{at} AS ({statement})"))
                    .collect();
                format!("WITH {} {last}", parts.join(", "))
            }
            _ => statements.join("; "),
        };
        vec![(sql, values.concat())]
    }
}

/// The end of an INSERT that overwrites these columns of a row whose primary key exists.
fn overwrite<T: Table>(columns: &[&str]) -> String {
    let key = T::key_columns();
    let values: Vec<String> = columns
        .iter()
        .filter(|column| !key.contains(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let action = match values.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE SET {}", values.join(", ")),
    };
    format!(" ON CONFLICT ({}) DO {action}", key.join(", "))
}

impl Transaction {
    pub fn batch(&self) -> Batch {
        Batch {
            dialect: self.dialect,
            distributed: self.distributed,
            statements: Vec::new(),
            values: Vec::new(),
            last: 0,
        }
    }

    /// Runs the writes of a batch.
    pub async fn write(&self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        for (sql, values) in batch.into_statements() {
            self.run(sql, values).await?;
        }
        Ok(())
    }

    /// Inserts rows, or overwrites those whose primary key exists.
    pub async fn put<T: Table>(&self, rows: &[&T::Model]) -> Result<()> {
        let mut batch = self.batch();
        batch.put::<T>(rows)?;
        self.write(batch).await
    }
}

#[cfg(test)]
mod tests {
    use entity::id_document_search::{Entity, Model};

    use super::{Batch, Dialect};

    /// The end of the statement that overwrites a row with another number.
    fn overwritten(dialect: Dialect, number: &str) -> String {
        let mut batch = Batch {
            dialect,
            distributed: false,
            statements: Vec::new(),
            values: Vec::new(),
            last: 0,
        };
        let row = |number: &str| Model {
            client_key: "a".to_owned(),
            encoded_key: "b".to_owned(),
            document_type: "passport".to_owned(),
            document_id: number.to_owned(),
        };
        batch.put_over::<Entity, 0>(&row("1"), &row(number), []);
        let (sql, values) = batch.into_statements().remove(0);
        assert_eq!(values.len(), 4);
        let (_, conflict) = sql.split_once(" ON CONFLICT ").expect("it overwrites");
        conflict.to_owned()
    }

    #[test]
    fn sqlite_sets_only_the_columns_that_differ() {
        let key = "(client_key, encoded_key) DO";
        let number = "document_id = excluded.document_id";
        assert_eq!(overwritten(Dialect::Sqlite, "2"), format!("{key} UPDATE SET {number}"));
        assert_eq!(overwritten(Dialect::Sqlite, "1"), format!("{key} NOTHING"));
        let all = format!("{key} UPDATE SET document_type = excluded.document_type, {number}");
        assert_eq!(overwritten(Dialect::Postgres, "2"), all);
    }
}
