//! Reads records for a verification in batches that are bounded in rows and bytes.

use entity::{Table, audit_record};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{
    Chain, Finding, Head, Keys,
    search::{self, decode},
    walk::Walk,
};
use clientele_core::error::Result;
use clientele_storage::db::Connection;

/// Limit of the chains that are begun, and of the records that are read, by one statement.
pub(super) const STRETCH: i64 = 500;
/// Limit of the contents that are read at once, in bytes. A single record can have more.
const STRETCH_BYTES: i64 = 4 << 20;

/// Records in the order of chains and positions, and the position to continue from if there are more.
pub(super) struct Stretch {
    pub records: Vec<audit_record::Model>,
    pub next: Option<(String, i64)>,
}

/// Reads chains and their ends.
#[derive(Debug)]
pub(super) struct Reading<'a, C>(pub &'a Connection<C>);

impl<C: ConnectionTrait> Reading<'_, C> {
    /// Walks one chain, as it is now. Passes findings to `report`.
    pub async fn walk<'k>(&self, keys: &'k Keys, chain: &str, report: &mut impl FnMut(&Finding)) -> Result<Walk<'k>> {
        let mut walk = Walk::new(keys, chain);
        let mut head = self.head(chain).await?;
        let mut place = (chain.to_owned(), i64::MIN);
        loop {
            let Stretch { records, next } = self.records_after(&place, Some(chain)).await?;
            let is_last = |head: &Head| records.last().is_none_or(|last| last.position <= head.count);
            // The end that is read now covers records appended since the last one was read.
            if !head.as_ref().is_some_and(is_last) {
                head = self.head(chain).await?;
            }
            let count = head.as_ref().map_or(i64::MAX, |head| head.count);
            let (counted, beyond) = records.split_at(records.partition_point(|record| record.position <= count));
            counted.iter().for_each(|record| walk.record(record));
            beyond.iter().for_each(|record| walk.beyond(record.position));
            walk.findings.drain(..).for_each(|finding| report(&finding));
            // The end that was read now may cover records appended since these were read.
            let at_end = records.is_empty() || !beyond.is_empty() || walk.position() >= count;
            let more = next.is_some() || !at_end;
            match (next, records.last()) {
                (Some(next), _) => place = next,
                (None, Some(last)) => place.1 = last.position,
                (None, None) => {}
            }
            if more {
                continue;
            }
            if !walk.misses_contents() {
                break;
            }
            // They may have been erased since the end was read: then there is a later end, and a record of the erasure.
            match self.head(chain).await? {
                Some(later) if later.count > count => head = Some(later),
                _ => break,
            }
        }
        match head {
            Some(head) if head == Head::default() && walk.is_intact() && !Chain::is_shared(chain) => {
                walk.counts.empty += 1;
            }
            Some(head) => walk.end(&head),
            None => walk.without_end(),
        }
        let rest = walk.findings.drain(..).collect::<Vec<_>>();
        rest.iter().chain(&walk.rest()).for_each(report);
        Ok(walk)
    }

    /// Returns the next chains after one, and their ends.
    pub async fn heads_after(&self, chain: &str) -> Result<Vec<(String, Head)>> {
        let sql = format!(
            "SELECT encoded_key, history_head, history_count FROM client WHERE encoded_key > $1 \
             UNION ALL SELECT chain, head, count FROM audit_chain WHERE chain > $1 ORDER BY 1 LIMIT {STRETCH}"
        );
        let rows = self.0.all(sql, [chain.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get_by_index(0)?, head(row, 1)?)))
            .collect()
    }

    async fn head(&self, chain: &str) -> Result<Option<Head>> {
        let sql = "SELECT history_head, history_count FROM client WHERE encoded_key = $1 \
                   UNION ALL SELECT head, count FROM audit_chain WHERE chain = $1";
        let row = self.0.one(sql, [chain.into()]).await?;
        row.map(|row| head(&row, 0)).transpose()
    }

    /// Returns the records after a position, to the end of the `last` chain: as many as one batch takes, and at least
    /// one. Reads their sizes first, which needs no contents.
    pub async fn records_after(&self, place: &(String, i64), last: Option<&str>) -> Result<Stretch> {
        let mut values: Vec<Value> = vec![place.0.as_str().into(), place.1.into()];
        let until = last.map_or("", |last| {
            values.push(last.into());
            " AND a.chain <= $3"
        });
        let size = search::SIZE;
        let sql = format!(
            "SELECT a.chain, a.position, {size} FROM audit_record a WHERE (a.chain, a.position) > ($1, $2){until} \
             ORDER BY a.chain, a.position LIMIT {STRETCH}"
        );
        let sizes = self.0.all(sql, values).await?;
        let mut bytes = 0;
        let mut end = None;
        let mut taken = 0;
        for row in &sizes {
            let size: i64 = row.try_get_by_index(2)?;
            bytes += size;
            if taken > 0 && bytes > STRETCH_BYTES {
                break;
            }
            end = Some((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
            taken += 1;
        }
        let Some((chain, position)): Option<(String, i64)> = end else {
            return Ok(Stretch {
                records: Vec::new(),
                next: None,
            });
        };
        let row = self.0.dialect.row::<audit_record::Entity>("a");
        let row = self.0.dialect.cast_to_text(&row);
        let table = audit_record::Entity::table();
        let sql = format!(
            "SELECT {row} FROM {table} a WHERE (a.chain, a.position) > ($1, $2) AND (a.chain, a.position) <= ($3, $4) \
             ORDER BY a.chain, a.position"
        );
        let values: [Value; 4] = [
            place.0.as_str().into(),
            place.1.into(),
            chain.as_str().into(),
            position.into(),
        ];
        let rows = self.0.all(sql, values).await?;
        let more = taken < sizes.len() || sizes.len() as i64 == STRETCH;
        Ok(Stretch {
            records: rows.iter().map(decode).collect::<Result<_>>()?,
            next: more.then_some((chain, position)),
        })
    }
}

/// Decodes the end of a chain from two columns.
pub(super) fn head(row: &QueryResult, at: usize) -> Result<Head> {
    Ok(Head {
        seal: row.try_get_by_index(at)?,
        count: row.try_get_by_index(at + 1)?,
    })
}
