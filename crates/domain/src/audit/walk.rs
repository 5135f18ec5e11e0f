//! Walking along a chain: whether each record continues the one before, and whether the last one is the chain's end.
//! Pure: knows no database, and shows nothing of what records say.

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, Chain, Finding, Head, Keys, What, chain::digest_of, genesis::Genesis, unknown::UnknownKeys};

/// How many findings of one chain are told; of the others, their number.
const MOST_FINDINGS: u64 = 100;

/// What was seen on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub chains: u64,
    pub records: u64,
    /// Records whose contents have been erased.
    pub erased: u64,
    /// Records that were made with the key in the database although another one is configured.
    pub weak: u64,
    /// Clients without any record: they haven't been changed since there is a history, or were seeded.
    pub empty: u64,
    /// Since when the history is kept under the key in force, as far as it was looked up.
    pub since: Option<DateTime<Utc>>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            chains,
            records,
            erased,
            weak,
            empty,
            since,
        } = other;
        self.chains += chains;
        self.records += records;
        self.erased += erased;
        self.weak += weak;
        self.empty += empty;
        self.since = self.since.or(*since);
    }
}

/// The walk along one chain. Records are handed in by position.
#[derive(Debug)]
pub(super) struct Walk<'k> {
    keys: &'k Keys,
    chain: String,
    position: i64,
    /// What the next record may continue: what is stored of the last one, or what it should have been. Empty after a
    /// gap.
    ends: Vec<Option<String>>,
    /// When the newest record with a key of each age was made, as it says; but for those that come after a later key.
    made: Vec<Option<DateTime<Utc>>>,
    /// Whether the first record is of something else than a creation.
    uncreated: bool,
    /// The first and the last record whose contents are gone, as long as no record says that they were erased.
    removed: Option<(i64, i64)>,
    /// What the records of the history's beginning say: the last one under each key.
    pub begun: Vec<Genesis>,
    pub counts: Counts,
    /// The records whose keys aren't configured.
    pub unknown: UnknownKeys,
    /// Those that haven't been told.
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
            made: vec![None; keys.len()],
            uncreated: false,
            removed: None,
            begun: Vec::new(),
            counts: Counts::default(),
            unknown: UnknownKeys::default(),
            findings: Vec::new(),
            found: 0,
        }
    }

    pub fn chain(&self) -> &str {
        &self.chain
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    /// Whether nothing has been found, and everything could be verified.
    pub fn is_intact(&self) -> bool {
        self.found == 0 && self.unknown.is_empty()
    }

    /// Whether the chain is a client's, and its records don't begin with the client's creation.
    pub fn is_unrecorded(&self) -> bool {
        !Chain::is_shared(&self.chain) && (self.uncreated || self.counts.empty > 0)
    }

    /// When the newest of the records was made whose keys are older than one of this age.
    pub fn newest_before(&self, age: usize) -> Option<DateTime<Utc>> {
        self.made.iter().skip(age + 1).copied().flatten().max()
    }

    /// Whether contents are gone, and no record that was met says so.
    pub fn misses_contents(&self) -> bool {
        self.removed.is_some()
    }

    fn find(&mut self, position: Option<i64>, what: What) {
        self.found += 1;
        if self.found <= MOST_FINDINGS {
            let chain = self.chain.clone();
            self.findings.push(Finding { chain, position, what });
        }
    }

    /// What is to be told at last: how much more was found.
    pub fn rest(&self) -> Option<Finding> {
        let findings = self.found.checked_sub(MOST_FINDINGS).filter(|more| *more > 0)?;
        Some(Finding {
            chain: self.chain.clone(),
            position: None,
            what: What::More { findings },
        })
    }

    pub fn record(&mut self, record: &audit_record::Model) {
        let position = record.position;
        if position < 1 {
            return self.beyond(position);
        }
        if position > self.position + 1 {
            self.find(Some(self.position + 1), What::Missing { until: position - 1 });
            self.ends.clear();
        }
        self.position = position;
        self.uncreated |= position == 1 && record.action != Action::Created.as_str();
        self.counts.records += 1;
        let sound = self.contents(record);
        let (Some(key), Some(age)) = (self.keys.key(&record.key_id), self.keys.age(&record.key_id)) else {
            self.ends.clear();
            return self.unverifiable(record);
        };
        self.counts.weak += u64::from(self.keys.is_outdone(&record.key_id));
        match self.made[..age].iter().any(Option::is_some) {
            true => self.find(Some(position), What::EarlierKey),
            false => self.made[age] = self.made[age].max(Some(record.recorded_at)),
        }
        let expected: Vec<String> = self
            .ends
            .iter()
            .map(|end| key.hmac_of(record, end.as_deref()))
            .collect();
        let intact = expected.is_empty() || expected.contains(&record.hmac);
        match intact {
            true if sound => self.believe(record),
            true => {}
            false => self.find(Some(position), What::Altered),
        }
        // One altered record is one finding: the next one continues either what it says now or what it said.
        let altered = if intact { Vec::new() } else { expected };
        let hmacs = [record.hmac.clone()].into_iter().chain(altered);
        self.ends = hmacs
            .map(|hmac| Some(key.seal(&record.chain, position, &hmac)))
            .collect();
    }

    /// Notes a record whose key isn't configured.
    fn unverifiable(&mut self, record: &audit_record::Model) {
        if !Keys::is_id(&record.key_id) {
            return self.find(Some(record.position), What::Altered);
        }
        self.unknown.record(&record.key_id, &self.chain, record.position);
        // Whether it was an erasure can't be verified either, and that is said already.
        if record.action == Action::Erased.as_str() && record.contents.is_some() {
            self.removed = None;
        }
    }

    /// Whether a record's contents are what was written, or are gone.
    fn contents(&mut self, record: &audit_record::Model) -> bool {
        let position = record.position;
        match (&record.contents, &record.salt) {
            (None, None) => {
                self.counts.erased += 1;
                self.removed = Some((self.removed.map_or(position, |(from, _)| from), position));
            }
            (Some(contents), Some(salt)) if digest_of(salt, contents) == record.digest => {}
            _ => {
                self.find(Some(position), What::ContentsAltered);
                return false;
            }
        }
        true
    }

    /// Takes what a record says of its chain for true.
    fn believe(&mut self, record: &audit_record::Model) {
        if record.action == Action::Erased.as_str() && record.contents.is_some() {
            self.removed = None;
        }
        if let Some(begun) = Genesis::read(record).filter(|begun| begun.key_id == record.key_id) {
            let earlier = self.begun.pop_if(|earlier| earlier.key_id == begun.key_id);
            self.begun.push(begun.after(earlier.as_ref()));
        }
    }

    /// A record that is beyond the end, or before the beginning.
    pub fn beyond(&mut self, position: i64) {
        self.find(Some(position), What::Added);
    }

    /// Ends the walk where nothing is on record as the chain's end.
    pub fn without_end(&mut self) {
        if self.position > 0 {
            self.find(None, What::Orphaned);
        } else if Chain::is_shared(&self.chain) {
            self.find(None, What::NotBegun);
        }
    }

    /// Ends the walk at what is on record as the chain's end.
    pub fn end(&mut self, head: &Head) {
        self.counts.chains = 1;
        if let Some((from, until)) = self.removed {
            self.find(Some(from), What::Removed { until });
        }
        if head.count > self.position {
            return self.find(Some(self.position + 1), What::CutOff { until: head.count });
        }
        // The record that is missed may be one that can't be verified.
        if Chain::is_shared(&self.chain) && self.unknown.is_empty() {
            match self.begun.last() {
                None => self.find(None, What::NotBegun),
                Some(begun) if self.keys.age(&begun.key_id) != Some(0) => self.find(None, What::NotUnderKey),
                Some(begun) => self.counts.since = Some(begun.since),
            }
        }
        if !self.ends.is_empty() && !self.ends.contains(&head.seal) {
            self.find(None, What::WrongEnd);
        }
    }
}

#[cfg(test)]
mod tests;
