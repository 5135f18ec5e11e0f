//! Writes that are sent to the database together, in one round trip.
//!
//! PostgreSQL gets one statement, whose parts see the same rows and run in no defined order: no two may change the same
//! row. SQLite gets the writes one after the other. The SQL text depends on the kinds of writes, never on the number of
//! rows.

use entity::Table;
use sea_orm::Value;
use serde::Serialize;

use super::{Dialect, Transaction};
use clientele_core::error::{Error, Result};

/// Writes to send together, with placeholders numbered across all of them.
#[derive(Debug)]
pub struct Batch {
    dialect: Dialect,
    statements: Vec<String>,
    values: Vec<Value>,
}

impl Batch {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            statements: Vec::new(),
            values: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Inserts rows, or overwrites those whose primary key exists.
    pub fn put<T: Table>(&mut self, rows: &[&T::Model]) -> Result<()> {
        self.put_columns::<T>(&T::columns(), rows)
    }

    /// Like [`put`](Self::put), for objects with members for exactly these columns of the table.
    pub fn put_columns<T: Table>(&mut self, columns: &[&str], rows: &[impl Serialize]) -> Result<()> {
        let key = T::key_columns();
        let values: Vec<String> = columns
            .iter()
            .filter(|column| !key.contains(column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let overwrite = format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), values.join(", "));
        self.insert_or::<T>(columns, rows, &overwrite)
    }

    /// Inserts rows into an append-only table: an existing primary key is an error.
    pub fn insert<T: Table>(&mut self, rows: &[&T::Model]) -> Result<()> {
        self.insert_or::<T>(&T::columns(), rows, "")
    }

    fn insert_or<T: Table>(&mut self, columns: &[&str], rows: &[impl Serialize], conflict: &str) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = T::table();
        let placeholder = self.bind(serde_json::to_string(rows).map_err(Error::internal)?);
        self.statements.push(format!(
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
        self.statements.push(format!(
            "DELETE FROM {} WHERE client_key = {client} AND {which}",
            T::table()
        ));
        Ok(())
    }

    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn sql(&self) -> String {
        match (self.dialect, self.statements.split_last()) {
            (Dialect::Postgres, Some((last, others))) if !others.is_empty() => {
                let parts: Vec<String> = others
                    .iter()
                    .enumerate()
                    .map(|(at, statement)| format!("w{at} AS ({statement})"))
                    .collect();
                format!("WITH {} {last}", parts.join(", "))
            }
            _ => self.statements.join("; "),
        }
    }
}

impl Transaction {
    /// Runs the writes of a batch.
    pub async fn write(&self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.run(batch.sql(), batch.values).await.map(|_| ())
    }

    /// Inserts rows, or overwrites those whose primary key exists.
    pub async fn put<T: Table>(&self, rows: &[&T::Model]) -> Result<()> {
        let mut batch = Batch::new(self.dialect);
        batch.put::<T>(rows)?;
        self.write(batch).await
    }
}
