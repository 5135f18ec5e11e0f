//! Parts of the lists of users and tokens.

use entity::Table;
use sea_orm::FromQueryResult;

use crate::{
    Clientele,
    error::Result,
    list::{Conditions, Order, Page, Total, Window},
};

/// A part of a list, and how many there are if that was asked.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    pub page: Page<T>,
    pub total: Option<Total>,
}

/// Reads a part of all rows of a table. The total takes a statement of its own.
pub(super) async fn read<E: Table, T>(
    clientele: &Clientele,
    order: &Order,
    window: &Window,
    total: bool,
    of: impl Fn(E::Model) -> Result<T>,
) -> Result<Listing<T>> {
    let connection = clientele.db.read();
    let mut conditions = Conditions::new(connection.dialect);
    let clauses = window.clauses(order, "a", &mut conditions);
    let columns: Vec<String> = E::columns().iter().map(|column| format!("a.{column}")).collect();
    let sql = format!("SELECT {} FROM {} a {clauses}", columns.join(", "), E::table());
    let rows = connection.all(sql, conditions.values).await?;
    let rows = rows.iter().map(|row| of(E::Model::from_query_result(row, "")?));
    let page = window.page(rows.collect::<Result<_>>()?);
    let total = match total {
        true => Some(Total::count(connection, E::table(), []).await?),
        false => None,
    };
    Ok(Listing { page, total })
}
