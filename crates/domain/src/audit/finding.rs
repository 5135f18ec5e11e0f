//! Findings of a verification. They name chains and positions and repeat no contents of records.

use std::{collections::BTreeMap, fmt};

/// Limits the memory and output that an attacker with many key ids can cause.
const MAX_KEYS: usize = 20;

/// A finding about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub chain: String,
    /// The first record concerned; none if the finding is about the chain.
    pub position: Option<i64>,
    pub kind: FindingKind,
}

/// The kind of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
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
    /// A shared chain has no genesis record: it was emptied, or no server has ever started.
    NoGenesis,
    /// A shared chain has no genesis record under the configured key: it was recreated under an earlier one, or no
    /// server has started with this key.
    NoGenesisUnderKey,
    /// A client's records don't begin with its creation, or there are none, and no genesis record allows that.
    Unrecorded,
    /// There are more such clients than the genesis record allows.
    TooManyUnrecorded { clients: u64, most: i64 },
    /// A client has a record under an earlier key that was made after the next key came into use, or no client had any
    /// then.
    LateRecord,
    /// More clients have records under earlier keys than had any when a key came into use.
    TooManyEarlier { clients: u64, most: i64 },
    /// The chain has this many further findings.
    More { findings: u64 },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, position, kind } = self;
        match position {
            Some(position) => write!(formatter, "{chain} {position}: {kind}"),
            None => write!(formatter, "{chain}: {kind}"),
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Missing { until } => return write!(formatter, "missing, up to {until}"),
            Self::CutOff { until } => return write!(formatter, "cut off, up to {until}"),
            Self::Altered => "altered, moved or inserted",
            Self::ContentsAltered => "contents altered",
            Self::UnknownKey {
                key_id,
                records,
                chains,
            } => {
                write!(
                    formatter,
                    "the first of {records} records in {chains} chains sealed by "
                )?;
                match key_id {
                    Some(key_id) => return write!(formatter, "the key {key_id}, which isn't configured"),
                    None => "further keys that aren't configured",
                }
            }
            Self::EarlierKey => "made with an earlier key, but follows a record made with a later key",
            Self::Added => "added where the chain has no record",
            Self::WrongEnd => "the stored end of the chain doesn't match the last record",
            Self::Orphaned => "records of a client or a chain that doesn't exist",
            Self::Removed { until } => {
                return write!(
                    formatter,
                    "contents removed, up to {until}, without a record of an erasure"
                );
            }
            Self::NoGenesis => "emptied: the genesis record is missing",
            Self::NoGenesisUnderKey => {
                "no genesis record under audit.key: recreated under an earlier key, or no server has started with \
                 audit.key yet"
            }
            Self::Unrecorded => "the record of the client's creation is missing",
            Self::TooManyUnrecorded { clients, most } => {
                let lack = "lack the record of their creation";
                return write!(formatter, "{clients} clients {lack}, and at most {most} may");
            }
            Self::LateRecord => "made with an earlier key after a later key came into use",
            Self::TooManyEarlier { clients, most } => {
                return write!(
                    formatter,
                    "{clients} clients have records by an earlier key, and at most {most} may"
                );
            }
            Self::More { findings } => return write!(formatter, "{findings} more findings"),
        };
        formatter.write_str(text)
    }
}

/// The number of records that one unknown key has sealed, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Records {
    chain: String,
    position: i64,
    records: u64,
    chains: u64,
}

/// Counts the records whose key isn't configured: they can't be verified, and may be intact or altered. By the id of
/// the key; there is one finding for each. All keys beyond [`MAX_KEYS`] share the entry `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnknownKeys(BTreeMap<Option<String>, Records>);

impl UnknownKeys {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of all these records.
    pub fn records(&self) -> u64 {
        self.0.values().map(|found| found.records).sum()
    }

    /// Counts one record. All records that one value counts this way belong to one chain.
    pub fn record(&mut self, key_id: &str, chain: &str, position: i64) {
        let found = self.entry(Some(key_id), chain, position);
        found.records += 1;
        found.chains = 1;
    }

    /// Adds the counts of another chain.
    pub fn add(&mut self, other: &Self) {
        for (key_id, more) in &other.0 {
            let found = self.entry(key_id.as_deref(), &more.chain, more.position);
            found.records += more.records;
            found.chains += more.chains;
        }
    }

    fn entry(&mut self, key_id: Option<&str>, chain: &str, position: i64) -> &mut Records {
        let key_id = key_id.map(str::to_owned);
        let named = self.0.contains_key(&key_id) || self.0.keys().flatten().count() < MAX_KEYS;
        self.0.entry(key_id.filter(|_| named)).or_insert_with(|| Records {
            chain: chain.to_owned(),
            position,
            records: 0,
            chains: 0,
        })
    }

    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        self.0.iter().map(|(key_id, found)| Finding {
            chain: found.chain.clone(),
            position: Some(found.position),
            kind: FindingKind::UnknownKey {
                key_id: key_id.clone(),
                records: found.records,
                chains: found.chains,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEYS, UnknownKeys};

    #[test]
    fn keys_beyond_the_limit_share_one_finding() {
        let mut all = UnknownKeys::default();
        for chain in ["a", "b"] {
            let mut walked = UnknownKeys::default();
            for number in 0..100 {
                walked.record(&format!("key{number:05}"), chain, number);
            }
            all.add(&walked);
        }
        let findings: Vec<String> = all.findings().map(|finding| finding.to_string()).collect();
        assert_eq!(findings.len(), MAX_KEYS + 1);
        assert_eq!(
            findings[0],
            "a 20: the first of 160 records in 2 chains sealed by further keys that aren't configured"
        );
        assert_eq!(
            findings[1],
            "a 0: the first of 2 records in 2 chains sealed by the key key00000, which isn't configured"
        );
    }
}
