//! Counts the records whose key isn't configured. Such a record can't be verified: it may be intact or altered. There
//! is one finding for each key.

use std::collections::BTreeMap;

use super::{Finding, What};

/// Limits the memory and output that an attacker with many key ids can cause.
const MAX_KEYS: usize = 20;

/// The number of records that one unknown key has sealed, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Records {
    chain: String,
    position: i64,
    records: u64,
    chains: u64,
}

/// Records by the id of their key. All keys beyond [`MAX_KEYS`] share the entry `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnknownKeys(BTreeMap<Option<String>, Records>);

impl UnknownKeys {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
            what: What::UnknownKey {
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
