//! Walks along a chain: checks that each record continues the one before, and that the last one is the chain's end.
//! Uses no database, and shows no contents of records.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, Chain, Finding, FindingKind, Head, Keys, finding::UnknownKeys, keys::digest_of, record::Genesis};

/// Limit of the findings reported for one chain; the others are only counted.
const MOST_FINDINGS: u64 = 100;

/// The last record of a part, which the next part of the chain continues.
#[derive(Clone, Debug, PartialEq)]
pub struct PartEnd {
    pub position: i64,
    pub at: DateTime<Utc>,
    pub digest: String,
    pub hmac: String,
    pub key_id: String,
    /// True if contents are missing, and the record of their erasure follows.
    pub lacks_contents: bool,
}

/// The counts of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub chains: u64,
    pub records: u64,
    /// Records whose contents have been erased.
    pub erased: u64,
    /// Records made with the key in the database, though another one is configured.
    pub weak: u64,
    /// Clients without any record: unchanged since the audit log began, or seeded.
    pub empty: u64,
    /// Since when the current key is in use, if it was looked up.
    pub since: Option<DateTime<Utc>>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.chains += other.chains;
        self.records += other.records;
        self.erased += other.erased;
        self.weak += other.weak;
        self.empty += other.empty;
        self.since = self.since.or(other.since);
    }
}

/// The walk along one chain, which takes the records by position.
#[derive(Debug)]
pub(super) struct Walk<'k> {
    keys: &'k Keys,
    pub chain: String,
    /// The position of the last record.
    pub position: i64,
    /// The seals that the next record can continue: of the last record as it is stored, or as it should be. Empty after
    /// a gap.
    ends: Vec<Option<String>>,
    /// The stated time of the newest record with a key of each age, except records that follow a later key.
    newest: Vec<Option<DateTime<Utc>>>,
    /// True if the first record isn't a creation.
    uncreated: bool,
    /// The first and the last record without contents, until a record says that they were erased.
    removed: Option<(i64, i64)>,
    /// The genesis records of the chain: the last one under each key.
    pub genesis: Vec<Genesis>,
    pub counts: Counts,
    /// The records whose keys aren't configured.
    pub unknown: UnknownKeys,
    /// The number of records whose HMACs can't be verified though their keys are configured: the seal before them is
    /// unknown.
    pub unchecked: u64,
    /// Findings that aren't reported yet.
    pub findings: Vec<Finding>,
    found: u64,
}

impl<'k> Walk<'k> {
    pub fn new(keys: &'k Keys, chain: &str) -> Self {
        Self {
            keys,
            chain: chain.to_owned(),
            position: 0,
            ends: vec![None],
            newest: vec![None; keys.len()],
            uncreated: false,
            removed: None,
            genesis: Vec::new(),
            counts: Counts::default(),
            unknown: UnknownKeys::default(),
            unchecked: 0,
            findings: Vec::new(),
            found: 0,
        }
    }

    /// Begins after a record that was walked before; at the start of the chain without one.
    pub fn after(keys: &'k Keys, chain: &str, end: Option<&PartEnd>) -> Self {
        let walk = Self::new(keys, chain);
        match end {
            Some(end) => walk.continuing(end),
            None => walk,
        }
    }

    fn continuing(mut self, end: &PartEnd) -> Self {
        self.position = end.position;
        self.removed = end.lacks_contents.then_some((end.position, end.position));
        self.ends.clear();
        if let (Some(key), Some(age)) = (self.keys.key(&end.key_id), self.keys.age(&end.key_id)) {
            self.ends.push(Some(key.seal(&self.chain, end.position, &end.hmac)));
            self.newest[age] = Some(end.at);
        }
        self
    }

    /// Returns true if nothing was found, and everything could be verified.
    pub fn is_intact(&self) -> bool {
        self.found == 0 && self.unknown.is_empty()
    }

    /// Returns true if the chain is a client's, and doesn't begin with the client's creation.
    pub fn is_unrecorded(&self) -> bool {
        !Chain::is_shared(&self.chain) && (self.uncreated || self.counts.empty > 0)
    }

    /// Returns the time of the newest record whose key is older than the one of this age.
    pub fn newest_before(&self, age: usize) -> Option<DateTime<Utc>> {
        self.newest.iter().skip(age + 1).copied().flatten().max()
    }

    /// Returns true if contents are missing without a record of an erasure.
    pub fn misses_contents(&self) -> bool {
        self.first_without_contents().is_some()
    }

    /// Returns the position of the first record whose contents are missing without a record of an erasure.
    pub fn first_without_contents(&self) -> Option<i64> {
        self.removed.map(|(from, _)| from)
    }

    fn report(&mut self, position: Option<i64>, kind: FindingKind) {
        self.found += 1;
        if self.found <= MOST_FINDINGS {
            let chain = self.chain.clone();
            self.findings.push(Finding { chain, position, kind });
        }
    }

