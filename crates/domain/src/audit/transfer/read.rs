//! Reads the chains of clients for an export, in the order of their keys and in bounded memory.

use std::collections::{BTreeSet, HashMap, VecDeque};

use entity::audit_record;
use sea_orm::ConnectionTrait;

use super::{ChainPart, ExportedRecord, MOST_ERASED};
use crate::audit::{
    Head,
    verify::{ChainReader, head},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Connection;

/// Limits of a part, in records and in bytes of contents.
const RECORDS: usize = 100;
const BYTES: usize = 1 << 20;

/// Greater than all keys of clients, and less than the names of the shared chains.
const AFTER_CLIENTS: &str = "~";

/// The records of all clients that aren't read yet, also of those that were deleted or erased.
#[derive(Debug, Default)]
pub(crate) struct ChainParts {
    /// The next records.
    batch: VecDeque<audit_record::Model>,
    /// The ends of the chains in the batch, and true for those without a client. A chain without an end isn't exported.
    heads: HashMap<String, (Head, bool)>,
    /// The last position that was read, if there can be more after it.
    after: Option<(String, i64)>,
}

impl ChainParts {
    pub fn new() -> Self {
        Self {
            after: Some((String::new(), i64::MAX)),
            ..Self::default()
        }
    }

    /// Returns the chain and position of the next record, and true if it belongs to no client.
    pub async fn next<C: ConnectionTrait>(&mut self, from: &Connection<C>) -> Result<Option<(String, i64, bool)>> {
        loop {
            self.fill(from).await?;
            let Some(row) = self.batch.front() else { return Ok(None) };
            match self.heads.get(&row.chain) {
                Some((head, is_removed)) if (1..=head.count).contains(&row.position) => {
                    return Ok(Some((row.chain.clone(), row.position, *is_removed)));
                }
                // Verification reports it.
                _ => self.skip(),
            }
        }
    }

    /// Leaves out the next record.
    pub fn skip(&mut self) {
        self.batch.pop_front();
    }

    /// Returns the records of this chain from a position on, as many as one line takes.
    pub async fn part<C: ConnectionTrait>(
        &mut self,
        chain: &str,
        position: i64,
        from: &Connection<C>,
    ) -> Result<ChainPart> {
        let mut growing = GrowingPart::default();
        while !growing.is_full() {
            self.fill(from).await?;
            let next = position + growing.part.records.len() as i64;
            let Some((head, _)) = self.heads.get(chain).filter(|(head, _)| next <= head.count) else {
                break;
            };
            let row = self
                .batch
                .pop_front_if(|row| row.chain == chain && row.position == next);
            let Some(row) = row else { break };
            growing.add(ExportedRecord::of(row));
            if next == head.count {
                growing.part.head.clone_from(&head.seal);
                break;
            }
        }
        Ok(growing.part)
    }

    /// Reads more records if there are none in memory.
    async fn fill<C: ConnectionTrait>(&mut self, from: &Connection<C>) -> Result<()> {
        while self.batch.is_empty()
            && let Some(after) = self.after.take()
        {
            let read = ChainReader(from).records_after(&after, Some(AFTER_CLIENTS)).await?;
            self.heads = heads(&read.records, from).await?;
            self.batch = read.records.into();
            self.after = read.next;
        }
        Ok(())
    }
}

/// A part with the records that were read so far.
#[derive(Default)]
pub(super) struct GrowingPart {
    part: ChainPart,
    /// The bytes of contents.
    bytes: usize,
    /// True if contents are missing, and the record of their erasure follows.
    lacks_contents: bool,
}

impl GrowingPart {
    pub fn add(&mut self, record: ExportedRecord) {
        self.bytes += record.contents.as_ref().map_or(0, String::len);
        self.lacks_contents = record.lacks_contents(self.lacks_contents);
        self.part.records.push(record);
    }

    /// Returns true if the next record begins another part. Missing contents come with the record of their erasure, if
    /// the part can have that number of records: otherwise verification would report them until the next part is
    /// imported.
    pub fn is_full(&self) -> bool {
        let records = self.part.records.len();
        match self.lacks_contents {
            true => records >= MOST_ERASED,
            false => records >= RECORDS || self.bytes >= BYTES,
        }
    }
}

/// Reads the ends of the chains of these records.
pub(in crate::audit) async fn heads<C: ConnectionTrait>(
    records: &[audit_record::Model],
    from: &Connection<C>,
) -> Result<HashMap<String, (Head, bool)>> {
    let chains: BTreeSet<&str> = records.iter().map(|row| row.chain.as_str()).collect();
    let chains = serde_json::to_string(&chains).map_err(Error::internal)?;
    let sql = format!(
        "SELECT encoded_key, history_head, history_count, 0 FROM client WHERE {} \
         UNION ALL SELECT chain, head, count, 1 FROM audit_chain WHERE {}",
        from.dialect.is_one_of("encoded_key", "$1"),
        from.dialect.is_one_of("chain", "$1")
    );
    let rows = from.all(sql, [chains.into()]).await?;
    rows.iter()
        .map(|row| {
            let is_removed = row.try_get_by_index::<i32>(3)? == 1;
            Ok((row.try_get_by_index(0)?, (head(row, 1)?, is_removed)))
        })
        .collect()
}
