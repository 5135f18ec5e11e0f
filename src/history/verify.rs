//! Verifying the history in bounded memory, while servers append to it.
//!
//! Records are never changed and only appended, so that a chain's end, read first, says which records must be there. All
//! chains are walked a stretch of chains at a time; one that isn't as its end said is walked again on its own, from a
//! fresh look at its end, and only what is wrong then is reported.

use entity::{Table, audit_record};
use sea_orm::{QueryResult, Value};

use super::{
    Head, Keys,
    search::decode,
    walk::{Counts, Finding, Walk},
};
use crate::{
    Clientele,
    access::{Caller, Permission},
    error::Result,
};

/// How many chains are begun, and how many records are read, by one statement.
const STRETCH: i64 = 500;

impl Clientele {
    /// Verifies all chains, or that of one client. `report` is told each finding as it is made.
    pub async fn verify_history(
        &self,
        caller: &Caller,
        client_key: Option<&str>,
        mut report: impl FnMut(&Finding) + Send,
    ) -> Result<Counts> {
        caller.needs(Permission::Audit)?;
        let keys = self.history.keys(self.db.read()).await?;
        let verifying = Verifying { clientele: self, keys };
        match client_key {
            Some(key) => {
                let walk = verifying.chain(key).await?;
                walk.findings.iter().for_each(&mut report);
                Ok(walk.counts)
            }
            None => verifying.all(&mut report).await,
        }
    }
}

struct Verifying<'a> {
    clientele: &'a Clientele,
    keys: &'a Keys,
}

