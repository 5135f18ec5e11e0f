//! Reads all clients as they are at one time, with their audit chains and those of removed clients, a line at a time.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Aggregate, ClientParts, Clients,
    aggregate::{select, within},
};
use crate::{
    audit::{ChainPart, ChainParts},
    caller::{Caller, Permission, Rights},
    changes::{self, Position},
    definitions::{self, Definitions},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Transaction;

/// The clients that are read at once.
const PAGE: usize = 100;

/// All clients and the definitions as they were when the snapshot began. It holds a connection and a transaction.
#[derive(Debug)]
pub struct ClientSnapshot {
    transaction: Transaction,
    definitions: Arc<Definitions>,
    position: Option<Position>,
    /// The key of the last client that was read; none after the last page.
    after: Option<String>,
    /// The next clients.
    page: VecDeque<Aggregate>,
    chains: ChainParts,
    /// The client whose chain was begun.
    begun: String,
    /// The last key of a removed client without records that was read; none after the last page.
    after_unrecorded: Option<String>,
    /// The next of these keys.
    unrecorded: VecDeque<String>,
}

/// The contents of one line of an export.
#[derive(Debug)]
pub enum ExportLine {
    /// A client, and its first audit records.
    Client(Box<Aggregate>, ChainPart),
    /// The key of a client that was deleted or erased, and its first audit records.
    Removed(String, ChainPart),
    /// The next audit records of the client before.
    History {
        client_key: String,
        position: i64,
        part: ChainPart,
    },
}

impl Clients {
    /// Begins to read all clients, with all values and with their audit records as they are stored.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller without every right.
    pub async fn snapshot(&self, caller: &Caller) -> Result<ClientSnapshot> {
        if !caller.rights.cover(&Rights::all()) {
            return Err(Error::Forbidden(Permission::Audit.as_str()));
        }
        let transaction = self.db.snapshot().await?;
        let version = definitions::version(&transaction).await?;
        let position = match transaction.distributed {
            true => None,
            false => Some(changes::end(&transaction).await?),
        };
        Ok(ClientSnapshot {
            position,
            definitions: self.definitions.at(version, &transaction).await?,
            transaction,
            after: Some(String::new()),
            page: VecDeque::new(),
            chains: ChainParts::new(),
            begun: String::new(),
            after_unrecorded: Some(String::new()),
            unrecorded: VecDeque::new(),
        })
    }
}

impl ClientSnapshot {
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// The position in the change feed: the snapshot has all changes before it, and can have some after it. None on a
    /// distributed database, which has no feed.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Returns true if there is no client.
    pub async fn is_empty(&mut self) -> Result<bool> {
        self.read_clients().await?;
        Ok(self.page.is_empty())
    }

    /// Returns the next line, in the order of the clients' keys; none after the last one. Removed clients without
    /// records come last.
    pub async fn next(&mut self) -> Result<Option<ExportLine>> {
        self.read_clients().await?;
        let chains = &mut self.chains;
        let next = chains.next(&self.transaction).await?;
        if let Some((key, position, _)) = next.as_ref().filter(|(key, ..)| *key == self.begun) {
            let part = chains.part(key, *position, &self.transaction).await?;
            return Ok(Some(ExportLine::History {
                client_key: key.clone(),
                position: *position,
                part,
            }));
        }
        let client = self.page.front().map(|client| &client.client.encoded_key);
        if let Some((key, _, true)) = next
            && client.is_none_or(|client| key < *client)
        {
            let part = chains.part(&key, 1, &self.transaction).await?;
            self.begun.clone_from(&key);
            return Ok(Some(ExportLine::Removed(key, part)));
        }
        let Some(client) = self.page.pop_front() else {
            let key = self.next_unrecorded().await?;
            return Ok(key.map(|key| ExportLine::Removed(key, ChainPart::default())));
        };
        let key = &client.client.encoded_key;
        let part = chains.part(key, 1, &self.transaction).await?;
        self.begun.clone_from(key);
        Ok(Some(ExportLine::Client(Box::new(client), part)))
    }

    /// Reads the next clients if there are none in memory.
    async fn read_clients(&mut self) -> Result<()> {
        let Some(after) = self.after.take_if(|_| self.page.is_empty()) else {
            return Ok(());
        };
        let select = select(self.transaction.record_form(), ClientParts::ALL);
        let sql = format!("{select} WHERE c.encoded_key > $1 ORDER BY c.encoded_key LIMIT {PAGE}");
        let clients = within(&self.transaction, sql, [after.into()]).await?;
        self.after = clients.last().map(|last| last.client.encoded_key.clone());
        self.page = clients.into();
        Ok(())
    }

    /// Returns the next key of a removed client without records, which no other client can get.
    async fn next_unrecorded(&mut self) -> Result<Option<String>> {
        if let Some(after) = self.after_unrecorded.take_if(|_| self.unrecorded.is_empty()) {
            // The names of shared chains begin with this character, and keys have only lesser ones.
            let sql = format!(
                "SELECT chain FROM audit_chain WHERE count = 0 AND chain > $1 AND chain < '~' ORDER BY chain \
                 LIMIT {PAGE}"
            );
            let rows = self.transaction.all(sql, [after.into()]).await?;
            let keys: Result<VecDeque<String>> = rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect();
            self.unrecorded = keys?;
            self.after_unrecorded = self.unrecorded.back().cloned();
        }
        Ok(self.unrecorded.pop_front())
    }

    /// Gives the connection back. A snapshot that is dropped closes it.
    pub async fn end(self) -> Result<()> {
        self.transaction.end_reading().await
    }
}
