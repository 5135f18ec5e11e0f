//! Walking along a chain: whether each record continues the one before, and whether the last one is the chain's end.
//! Pure: knows no database, and shows nothing of what records say.

use std::fmt;

use entity::audit_record;

use super::{Head, Keys, chain::digest_of};

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
    /// Clients without any record: they haven't been changed since there is a history, or were invented.
    pub empty: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            chains,
            records,
            erased,
            weak,
            empty,
        } = other;
        self.chains += chains;
        self.records += records;
        self.erased += erased;
        self.weak += weak;
        self.empty += empty;
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
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

impl<'k> Walk<'k> {
    pub fn new(keys: &'k Keys, chain: &str) -> Self {
        Self {
            keys,
            chain: chain.to_owned(),
            position: 0,
            ends: vec![None],
            strong: false,
            counts: Counts::default(),
            findings: Vec::new(),
        }
    }

    pub fn chain(&self) -> &str {
        &self.chain
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    fn find(&mut self, position: Option<i64>, what: What) {
        let chain = self.chain.clone();
        self.findings.push(Finding { chain, position, what });
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
        self.counts.records += 1;
        match (&record.contents, &record.salt) {
            (None, None) => self.counts.erased += 1,
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
        if !intact {
            self.find(Some(position), What::Altered);
        }
        // One altered record is one finding: the next one continues either what it says now or what it said.
        let altered = if intact { Vec::new() } else { expected };
        let hmacs = [record.hmac.clone()].into_iter().chain(altered);
        self.ends = hmacs
            .map(|hmac| Some(key.seal(&record.chain, position, &hmac)))
            .collect();
    }

    /// A record that is beyond the end, or before the beginning.
    pub fn beyond(&mut self, position: i64) {
        self.find(Some(position), What::Added);
    }

    pub fn orphaned(&mut self) {
        self.find(None, What::Orphaned);
    }

    /// Ends the walk at what is on record as the chain's end.
    pub fn end(&mut self, head: &Head) {
        self.counts.chains = 1;
        if head.count > self.position {
            self.find(Some(self.position + 1), What::CutOff { until: head.count });
        } else if !self.ends.is_empty() && !self.ends.contains(&head.seal) {
            self.find(None, What::WrongEnd);
        }
    }
}
