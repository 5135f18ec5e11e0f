//! Findings of a verification. They name chains and positions and repeat no contents of records.

use std::fmt;

/// A finding about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub chain: String,
    /// The first record concerned; none if the finding is about the chain.
    pub position: Option<i64>,
    pub what: What,
}

/// The kind of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Records are missing between others, up to this position.
    Missing { until: i64 },
    /// Records are missing at the end, up to this position.
    CutOff { until: i64 },
    /// A record differs from what was written: it was altered, moved or inserted.
    Altered,
    /// A record's contents differ from what was written.
    ContentsAltered,
    /// Records are sealed by a key that isn't configured, so that they can't be verified. There is one finding for all
    /// records of a key; without an id, for those of all further keys.
    UnknownKey {
        key_id: Option<String>,
        records: u64,
        chains: u64,
    },
    /// A record with an earlier key follows one with a later key.
    EarlierKey,
    /// A record lies outside its chain: after the end, or before the beginning.
    Added,
    /// The stored end of the chain isn't that of its last record.
    WrongEnd,
    /// There are records, but nothing they belong to.
    Orphaned,
    /// Contents are missing up to this position, and no later record says that they were erased.
    Removed { until: i64 },
    /// A shared chain has no beginning: it was emptied, or no server has ever started.
    NotBegun,
    /// A shared chain has no beginning under the configured key: it was recreated under an earlier one, or no server
    /// has started with this key.
    NotUnderKey,
    /// A client's records don't begin with its creation, or there are none, and no genesis record allows that.
    Unrecorded,
    /// There are more such clients than the genesis record allows.
    TooManyUnrecorded { clients: u64, most: i64 },
    /// A client has a record under an earlier key that was made after the next key came into use, or no client had any
    /// then.
    Late,
    /// More clients have records under earlier keys than had any when a key came into use.
    TooManyEarlier { clients: u64, most: i64 },
    /// The chain has this many further findings.
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
            What::UnknownKey {
                key_id,
                records,
                chains,
            } => {
                write!(formatter, "the first of {records} records in {chains} chains sealed by ")?;
                match key_id {
                    Some(key_id) => write!(formatter, "the key {key_id}, which isn't configured"),
                    None => formatter.write_str("further keys that aren't configured"),
                }
            }
            What::EarlierKey => formatter.write_str("made with an earlier key after a later one was in use"),
            What::Added => formatter.write_str("added where the chain has no record"),
            What::WrongEnd => formatter.write_str("the end on record isn't that of the last record"),
            What::Orphaned => formatter.write_str("records without what they belong to"),
            What::Removed { until } => write!(formatter, "contents removed, up to {until}, and no record of an erasure"),
            What::NotBegun => formatter.write_str("emptied: the record that founds it is missing"),
            What::NotUnderKey => formatter.write_str(
                "no record under audit.key: made anew under an earlier key, or no server has started with audit.key yet",
            ),
            What::Unrecorded => formatter.write_str("a client without the record of its creation, which all have"),
            What::TooManyUnrecorded { clients, most } => {
                write!(formatter, "{clients} clients without the record of their creation, of {most} that may be")
            }
            What::Late => formatter.write_str("made with an earlier key after a later one was in force"),
            What::TooManyEarlier { clients, most } => {
                write!(formatter, "{clients} clients with records by an earlier key, of {most} that may be")
            }
            What::More { findings } => write!(formatter, "{findings} more findings"),
        }
    }
}
