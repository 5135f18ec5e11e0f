//! Verifies the audit log in bounded memory, while servers append to it.
//!
//! Records are only appended and never changed, so that a chain's end, read first, defines which records must exist.
//! Chains are walked in batches. One that doesn't match its end is walked again on its own, from a newly read end. Only
//! the findings of that walk are reported.
//!
//! At last all chains are checked together: few enough clients lack the record of their creation, or have records under
//! an earlier key. The genesis record states both limits.

use std::{iter::Peekable, slice};

use chrono::{DateTime, Utc};
use entity::{Table, audit_record};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{
    AuditLog, Chain, Counts, Finding, FindingKind, Head, Keys,
    finding::UnknownKeys,
    record::Genesis,
    search::{self, decode},
    walk::Walk,
};
use crate::caller::{Caller, Permission};
use clientele_core::error::Result;
use clientele_storage::db::{Connection, Pool};

/// Limit of the chains that are begun, and of the records that are read, by one statement.
const BATCH: i64 = 500;
/// Limit of the contents that are read at once, in bytes. A single record can have more.
const BATCH_BYTES: i64 = 4 << 20;
/// Limit of the clients that are named.
const MOST_NAMED: usize = 20;

impl AuditLog {
    /// Verifies all chains, or that of one client. Passes each finding to `report`.
    pub async fn verify(
        &self,
        caller: &Caller,
        client_key: Option<&str>,
        report: impl FnMut(&Finding) + Send,
    ) -> Result<Counts> {
        caller.require(Permission::Audit)?;
        let keys = self.keys(self.db.read()).await?;
        let mut verification = Verification {
            chains: ChainReader(self.db.read()),
            keys,
            report,
            counts: Counts::default(),
            totals: Totals::new(keys),
            unknown: UnknownKeys::default(),
            shared: Vec::new(),
            mismatched: Vec::new(),
        };
        match client_key {
            Some(key) => verification.one(key).await?,
            None => verification.all().await?,
        }
        verification.totals.findings().iter().for_each(&mut verification.report);
        let unknown = verification.unknown.findings();
        unknown.for_each(|finding| (verification.report)(&finding));
        Ok(verification.counts)
    }
}

struct Verification<'a, R> {
    chains: ChainReader<'a, Pool>,
    keys: &'a Keys,
    report: R,
    counts: Counts,
    totals: Totals<'a>,
    unknown: UnknownKeys,
    /// The shared chains seen so far.
    shared: Vec<String>,
    /// Chains that didn't match their ends, and must be walked again.
    mismatched: Vec<String>,
}

impl<R: FnMut(&Finding) + Send> Verification<'_, R> {
    async fn all(&mut self) -> Result<()> {
        let mut after = String::new();
        loop {
            let heads = self.chains.heads_after(&after).await?;
            let last = (heads.len() as i64 == BATCH).then(|| heads[heads.len() - 1].0.clone());
            self.batch(&after, last.as_deref(), &heads).await?;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        for chain in Chain::SHARED.map(Chain::name) {
            if !self.shared.iter().any(|seen| seen == chain) {
                self.chain(chain).await?;
            }
        }
        Ok(())
    }

    /// Verifies one client, and what the genesis record allows it.
    async fn one(&mut self, client_key: &str) -> Result<()> {
        self.chain(client_key).await?;
        if !self.totals.is_empty() {
            // Its findings count: only an intact chain proves what is allowed.
            let definitions = Chain::Definitions.name();
            let walk = self.chains.walk(self.keys, definitions, &mut self.report).await?;
            self.unknown.add(&walk.unknown);
            self.totals.add(&walk);
        }
        Ok(())
    }

    /// Walks the chains after one and up to another, whose ends were read before.
    async fn batch(&mut self, after: &str, last: Option<&str>, heads: &[(String, Head)]) -> Result<()> {
        let mut heads = heads.iter().peekable();
        let mut walk: Option<Walk<'_>> = None;
        let mut position = Some((after.to_owned(), i64::MAX));
        while let Some(from) = position {
            let batch = self.chains.records_after(&from, last).await?;
            for record in &batch.records {
                if let Some(done) = walk.take_if(|walk| walk.chain != record.chain) {
                    self.compare(done, &mut heads);
                }
                walk.get_or_insert_with(|| Walk::new(self.keys, &record.chain))
                    .record(record);
            }
            position = batch.next;
            self.walk_mismatched().await?;
        }
        if let Some(done) = walk {
            self.compare(done, &mut heads);
        }
        heads.for_each(|head| self.without_records(head));
        self.walk_mismatched().await
    }

    /// Compares a chain that was walked with its end.
    fn compare(&mut self, mut walk: Walk<'_>, heads: &mut Peekable<slice::Iter<'_, (String, Head)>>) {
        while let Some(head) = heads.next_if(|(chain, _)| *chain < walk.chain) {
            self.without_records(head);
        }
        let head = heads.next_if(|(chain, _)| *chain == walk.chain);
        if let Some((_, head)) = head {
            walk.end(head);
        }
        match head {
            Some((_, head)) if walk.is_intact() && walk.position == head.count => self.add(&walk),
            _ => self.mismatched.push(walk.chain.clone()),
        }
    }

    /// Counts a chain that has an end and no records.
    fn without_records(&mut self, (chain, head): &(String, Head)) {
        match head {
            Head { seal: None, count: 0 } if !Chain::is_shared(chain) => {
                self.counts.empty += 1;
                self.totals.unrecorded.add(chain);
            }
            _ => self.mismatched.push(chain.clone()),
        }
    }

    fn add(&mut self, walk: &Walk<'_>) {
        self.counts.add(&walk.counts);
        self.unknown.add(&walk.unknown);
        self.totals.add(walk);
        if Chain::is_shared(&walk.chain) {
            self.shared.push(walk.chain.clone());
        }
    }

    /// Walks the chains that didn't match their ends again.
    async fn walk_mismatched(&mut self) -> Result<()> {
        for chain in std::mem::take(&mut self.mismatched) {
            self.chain(&chain).await?;
        }
        Ok(())
    }

    /// Walks one chain, as it is now, and reports its findings.
    async fn chain(&mut self, chain: &str) -> Result<()> {
        let walk = self.chains.walk(self.keys, chain, &mut self.report).await?;
        self.add(&walk);
        Ok(())
    }
}

