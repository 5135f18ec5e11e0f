//! Reads pages of the lists of users and tokens.

use entity::Table;
use sea_orm::{FromQueryResult, Value};

use clientele_core::error::{Error, Result};
use clientele_storage::db::Database;
use clientele_storage::paging::{Conditions, Order, Page, Requested, Total, Window};

/// A page of a list, and the number of all entries. Rows or total are absent if not requested.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    pub page: Page<T>,
    pub total: Option<Total>,
}

/// Reads a page of all rows of a table. Rows and total take one statement each, if requested.
pub(super) async fn read<E: Table, T>(
    db: &Database,
    order: &Order,
    window: &Window,
    asked: Requested,
    of: impl Fn(E::Model) -> Result<T>,
) -> Result<Listing<T>> {
    let connection = db.read();
    let rows = match asked.rows {
        true => {
            let mut conditions = Conditions::new(connection.dialect);
            let clauses = window.clauses(order, "a", &mut conditions);
            select::<E, T>(db, &clauses, conditions.values, of).await?
        }
        false => Vec::new(),
    };
    let total = match asked.total {
        true => Some(Total::count(connection, E::table(), []).await?),
        false => None,
    };
    Ok(Listing {
        page: window.page(rows),
        total,
    })
}

/// Reads the rows with these keys, in no particular order. The SQL is the same for any number of keys.
pub(super) async fn by_key<E: Table, T>(
    db: &Database,
    keys: &[&str],
    of: impl Fn(E::Model) -> Result<T>,
) -> Result<Vec<T>> {
    // PostgreSQL rejects NUL.
    let keys: Vec<&&str> = keys.iter().filter(|key| !key.contains('\0')).collect();
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    let dialect = db.read().dialect;
    let clauses = format!("WHERE {}", dialect.is_one_of("a.encoded_key", "$1"));
    select::<E, T>(db, &clauses, vec![keys.into()], of).await
}

async fn select<E: Table, T>(
    db: &Database,
    clauses: &str,
    values: Vec<Value>,
    of: impl Fn(E::Model) -> Result<T>,
) -> Result<Vec<T>> {
    let columns: Vec<String> = E::columns().iter().map(|column| format!("a.{column}")).collect();
    let sql = format!("SELECT {} FROM {} a {clauses}", columns.join(", "), E::table());
    let rows = db.read().all(sql, values).await?;
    rows.iter()
        .map(|row| of(E::Model::from_query_result(row, "")?))
        .collect()
}
