//! Reads all clients as they are at one time, a page at a time.

use std::sync::Arc;

use super::{
    Aggregate, ClientParts, Clients,
    aggregate::{select, within},
};
use crate::{
    caller::{Caller, Permission},
    definitions::{self, Definitions},
};
use clientele_core::error::Result;
use clientele_storage::db::Transaction;

/// All clients and the definitions as they were when the snapshot began. It holds a connection and a transaction.
#[derive(Debug)]
pub struct ClientSnapshot {
    transaction: Transaction,
    caller: Caller,
    definitions: Arc<Definitions>,
    /// The key of the last client that was read.
    after: String,
}

impl Clients {
    /// Begins to read all clients.
    ///
    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) without VIEW_CLIENT.
    pub async fn snapshot(&self, caller: &Caller) -> Result<ClientSnapshot> {
        caller.require(Permission::ViewClient)?;
        let transaction = self.db.snapshot().await?;
        let version = definitions::version(&transaction).await?;
        Ok(ClientSnapshot {
            definitions: self.definitions.at(version, &transaction).await?,
            transaction,
            caller: caller.clone(),
            after: String::new(),
        })
    }
}

impl ClientSnapshot {
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// Returns the next clients in the order of their keys, at most `most`, that exist for the caller, without the
    /// values that they may not see. Returns none after the last one.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Aggregate>> {
        let (dialect, rights) = (self.transaction.dialect, &self.caller.rights);
        let mut values = vec![self.after.as_str().into()];
        let limit = rights.and_limit(dialect, "c", &mut values);
        let select = select(dialect, ClientParts::ALL);
        let sql = format!("{select} WHERE c.encoded_key > $1{limit} ORDER BY c.encoded_key LIMIT {most}");
        let mut clients = within(&self.transaction, sql, values).await?;
        for client in &mut clients {
            client.hide_values(rights, &self.definitions);
        }
        if let Some(last) = clients.last() {
            self.after.clone_from(&last.client.encoded_key);
        }
        Ok(clients)
    }

    /// Gives the connection back. A snapshot that is dropped closes it.
    pub async fn end(self) -> Result<()> {
        self.transaction.end_reading().await
    }
}
