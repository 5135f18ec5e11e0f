//! Reads all records as they are at one time, in the order of chains and positions and in bounded memory.

use std::collections::{HashMap, VecDeque};

use entity::audit_record;
use serde::Serialize;

use super::{AuditLog, ExportedRecord, Head, transfer::heads, verify::ChainReader};
use crate::caller::{Caller, Permission, Rights};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Transaction;

/// Records as they were when the snapshot began. It holds a connection and a transaction.
#[derive(Debug)]
pub struct AuditSnapshot {
    transaction: Transaction,
    /// The only chain to read.
    chain: Option<String>,
    /// The next records.
    batch: VecDeque<audit_record::Model>,
    /// The ends of the chains in the batch.
    heads: HashMap<String, Head>,
    /// The chain of the last record, whose end isn't returned yet.
    open: Option<(String, Head)>,
    /// The last position that was read, if there can be more after it.
    after: Option<(String, i64)>,
}

/// A line of an export.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum AuditLine {
    #[serde(rename_all = "camelCase")]
    Record {
        /// The key of a client, or the name of a shared chain.
        chain: String,
        position: i64,
        subject: String,
        subject_key: String,
        #[serde(flatten)]
        record: Box<ExportedRecord>,
    },
    /// The stored end of the chain of the records before.
    End {
        chain: String,
        head: Option<String>,
        count: i64,
    },
}

impl AuditLog {
    /// Begins to read all records, or those of one client, with all contents.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller without every right.
    pub async fn snapshot(&self, caller: &Caller, client_key: Option<&str>) -> Result<AuditSnapshot> {
        if !caller.rights.cover(&Rights::all()) {
            return Err(Error::Forbidden(Permission::Audit.as_str()));
        }
        Ok(AuditSnapshot {
            transaction: self.db.snapshot().await?,
            chain: client_key.map(str::to_owned),
            batch: VecDeque::new(),
            heads: HashMap::new(),
            open: None,
            after: Some((client_key.unwrap_or_default().to_owned(), i64::MIN)),
        })
    }
}

impl AuditSnapshot {
    /// Returns the next line; none after the last one.
    pub async fn next(&mut self) -> Result<Option<AuditLine>> {
        self.fill().await?;
        let next = self.batch.front().map(|row| &row.chain);
        if let Some((chain, head)) = self.open.take_if(|(open, _)| next != Some(open)) {
            return Ok(Some(AuditLine::End {
                chain,
                head: head.seal,
                count: head.count,
            }));
        }
        let Some(mut row) = self.batch.pop_front() else {
            return Ok(None);
        };
        if self.open.is_none() {
            let head = self.heads.remove(&row.chain).unwrap_or_default();
            self.open = Some((row.chain.clone(), head));
        }
        Ok(Some(AuditLine::Record {
            chain: row.chain.clone(),
            position: row.position,
            subject: std::mem::take(&mut row.subject),
            subject_key: std::mem::take(&mut row.subject_key),
            record: Box::new(ExportedRecord::of(row)),
        }))
    }

    /// Reads more records if there are none in memory.
    async fn fill(&mut self) -> Result<()> {
        while self.batch.is_empty()
            && let Some(after) = self.after.take()
        {
            let chains = ChainReader(&self.transaction);
            let read = chains.records_after(&after, self.chain.as_deref()).await?;
            let heads = heads(&read.records, &self.transaction).await?;
            self.heads = heads.into_iter().map(|(chain, (head, _))| (chain, head)).collect();
            self.batch = read.records.into();
            self.after = read.next;
        }
        Ok(())
    }

    /// Gives the connection back. A snapshot that is dropped closes it.
    pub async fn end(self) -> Result<()> {
        self.transaction.end_reading().await
    }
}
