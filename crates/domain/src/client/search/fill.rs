//! Writes the search rows of clients that have none, or whose rows are of another version of the folding. It runs
//! when a program starts, after the migrations.
//!
//! The clients are taken in the order of their keys, in short transactions. The position is stored, so that an
//! interrupted fill goes on where it ended, and two servers that start together share the work. Changes of clients
//! write these rows themselves, also while a fill runs.

use entity::{client, client_search, id_document_search};

use super::{SEARCHED, SearchRows, folding::FORM};
use crate::client::aggregate::{select, within};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Database, Dialect, Step, Transaction, Work};

/// The number of clients in one transaction.
const CLIENTS: i64 = 500;

/// Writes all missing rows, at the start of a program. Calls `progress` with the number of clients after each
/// transaction.
pub async fn fill_search_rows(db: &Database, progress: impl Fn(usize)) -> Result<()> {
    // First without a lock: a read-only database allows none.
    let sql = "SELECT form, filled_to FROM client_search_fill WHERE id = 1";
    let row = db.read().one(sql, []).await?;
    let state: Option<(i32, Option<String>)> = row.map(|row| row.try_get_many_by_index()).transpose()?;
    if state == Some((FORM, None)) {
        return Ok(());
    }
    let mut filled = 0;
    while let Some(clients) = db.write(&Fill).await? {
        filled += clients;
        progress(filled);
    }
    Ok(())
}

struct Fill;

impl Work for Fill {
    /// The number of clients; none if no client is left.
    type Output = Option<usize>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let for_update = match transaction.dialect {
            Dialect::Postgres => " FOR UPDATE",
            Dialect::Sqlite => "",
        };
        let sql = format!("SELECT form, filled_to FROM client_search_fill WHERE id = 1{for_update}");
        let row = transaction.one(sql, []).await?;
        let row = row.ok_or_else(|| Error::defect("the state of the search rows is missing"))?;
        let filled_to = match row.try_get_many_by_index::<(i32, Option<String>)>()? {
            (FORM, None) => return Ok(Step::Discard(None)),
            (FORM, Some(filled_to)) => filled_to,
            // The rows are of another version of the folding: begin with the first client.
            _ => String::new(),
        };
        // On PostgreSQL a lock needs a separate statement: the next one then sees what was committed meanwhile.
        let sql = format!("SELECT encoded_key FROM client WHERE encoded_key > $1 ORDER BY encoded_key LIMIT {CLIENTS}");
        let after = || [filled_to.as_str().into()];
        let locked = transaction.lock_each::<client::Entity>(sql.as_str(), after(), "NO KEY UPDATE");
        let keys: Vec<String> = match locked.await? {
            Some(locked) => locked.into_iter().flatten().collect(),
            None => {
                let rows = transaction
                    .all(sql + transaction.locking(" FOR NO KEY UPDATE"), after())
                    .await?;
                let keys = rows.iter().map(|row| row.try_get_by_index(0));
                keys.collect::<Result<_, _>>()?
            }
        };
        let last = keys.last();
        let state = "UPDATE client_search_fill SET form = $1, filled_to = $2 WHERE id = 1";
        transaction.run(state, [FORM.into(), last.cloned().into()]).await?;
        if keys.is_empty() {
            return Ok(Step::Commit(None));
        }
        // Only those that are locked: the row of another one could be of its state before a change.
        let select = select(transaction.record_form(), SEARCHED);
        let sql = format!(
            "{select} WHERE {}",
            transaction.dialect.is_one_of("c.encoded_key", "$1")
        );
        let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
        let clients = within(transaction, sql, [keys.into()]).await?;
        let (searched, numbers) = SearchRows::split(clients.iter().map(SearchRows::of));
        let mut batch = transaction.batch();
        batch.put::<client_search::Entity>(&Vec::from_iter(&searched))?;
        batch.put::<id_document_search::Entity>(&Vec::from_iter(&numbers))?;
        transaction.write(batch).await?;
        Ok(Step::Commit(Some(clients.len())))
    }
}