    /// Returns the number of further findings as the last finding.
    pub fn more_findings(&self) -> Option<Finding> {
        let findings = self.found.checked_sub(MOST_FINDINGS).filter(|more| *more > 0)?;
        Some(Finding {
            chain: self.chain.clone(),
            position: None,
            kind: FindingKind::More { findings },
        })
    }

    pub fn record(&mut self, record: &audit_record::Model) {
        let position = record.position;
        if position < 1 {
            return self.beyond(position);
        }
        if position > self.position + 1 {
            self.report(Some(self.position + 1), FindingKind::Missing { until: position - 1 });
            self.ends.clear();
        }
        self.position = position;
        self.uncreated |= position == 1 && record.action != Action::Created.as_str();
        self.counts.records += 1;
        let contents_match = self.check_contents(record);
        let (Some(key), Some(age)) = (self.keys.key(&record.key_id), self.keys.age(&record.key_id)) else {
            self.ends.clear();
            return self.record_of_unknown_key(record);
        };
        self.counts.weak += u64::from(self.keys.is_weak(&record.key_id));
        match self.newest[..age].iter().any(Option::is_some) {
            true => self.report(Some(position), FindingKind::EarlierKey),
            false => self.newest[age] = self.newest[age].max(Some(record.recorded_at)),
        }
        let expected = self.ends.iter().map(|end| key.hmac_of(record, end.as_deref()));
        let expected: Vec<String> = expected.collect();
        self.unchecked += u64::from(expected.is_empty());
        let intact = expected.is_empty() || expected.contains(&record.hmac);
        if !intact {
            self.report(Some(position), FindingKind::Altered);
        } else if contents_match {
            self.apply(record);
        }
        // One altered record is one finding: the next one continues either its present or its former state.
        let altered = if intact { Vec::new() } else { expected };
        let hmacs = [record.hmac.clone()].into_iter().chain(altered);
        let seals = hmacs.map(|hmac| Some(key.seal(&record.chain, position, &hmac)));
        self.ends = seals.collect();
    }

    /// Counts a record whose key isn't configured.
    fn record_of_unknown_key(&mut self, record: &audit_record::Model) {
        if !Keys::is_id(&record.key_id) {
            return self.report(Some(record.position), FindingKind::Altered);
        }
        self.unknown.record(&record.key_id, &self.chain, record.position);
        // An erasure can't be verified either, and the unknown key is reported already.
        self.apply_erasure(record);
    }

    /// Returns true if a record's contents are as written, or were removed.
    fn check_contents(&mut self, record: &audit_record::Model) -> bool {
        let position = record.position;
        let matches = match (&record.contents, &record.salt) {
            (None, None) => {
                self.counts.erased += 1;
                self.removed = Some((self.removed.map_or(position, |(from, _)| from), position));
                true
            }
            (Some(contents), Some(salt)) => digest_of(salt, contents) == record.digest,
            _ => false,
        };
        if !matches {
            self.report(Some(position), FindingKind::ContentsAltered);
        }
        matches
    }

    fn apply_erasure(&mut self, record: &audit_record::Model) {
        if record.action == Action::Erased.as_str() && record.contents.is_some() {
            self.removed = None;
        }
    }

    /// Applies the statements of a record about its chain.
    fn apply(&mut self, record: &audit_record::Model) {
        self.apply_erasure(record);
        if let Some(genesis) = Genesis::read(record).filter(|genesis| genesis.key_id == record.key_id) {
            let earlier = self.genesis.pop_if(|earlier| earlier.key_id == genesis.key_id);
            self.genesis.push(genesis.after(earlier.as_ref()));
        }
    }

    /// Reports a record beyond the end, or before the beginning.
    pub fn beyond(&mut self, position: i64) {
        self.report(Some(position), FindingKind::Added);
    }

    /// Ends the walk of a chain without a stored end.
    pub fn without_end(&mut self) {
        if self.position > 0 {
            self.report(None, FindingKind::Orphaned);
        } else if Chain::is_shared(&self.chain) {
            self.report(None, FindingKind::NoGenesis);
        }
    }

    /// Ends the walk at the stored end of the chain.
    pub fn end(&mut self, head: &Head) {
        self.counts.chains = 1;
        if let Some((from, until)) = self.removed {
            self.report(Some(from), FindingKind::Removed { until });
        }
        if head.count > self.position {
            return self.report(Some(self.position + 1), FindingKind::CutOff { until: head.count });
        }
        // The missing record may be one that can't be verified.
        if Chain::is_shared(&self.chain) && self.unknown.is_empty() {
            match self.genesis.last() {
                None => self.report(None, FindingKind::NoGenesis),
                Some(genesis) if self.keys.age(&genesis.key_id) != Some(0) => {
                    self.report(None, FindingKind::NoGenesisUnderKey)
                }
                Some(genesis) => self.counts.since = Some(genesis.since),
            }
        }
        if !self.ends.is_empty() && !self.ends.contains(&head.seal) {
            self.report(None, FindingKind::WrongEnd);
        }
    }
}

#[cfg(test)]
mod tests;
