//! Walking along a chain: whether each record continues the one before, and whether the last one is the chain's end.
//! Pure: knows no database, and shows nothing of what records say.

use std::fmt;

use chrono::{DateTime, Utc};
use entity::audit_record;

use super::{Action, Chain, Head, Keys, begin::Begun, chain::digest_of};

/// How many findings of one chain are told; of the others, their number.
const MOST_FINDINGS: u64 = 100;

/// Something that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub chain: String,
    /// The first record that it is about; none when it is about the chain.
    pub position: Option<i64>,
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Records are missing between others, up to this position.
    Missing { until: i64 },
    /// Records are missing at the end, up to this position.
    CutOff { until: i64 },
    /// A record isn't what was written here: it was altered, moved, or put in.
    Altered,
    /// A record's contents aren't what was written.
    ContentsAltered,
    /// A record was made with a key that isn't configured, so that nothing can be said of it.
    UnknownKey,
    /// A record was made with the key in the database after one that was made with a configured key.
    WeakerKey,
    /// A record is where its chain has none: after the end, or before the beginning.
    Added,
    /// The end that is on record isn't that of the last record.
    WrongEnd,
    /// There are records, and nothing that they belong to.
    Orphaned,
    /// Contents were removed, up to this position, and no later record says that they were erased.
    Removed { until: i64 },
    /// A chain that is there from the first start on doesn't say so: it was emptied, or nothing was ever started.
    NotBegun,
    /// The same under the configured key: it was made anew under the database's, or no server has started with the other.
    NotUnderKey,
    /// A client has no records, and nothing says that it may have none.
    Unrecorded,
    /// More clients have no records than may have none.
    TooManyUnrecorded { clients: u64, most: i64 },
    /// All records of a client are made with the database's key, and it had none when a configured one came into force.
    Weak,
    /// More clients have records with the database's key only than had when a configured one came into force.
    TooManyWeak { clients: u64, most: i64 },
    /// There is more that is wrong with this chain.
    More { findings: u64 },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, position, what } = self;
        match position {
            Some(position) => write!(formatter, "{chain} {position}: ")?,
            None => write!(formatter, "{chain}: ")?,
        }
        match what {
            What::Missing { until } => write!(formatter, "missing, up to {until}"),
            What::CutOff { until } => write!(formatter, "cut off, up to {until}"),
            What::Altered => formatter.write_str("altered, moved or put in"),
            What::ContentsAltered => formatter.write_str("contents altered"),
            What::UnknownKey => formatter.write_str("made with a key that isn't known: see audit.previous_keys"),
            What::WeakerKey => formatter.write_str("made with the database's key after a configured one was in use"),
            What::Added => formatter.write_str("added where the chain has no record"),
            What::WrongEnd => formatter.write_str("the end on record isn't that of the last record"),
            What::Orphaned => formatter.write_str("records without what they belong to"),
            What::Removed { until } => write!(formatter, "contents removed, up to {until}, and no record of an erasure"),
            What::NotBegun => formatter.write_str("emptied: the record that founds it is missing"),
            What::NotUnderKey => formatter.write_str(
                "no record under audit.key: made anew under the database's key, or no server has started with audit.key yet",
            ),
            What::Unrecorded => formatter.write_str("a client without records, which all have"),
            What::TooManyUnrecorded { clients, most } => {
                write!(formatter, "{clients} clients without records, of {most} that may be")
            }
            What::Weak => formatter.write_str("made with the database's key only, after a configured one was in force"),
            What::TooManyWeak { clients, most } => write!(
                formatter,
                "{clients} clients with records by the database's key only, of {most} that may be"
            ),
            What::More { findings } => write!(formatter, "{findings} more findings"),
        }
    }
}

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
    /// What the next record may continue: what is stored of the last one, or what it should have been. Empty after a gap.
    ends: Vec<Option<String>>,
    /// Whether a record was made with a configured key.
    strong: bool,
    /// When the last record was made, as it says.
    last_at: Option<DateTime<Utc>>,
    /// The first and the last record whose contents are gone, as long as no record says that they were erased.
    removed: Option<(i64, i64)>,
    /// What the last record of the chain's beginning says.
    pub begun: Option<Begun>,
    pub counts: Counts,
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
            strong: false,
            last_at: None,
            removed: None,
            begun: None,
            counts: Counts::default(),
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

    /// Whether nothing has been found.
    pub fn is_intact(&self) -> bool {
        self.found == 0
    }

    /// When the last record was made, if all were with the database's key although another one is configured.
    pub fn weak_until(&self) -> Option<DateTime<Utc>> {
        self.last_at.filter(|_| self.counts.weak > 0 && !self.strong)
    }

    /// Whether the chain begins under the database's key only, although another one is configured.
    pub fn is_begun_weakly(&self) -> bool {
        let begun = self.begun.as_ref();
        begun.is_some_and(|begun| self.keys.is_outdone(&begun.key_id))
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
        self.last_at = Some(record.recorded_at);
        self.counts.records += 1;
        match (&record.contents, &record.salt) {
            (None, None) => {
                self.counts.erased += 1;
                self.removed = Some((self.removed.map_or(position, |(from, _)| from), position));
            }
            (Some(contents), Some(salt)) if digest_of(salt, contents) == record.digest => {}
            _ => self.find(Some(position), What::ContentsAltered),
        }
        let Some(key) = self.keys.key(&record.key_id) else {
            self.ends.clear();
            return self.find(Some(position), What::UnknownKey);
        };
        if self.keys.is_outdone(&record.key_id) {
            self.counts.weak += 1;
            if self.strong {
                self.find(Some(position), What::WeakerKey);
            }
        } else {
            self.strong = true;
        }
        let expected: Vec<String> = self
            .ends
            .iter()
            .map(|end| key.hmac_of(record, end.as_deref()))
            .collect();
        let intact = expected.is_empty() || expected.contains(&record.hmac);
        match intact {
            true => self.believe(record),
            false => self.find(Some(position), What::Altered),
        }
        // One altered record is one finding: the next one continues either what it says now or what it said.
        let altered = if intact { Vec::new() } else { expected };
        let hmacs = [record.hmac.clone()].into_iter().chain(altered);
        self.ends = hmacs
            .map(|hmac| Some(key.seal(&record.chain, position, &hmac)))
            .collect();
    }

    /// Takes what a record says of its chain for true.
    fn believe(&mut self, record: &audit_record::Model) {
        if record.action == Action::Erased.as_str() && record.contents.is_some() {
            self.removed = None;
        }
        if let Some(begun) = Begun::read(record).filter(|begun| begun.key_id == record.key_id) {
            self.begun = Some(begun.after(self.begun.as_ref()));
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
        if Chain::is_shared(&self.chain) {
            match &self.begun {
                None => self.find(None, What::NotBegun),
                Some(_) if self.is_begun_weakly() => self.find(None, What::NotUnderKey),
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