/// Records in the order of chains and positions, and the position to continue from if there are more.
pub(super) struct VerifyBatch {
    pub records: Vec<audit_record::Model>,
    pub next: Option<(String, i64)>,
}

/// Reads chains and their ends, in batches that are bounded in rows and bytes.
#[derive(Debug)]
pub(super) struct ChainReader<'a, C>(pub &'a Connection<C>);

impl<C: ConnectionTrait> ChainReader<'_, C> {
    /// Walks one chain, as it is now. Passes findings to `report`.
    pub async fn walk<'k>(&self, keys: &'k Keys, chain: &str, report: &mut impl FnMut(&Finding)) -> Result<Walk<'k>> {
        let mut walk = Walk::new(keys, chain);
        let mut head = self.head(chain).await?;
        let mut after = (chain.to_owned(), i64::MIN);
        loop {
            let VerifyBatch { records, next } = self.records_after(&after, Some(chain)).await?;
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
            let at_end = records.is_empty() || !beyond.is_empty() || walk.position >= count;
            let more = next.is_some() || !at_end;
            match (next, records.last()) {
                (Some(next), _) => after = next,
                (None, Some(last)) => after.1 = last.position,
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
        let findings = walk.findings.drain(..).collect::<Vec<_>>();
        findings.iter().chain(&walk.more_findings()).for_each(report);
        Ok(walk)
    }

    /// Returns the next chains after one, and their ends.
    async fn heads_after(&self, chain: &str) -> Result<Vec<(String, Head)>> {
        let sql = format!(
            "SELECT encoded_key, history_head, history_count FROM client WHERE encoded_key > $1 \
             UNION ALL SELECT chain, head, count FROM audit_chain WHERE chain > $1 ORDER BY 1 LIMIT {BATCH}"
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
    pub async fn records_after(&self, after: &(String, i64), last: Option<&str>) -> Result<VerifyBatch> {
        let mut values: Vec<Value> = vec![after.0.as_str().into(), after.1.into()];
        let until = last.map_or("", |last| {
            values.push(last.into());
            " AND a.chain <= $3"
        });
        let size = search::CONTENTS_SIZE;
        let sql = format!(
            "SELECT a.chain, a.position, {size} FROM audit_record a WHERE (a.chain, a.position) > ($1, $2){until} \
             ORDER BY a.chain, a.position LIMIT {BATCH}"
        );
        let sizes = self.0.all(sql, values).await?;
        let (mut count, mut bytes) = (0, 0);
        for row in &sizes {
            bytes += row.try_get_by_index::<i64>(2)?;
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let Some(end) = sizes[..count].last() else {
            let (records, next) = (Vec::new(), None);
            return Ok(VerifyBatch { records, next });
        };
        let (chain, position): (String, i64) = end.try_get_many_by_index()?;
        let row = self.0.dialect.row::<audit_record::Entity>("a");
        let row = self.0.dialect.cast_to_text(&row);
        let table = audit_record::Entity::table();
        let sql = format!(
            "SELECT {row} FROM {table} a WHERE (a.chain, a.position) > ($1, $2) AND (a.chain, a.position) <= ($3, $4) \
             ORDER BY a.chain, a.position"
        );
        let from: [Value; 2] = [after.0.as_str().into(), after.1.into()];
        let until: [Value; 2] = [chain.as_str().into(), position.into()];
        let rows = self.0.all(sql, from.into_iter().chain(until)).await?;
        let more = count < sizes.len() || sizes.len() as i64 == BATCH;
        Ok(VerifyBatch {
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

/// The number of clients with records of one kind, and the first of them.
#[derive(Clone, Debug, Default)]
struct ClientCount {
    count: u64,
    named: Vec<String>,
    /// The newest of these records, and its client.
    newest: Option<(DateTime<Utc>, String)>,
}

impl ClientCount {
    fn add(&mut self, chain: &str) {
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(chain.to_owned());
        }
    }

    /// Returns nothing up to `most` clients. Clients are named only if none is allowed: otherwise it is unknown which
    /// are too many.
    fn findings(&self, most: i64, each: FindingKind, all: impl Fn(u64, i64) -> FindingKind) -> Vec<Finding> {
        if i64::try_from(self.count).is_ok_and(|count| count <= most) {
            return Vec::new();
        }
        let mut findings = Vec::new();
        if most == 0 {
            findings.extend(self.named.iter().map(|chain| finding(chain, each.clone())));
        }
        if most > 0 || self.count > MOST_NAMED as u64 {
            findings.push(finding(Chain::Definitions.name(), all(self.count, most)));
        }
        findings
    }
}

fn finding(chain: &str, kind: FindingKind) -> Finding {
    Finding {
        chain: chain.to_owned(),
        position: None,
        kind,
    }
}

/// The totals of the chains that were walked.
#[derive(Debug)]
struct Totals<'k> {
    keys: &'k Keys,
    unrecorded: ClientCount,
    /// The clients that have records under keys older than one, by the age of that key.
    earlier: Vec<ClientCount>,
    genesis: Vec<Genesis>,
    /// True if the definitions' chain has records that can't be verified. They may allow more clients without records.
    unverified: bool,
}

impl<'k> Totals<'k> {
    fn new(keys: &'k Keys) -> Self {
        Self {
            keys,
            unrecorded: ClientCount::default(),
            earlier: vec![ClientCount::default(); keys.len()],
            genesis: Vec::new(),
            unverified: false,
        }
    }

    fn add(&mut self, walk: &Walk<'_>) {
        let chain = &*walk.chain;
        if chain == Chain::Definitions.name() {
            self.genesis.clone_from(&walk.genesis);
            self.unverified = !walk.unknown.is_empty();
        }
        if Chain::is_shared(chain) {
            return;
        }
        if walk.is_unrecorded() {
            self.unrecorded.add(chain);
        }
        for (age, earlier) in self.earlier.iter_mut().enumerate() {
            if let Some(at) = walk.newest_before(age) {
                earlier.add(chain);
                if earlier.newest.as_ref().is_none_or(|(newest, _)| *newest < at) {
                    earlier.newest = Some((at, chain.to_owned()));
                }
            }
        }
    }

    /// Returns true if there is nothing to compare with the genesis record.
    fn is_empty(&self) -> bool {
        self.unrecorded.count == 0 && self.earlier.iter().all(|earlier| earlier.count == 0)
    }

    /// Call this after the definitions' chain was walked: it allows more while clients are seeded, and never less.
    /// Returns nothing if that chain has no genesis record, which is a finding of its own.
    fn findings(&self) -> Vec<Finding> {
        let Some(last) = self.genesis.last() else {
            return Vec::new();
        };
        let too_many = |clients, most| FindingKind::TooManyUnrecorded { clients, most };
        let mut findings = match self.unverified {
            true => Vec::new(),
            false => self
                .unrecorded
                .findings(last.unrecorded, FindingKind::Unrecorded, too_many),
        };
        let too_many = |clients, most| FindingKind::TooManyEarlier { clients, most };
        for genesis in &self.genesis {
            let Some(earlier) = self.keys.age(&genesis.key_id).and_then(|age| self.earlier.get(age)) else {
                continue;
            };
            let mut late = earlier.findings(genesis.earlier, FindingKind::LateRecord, too_many);
            // Only these clients had such records when the newer key came into use, and no client can get one later.
            if let Some((at, chain)) = &earlier.newest
                && *at > genesis.since
            {
                late.push(finding(chain, FindingKind::LateRecord));
            }
            for finding in late {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        findings
    }
}
