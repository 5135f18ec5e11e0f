//! The clients whose stored values a change of a field concerns.

use sea_orm::{ConnectionTrait, Value};

use crate::caller::{Caller, Permission};
use clientele_core::{error::Result, problem::ConcernedClients};
use clientele_storage::db::Connection;

/// Limit of the ids that are shown.
pub(super) const SHOWN: usize = 3;

/// Counts the clients whose keys the query selects as `client_key`; none if there are none.
pub(super) async fn clients<C: ConnectionTrait>(
    keys: &str,
    values: impl IntoIterator<Item = Value>,
    caller: &Caller,
    connection: &Connection<C>,
) -> Result<Option<ConcernedClients>> {
    let sql = format!(
        "WITH concerned AS ({keys}) SELECT (SELECT count(*) FROM concerned), c.client_id \
         FROM concerned k JOIN client c ON c.encoded_key = k.client_key \
         ORDER BY c.created_at, c.encoded_key LIMIT {SHOWN}"
    );
    let rows = connection.all(sql, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let ids = match caller.can(Permission::ViewClient) {
        true => rows
            .iter()
            .map(|row| row.try_get_by_index(1))
            .collect::<Result<_, _>>()?,
        false => Vec::new(),
    };
    Ok(Some(ConcernedClients {
        count: first.try_get_by_index(0)?,
        ids,
    }))
}

/// "1 client has", "2 clients have".
pub(super) fn have(clients: &ConcernedClients) -> String {
    match clients.count {
        1 => "1 client has".to_owned(),
        count => format!("{count} clients have"),
    }
}
