//! Locks rows of several clients in one transaction.
//!
//! PostgreSQL locks the rows that a statement reads. A distributed one can do that only for rows of one client, so they
//! are locked one by one before. SQLite's one writer has locked everything.

use entity::Table;
use sea_orm::Value;

use super::{Dialect, Transaction};
use clientele_core::error::Result;

/// Returns false for a row that [`lock_each`](Transaction::lock_each) hasn't locked: a later statement can return rows
/// that fit its query only since then.
pub fn is_locked(locked: Option<&[Vec<String>]>, key: &[&str]) -> bool {
    let is_key = |one: &Vec<String>| one.iter().map(String::as_str).cmp(key.iter().copied());
    locked.is_none_or(|locked| locked.binary_search_by(is_key).is_ok())
}

impl Transaction {
    /// Returns `clause`, such as ` FOR UPDATE`, where the end of a statement locks the rows of several clients; nothing
    /// where they aren't locked or [`lock_each`](Self::lock_each) has done it.
    pub fn locking(&self, clause: &'static str) -> &'static str {
        match self.dialect {
            Dialect::Postgres if !self.distributed => clause,
            Dialect::Postgres | Dialect::Sqlite => "",
        }
    }

    /// On a distributed database, locks rows one by one in the order of their keys, which the query `keys` selects.
    /// Returns these keys, sorted; elsewhere none.
    pub async fn lock_each<T: Table>(
        &self,
        keys: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
        strength: &str,
    ) -> Result<Option<Vec<Vec<String>>>> {
        if !self.distributed {
            return Ok(None);
        }
        let columns = T::key_columns();
        let rows = self.all(keys, values).await?;
        let keys = rows.iter().map(|row| {
            let columns = (0..columns.len()).map(|at| row.try_get_by_index(at));
            columns.collect::<Result<Vec<String>, _>>()
        });
        let mut keys: Vec<Vec<String>> = keys.collect::<Result<_, _>>()?;
        keys.sort_unstable();
        let terms = columns.iter().zip(1..);
        let terms: Vec<String> = terms.map(|(column, at)| format!("{column} = ${at}")).collect();
        let sql = format!(
            "SELECT 1 FROM {} WHERE {} FOR {strength}",
            T::table(),
            terms.join(" AND ")
        );
        for key in &keys {
            self.all(sql.as_str(), key.iter().map(Value::from)).await?;
        }
        Ok(Some(keys))
    }
}
