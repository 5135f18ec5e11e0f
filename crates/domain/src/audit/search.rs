//! Lists records: those that pass a filter, those of many clients at once, and single ones by their keys.
//!
//! Each list takes one statement, whatever the data.

mod filter;

use std::collections::HashMap;

use entity::{Table, audit_record};
use sea_orm::{QueryResult, Value};

pub use filter::AuditFilter;

use super::{
    AuditLog, BY_POSITION, HistoryPage, NEWEST_FIRST, RecordKey,
    read::{Rows, Stored},
};
use crate::{
    caller::{Caller, Permission, Unchecked},
    client_by::ClientBy,
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::{
    db::Dialect,
    paging::{Asked, Conditions, Total, Window, counting},
};

/// Limit of the contents that are read at once, in bytes. A record has what a request sent, and a page has 500.
pub const LARGEST_CONTENTS: i64 = 8 << 20;

/// The bytes of a record's contents.
pub(super) const SIZE: &str = "CAST(coalesce(octet_length(a.contents), 0) AS BIGINT)";

/// The bytes if contents aren't read.
const NOTHING: &str = "CAST(0 AS BIGINT)";

impl AuditLog {
    /// Returns a page of the records that pass `filter`, newest first. Rows and total take one statement each, if
    /// requested.
    ///
    /// # Errors
    /// The inner error is a filter that could scan the whole audit log without a match.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
        window: &Window,
        asked: Asked,
    ) -> Result<Result<HistoryPage, Problem>> {
        caller.require(Permission::Audit)?;
        if let Some(ClientBy::ClientId(_) | ClientBy::Either(_)) = filter.client {
            // The existence of records would reveal whether there is a client with this id.
            caller.require(Permission::ViewClient)?;
        }
        if let Some(problem) = filter.too_wide() {
            return Ok(Err(problem));
        }
        let (rows, bytes) = if asked.rows {
            let mut conditions = filter.conditions(self.db.read().dialect);
            let clauses = window.clauses(&NEWEST_FIRST, "a", &mut conditions);
            self.read(&clauses, conditions.values, asked.contents).await?
        } else {
            (Vec::new(), 0)
        };
        let total = match asked.total {
            true => Some(self.count(filter).await?),
            false => None,
        };
        let page = window.page(rows);
        HistoryPage::of(&Rows { page, total, bytes }, &NEWEST_FIRST, &caller.rights).map(Ok)
    }

    async fn count(&self, filter: &AuditFilter) -> Result<Total> {
        let connection = self.db.read();
        let conditions = filter.conditions(connection.dialect);
        let rows = format!("audit_record a {}", conditions.clause());
        Total::count(connection, &rows, conditions.values).await
    }

    /// Returns the same page of the records of each of these clients, by their keys.
    pub async fn pages_of_clients(
        &self,
        client_keys: &[&str],
        window: &Window,
        asked: Asked,
    ) -> Result<HashMap<String, Unchecked<Rows>>> {
        let connection = self.db.read();
        let dialect = connection.dialect;
        let mut conditions = Conditions::new(dialect);
        let keys = conditions.bind(serde_json::to_string(client_keys).map_err(Error::internal)?);
        conditions.push("a.chain = k.value".to_owned());
        let total = match asked.total {
            true => format!("({})", counting(&format!("audit_record a {}", conditions.clause()))),
            false => "NULL".to_owned(),
        };
        let mut bytes = NOTHING.to_owned();
        let rows = if asked.rows {
            let clauses = window.clauses(&BY_POSITION, "a", &mut conditions);
            if asked.contents {
                bytes = format!(
                    "(SELECT CAST(sum({}) AS BIGINT) FROM {})",
                    contents_size(&clauses),
                    dialect.texts(&keys, "k")
                );
            }
            let row = row(dialect, asked.contents.then_some("k.bytes"));
            let collected = dialect.json_collect(&row, &window.order_by(&BY_POSITION, "a"));
            let collected = dialect.cast_to_text(&collected);
            format!("(SELECT {collected} FROM (SELECT a.* FROM audit_record a {clauses}) a)")
        } else {
            "NULL".to_owned()
        };
        let keys = dialect.texts(&keys, "k");
        let sql =
            format!("SELECT k.value, {rows}, {total}, k.bytes FROM (SELECT k.value, {bytes} AS bytes FROM {keys}) k");
        let page = |row: &QueryResult| {
            let (page, bytes) = of_client(row, window, asked)?;
            Ok(((row.try_get_by_index(0)?, Unchecked::new(page)), bytes))
        };
        let found = connection.each(sql, conditions.values, page).await?;
        Ok(found.into_iter().collect())
    }

    /// Returns the records of these keys; those that don't exist are left out.
    pub async fn by_key(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Unchecked<Stored>>> {
        let dialect = self.db.read().dialect;
        let named = dialect.rows_of_json(
            audit_record::Entity::table(),
            &audit_record::Entity::key_columns(),
            "$1",
        );
        let keys = serde_json::to_string(keys).map_err(Error::internal)?;
        let clause = format!("WHERE (a.chain, a.position) IN ({named})");
        let (rows, bytes) = self.read(&clause, vec![keys.into()], true).await?;
        let keyed = |row: audit_record::Model| {
            let key = RecordKey {
                chain: row.chain.clone(),
                position: row.position,
            };
            (key, Unchecked::new((row, bytes)))
        };
        Ok(rows.into_iter().map(keyed).collect())
    }

    /// Reads contents only if requested, and the bytes of all contents read.
    async fn read(&self, clauses: &str, values: Vec<Value>, contents: bool) -> Result<(Vec<audit_record::Model>, i64)> {
        let connection = self.db.read();
        let bytes = match contents {
            true => contents_size(clauses),
            false => NOTHING.to_owned(),
        };
        let row = row(connection.dialect, contents.then_some(&bytes));
        let row = connection.dialect.cast_to_text(&row);
        let sql = format!("SELECT {row}, {bytes} FROM audit_record a {clauses}");
        let rows = connection.each(sql, values, |row| {
            let (record, taken) = counted(row)?;
            let bytes: Option<i64> = row.try_get_by_index(1)?;
            Ok(((record, bytes), taken))
        });
        let rows = rows.await?;
        let bytes = rows.first().and_then(|(_, bytes)| *bytes);
        Ok((
            rows.into_iter().map(|(record, _)| record).collect(),
            bytes.unwrap_or_default(),
        ))
    }
}

/// The bytes of contents of the records that a statement reads, found without reading the contents.
fn contents_size(clauses: &str) -> String {
    format!("(SELECT CAST(sum({SIZE}) AS BIGINT) FROM (SELECT a.contents FROM audit_record a {clauses}) a)")
}

/// A record as JSON. Contents are included only if the bytes of all contents are known and below the limit.
fn row(dialect: Dialect, bytes: Option<&str>) -> String {
    let contents = match bytes {
        Some(bytes) => format!("CASE WHEN {bytes} <= {LARGEST_CONTENTS} THEN a.contents END"),
        None => "NULL".to_owned(),
    };
    let columns = audit_record::Entity::columns().into_iter().map(|column| match column {
        "contents" => contents.clone(),
        column => format!("a.{column}"),
    });
    dialect.json_array(&columns.collect::<Vec<_>>().join(", "))
}

/// Decodes the page of one client's records, and its size in memory.
fn of_client(row: &QueryResult, window: &Window, asked: Asked) -> Result<(Rows, usize)> {
    let rows: Option<String> = row.try_get_by_index(1)?;
    let mut taken = size_of::<Rows>();
    let rows: Vec<audit_record::Model> = match rows {
        Some(rows) => {
            taken += rows.len();
            serde_json::from_str(&rows).map_err(Error::internal)?
        }
        None => Vec::new(),
    };
    taken += rows.len() * size_of::<audit_record::Model>();
    let total = match asked.total {
        true => Some(Total::of(row.try_get_by_index(2)?)),
        false => None,
    };
    let bytes: Option<i64> = row.try_get_by_index(3)?;
    let rows = Rows {
        page: window.page(rows),
        total,
        bytes: bytes.unwrap_or_default(),
    };
    Ok((rows, taken))
}

/// Decodes a record from the first column.
pub(super) fn decode(row: &QueryResult) -> Result<audit_record::Model> {
    Ok(counted(row)?.0)
}

/// Decodes a record, and its size in memory.
fn counted(row: &QueryResult) -> Result<(audit_record::Model, usize)> {
    let row: String = row.try_get_by_index(0)?;
    let bytes = size_of::<audit_record::Model>() + row.len();
    Ok((serde_json::from_str(&row).map_err(Error::internal)?, bytes))
}