impl<'a> Verifying<'a> {
    async fn all(&self, report: &mut (impl FnMut(&Finding) + Send)) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut after = String::new();
        loop {
            let heads = self.heads_after(&after).await?;
            let last = (heads.len() as i64 == STRETCH).then(|| heads[heads.len() - 1].0.clone());
            for chain in self.stretch(&after, last.as_deref(), &heads, &mut counts).await? {
                let walk = self.chain(&chain).await?;
                counts.add(&walk.counts);
                walk.findings.iter().for_each(&mut *report);
            }
            match last {
                Some(last) => after = last,
                None => return Ok(counts),
            }
        }
    }

    /// Walks the chains after one and up to another, whose ends were read before. Counts those that are intact, and
    /// answers the others.
    async fn stretch(
        &self,
        after: &str,
        last: Option<&str>,
        heads: &[(String, Head)],
        counts: &mut Counts,
    ) -> Result<Vec<String>> {
        let mut doubtful = Vec::new();
        let mut heads = heads.iter().peekable();
        let mut walk: Option<Walk<'_>> = None;
        let mut place = (after.to_owned(), i64::MAX);
        loop {
            let records = self.records_after(&place, last).await?;
            for record in &records {
                if walk.as_ref().is_none_or(|walk| walk.chain() != record.chain) {
                    if let Some(done) = walk.take() {
                        settle(done, &mut heads, counts, &mut doubtful);
                    }
                    walk = Some(Walk::new(self.keys, &record.chain));
                }
                if let Some(walk) = &mut walk {
                    walk.record(record);
                }
            }
            match records.last() {
                Some(record) if records.len() as i64 == STRETCH => place = (record.chain.clone(), record.position),
                _ => break,
            }
        }
        if let Some(done) = walk.take() {
            settle(done, &mut heads, counts, &mut doubtful);
        }
        heads.for_each(|head| without_records(head, counts, &mut doubtful));
        Ok(doubtful)
    }

    /// Walks one chain, as it is now.
    async fn chain(&self, chain: &str) -> Result<Walk<'a>> {
        let mut walk = Walk::new(self.keys, chain);
        let mut head = self.head(chain).await?;
        let mut place = (chain.to_owned(), i64::MIN);
        loop {
            let records = self.records_after(&place, Some(chain)).await?;
            // Records that have come since the end was read are in the one that is read now.
            if head
                .as_ref()
                .is_none_or(|head| records.last().is_some_and(|last| last.position > head.count))
            {
                head = self.head(chain).await?;
            }
            let count = head.as_ref().map_or(i64::MAX, |head| head.count);
            let (counted, beyond) = records.split_at(records.partition_point(|record| record.position <= count));
            counted.iter().for_each(|record| walk.record(record));
            if !beyond.is_empty() || (records.len() as i64) < STRETCH {
                beyond.iter().for_each(|record| walk.beyond(record.position));
                break;
            }
            place.1 = counted.last().map_or(i64::MAX, |record| record.position);
        }
        match head {
            Some(head) if head.count == 0 && walk.findings.is_empty() => walk.counts.empty += 1,
            Some(head) => walk.end(&head),
            None if walk.position() > 0 => walk.orphaned(),
            None => {}
        }
        Ok(walk)
    }

    async fn heads_after(&self, chain: &str) -> Result<Vec<(String, Head)>> {
        let sql = format!(
            "SELECT encoded_key, history_head, history_count FROM client WHERE encoded_key > $1 \
             UNION ALL SELECT chain, head, count FROM audit_chain WHERE chain > $1 ORDER BY 1 LIMIT {STRETCH}"
        );
        let rows = self.clientele.db.read().all(sql, [chain.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get_by_index(0)?, head(row, 1)?)))
            .collect()
    }

    async fn head(&self, chain: &str) -> Result<Option<Head>> {
        let sql = "SELECT history_head, history_count FROM client WHERE encoded_key = $1 \
                   UNION ALL SELECT head, count FROM audit_chain WHERE chain = $1";
        let row = self.clientele.db.read().one(sql, [chain.into()]).await?;
        row.map(|row| head(&row, 0)).transpose()
    }

    /// The records after a place, in the order of chains and positions, to the end of the `last` chain.
    async fn records_after(&self, place: &(String, i64), last: Option<&str>) -> Result<Vec<audit_record::Model>> {
        let connection = self.clientele.db.read();
        let row = connection.dialect.row::<audit_record::Entity>("a");
        let row = connection.dialect.cast_to_text(&row);
        let table = audit_record::Entity::table();
        let mut values: Vec<Value> = vec![place.0.as_str().into(), place.1.into()];
        let until = last.map_or("", |last| {
            values.push(last.into());
            " AND a.chain <= $3"
        });
        let sql = format!(
            "SELECT {row} FROM {table} a WHERE (a.chain, a.position) > ($1, $2){until} \
             ORDER BY a.chain, a.position LIMIT {STRETCH}"
        );
        let rows = connection.all(sql, values).await?;
        rows.iter().map(decode).collect()
    }
}

fn head(row: &QueryResult, at: usize) -> Result<Head> {
    Ok(Head {
        seal: row.try_get_by_index(at)?,
        count: row.try_get_by_index(at + 1)?,
    })
}

/// Compares a chain that was walked with its end.
fn settle<'h>(
    mut walk: Walk<'_>,
    heads: &mut std::iter::Peekable<impl Iterator<Item = &'h (String, Head)>>,
    counts: &mut Counts,
    doubtful: &mut Vec<String>,
) {
    while let Some(head) = heads.next_if(|(chain, _)| chain.as_str() < walk.chain()) {
        without_records(head, counts, doubtful);
    }
    let head = heads.next_if(|(chain, _)| *chain == walk.chain());
    if let Some((_, head)) = head {
        walk.end(head);
    }
    match head {
        Some((_, head)) if walk.findings.is_empty() && walk.position() == head.count => counts.add(&walk.counts),
        _ => doubtful.push(walk.chain().to_owned()),
    }
}

fn without_records((chain, head): &(String, Head), counts: &mut Counts, doubtful: &mut Vec<String>) {
    match head {
        Head { seal: None, count: 0 } => counts.empty += 1,
        _ => doubtful.push(chain.clone()),
    }
}
