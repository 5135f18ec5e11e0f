//! Verifies the audit log in bounded memory, while servers append to it.
//!
//! Records are only appended and never changed, so that a chain's end, read first, defines which records must exist.
//! Chains are walked in batches. One that doesn't match its end is walked again on its own, from a newly read end. Only
//! the findings of that walk are reported.

use sea_orm::DatabaseConnection;

use super::{
    AuditLog, Chain, Counts, Finding, Head, Keys,
    stretch::{Reading, STRETCH},
    tally::Tally,
    unknown::UnknownKeys,
    walk::Walk,
};
use crate::caller::{Caller, Permission};
use clientele_core::error::Result;

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
        let mut verifying = Verifying {
            reading: Reading(self.db.read()),
            keys,
            report,
            counts: Counts::default(),
            tally: Tally::new(keys),
            unknown: UnknownKeys::default(),
            shared: Vec::new(),
            doubtful: Vec::new(),
        };
        match client_key {
            Some(key) => verifying.one(key).await?,
            None => verifying.all().await?,
        }
        verifying.tally.findings().iter().for_each(&mut verifying.report);
        let unknown = verifying.unknown.findings();
        unknown.for_each(|finding| (verifying.report)(&finding));
        Ok(verifying.counts)
    }
}

struct Verifying<'a, R> {
    reading: Reading<'a, DatabaseConnection>,
    keys: &'a Keys,
    report: R,
    counts: Counts,
    tally: Tally<'a>,
    unknown: UnknownKeys,
    /// The shared chains seen so far.
    shared: Vec<String>,
    /// Chains that didn't match their ends, and must be walked again.
    doubtful: Vec<String>,
}

impl<R: FnMut(&Finding) + Send> Verifying<'_, R> {
    async fn all(&mut self) -> Result<()> {
        let mut after = String::new();
        loop {
            let heads = self.reading.heads_after(&after).await?;
            let last = (heads.len() as i64 == STRETCH).then(|| heads[heads.len() - 1].0.clone());
            self.stretch(&after, last.as_deref(), &heads).await?;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        for chain in Chain::SHARED.map(Chain::name) {
            if !self.shared.iter().any(|met| met == chain) {
                self.chain(chain).await?;
            }
        }
        Ok(())
    }

    /// Verifies one client, and what the genesis record allows it.
    async fn one(&mut self, client_key: &str) -> Result<()> {
        self.chain(client_key).await?;
        if !self.tally.is_empty() {
            // Its findings count: only an intact chain proves what is allowed.
            let definitions = Chain::Definitions.name();
            let walk = self.reading.walk(self.keys, definitions, &mut self.report).await?;
            self.unknown.add(&walk.unknown);
            self.tally.walked(&walk);
        }
        Ok(())
    }

    /// Walks the chains after one and up to another, whose ends were read before.
    async fn stretch(&mut self, after: &str, last: Option<&str>, heads: &[(String, Head)]) -> Result<()> {
        let mut heads = heads.iter().peekable();
        let mut walk: Option<Walk<'_>> = None;
        let mut place = Some((after.to_owned(), i64::MAX));
        while let Some(from) = place {
            let stretch = self.reading.records_after(&from, last).await?;
            for record in &stretch.records {
                if walk.as_ref().is_none_or(|walk| walk.chain() != record.chain) {
                    if let Some(done) = walk.take() {
                        self.settle(done, &mut heads);
                    }
                    walk = Some(Walk::new(self.keys, &record.chain));
                }
                if let Some(walk) = &mut walk {
                    walk.record(record);
                }
            }
            place = stretch.next;
            self.doubts().await?;
        }
        if let Some(done) = walk.take() {
            self.settle(done, &mut heads);
        }
        heads.for_each(|head| self.without_records(head));
        self.doubts().await
    }

    /// Compares a chain that was walked with its end.
    fn settle<'h>(
        &mut self,
        mut walk: Walk<'_>,
        heads: &mut std::iter::Peekable<impl Iterator<Item = &'h (String, Head)>>,
    ) {
        while let Some(head) = heads.next_if(|(chain, _)| chain.as_str() < walk.chain()) {
            self.without_records(head);
        }
        let head = heads.next_if(|(chain, _)| *chain == walk.chain());
        if let Some((_, head)) = head {
            walk.end(head);
        }
        match head {
            Some((_, head)) if walk.is_intact() && walk.position() == head.count => self.walked(&walk),
            _ => self.doubtful.push(walk.chain().to_owned()),
        }
    }

    fn without_records(&mut self, (chain, head): &(String, Head)) {
        match head {
            Head { seal: None, count: 0 } if !Chain::is_shared(chain) => {
                self.counts.empty += 1;
                self.tally.unrecorded(chain);
            }
            _ => self.doubtful.push(chain.clone()),
        }
    }

    fn walked(&mut self, walk: &Walk<'_>) {
        self.counts.add(&walk.counts);
        self.unknown.add(&walk.unknown);
        self.tally.walked(walk);
        if Chain::is_shared(walk.chain()) {
            self.shared.push(walk.chain().to_owned());
        }
    }

    async fn doubts(&mut self) -> Result<()> {
        for chain in std::mem::take(&mut self.doubtful) {
            self.chain(&chain).await?;
        }
        Ok(())
    }

    /// Walks one chain, as it is now, and reports its findings.
    async fn chain(&mut self, chain: &str) -> Result<()> {
        let walk = self.reading.walk(self.keys, chain, &mut self.report).await?;
        self.walked(&walk);
        Ok(())
    }
}
