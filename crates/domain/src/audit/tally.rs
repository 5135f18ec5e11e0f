//! Checks all chains together: few enough clients lack the record of their creation, or have records under an earlier
//! key. The genesis record states both limits.

use chrono::{DateTime, Utc};

use super::{Chain, Finding, Keys, What, genesis::Genesis, walk::Walk};

/// Limit of the clients that are named.
const MOST_NAMED: usize = 20;

/// The number of clients of one kind, and the first of them.
#[derive(Clone, Debug, Default)]
struct Clients {
    count: u64,
    named: Vec<String>,
}

impl Clients {
    fn add(&mut self, chain: &str) {
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(chain.to_owned());
        }
    }

    /// Returns nothing up to `most` clients. Clients are named only if none is allowed: otherwise it is unknown which
    /// are too many.
    fn findings(&self, most: i64, each: What, all: impl Fn(u64, i64) -> What) -> Vec<Finding> {
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

fn finding(chain: &str, what: What) -> Finding {
    Finding {
        chain: chain.to_owned(),
        position: None,
        what,
    }
}

/// The clients that have records under keys older than one.
#[derive(Clone, Debug, Default)]
struct Earlier {
    clients: Clients,
    /// The newest of these records, and its client.
    newest: Option<(DateTime<Utc>, String)>,
}

impl Earlier {
    fn add(&mut self, chain: &str, at: DateTime<Utc>) {
        self.clients.add(chain);
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest < at) {
            self.newest = Some((at, chain.to_owned()));
        }
    }

    /// Only these clients had such records when the newer key came into use, and no client can get one later.
    fn findings(&self, begun: &Genesis) -> Vec<Finding> {
        let too_many = |clients, most| What::TooManyEarlier { clients, most };
        let mut findings = self.clients.findings(begun.earlier, What::Late, too_many);
        if let Some((at, chain)) = &self.newest
            && *at > begun.since
        {
            findings.push(finding(chain, What::Late));
        }
        findings
    }
}

/// The totals of the chains that were walked.
#[derive(Debug)]
pub(super) struct Tally<'k> {
    keys: &'k Keys,
    unrecorded: Clients,
    /// By the age of the key that the records are older than.
    earlier: Vec<Earlier>,
    begun: Vec<Genesis>,
    /// Whether the definitions' chain has records that can't be verified. They may allow more clients without records.
    unverified: bool,
}

impl<'k> Tally<'k> {
    pub fn new(keys: &'k Keys) -> Self {
        Self {
            keys,
            unrecorded: Clients::default(),
            earlier: vec![Earlier::default(); keys.len()],
            begun: Vec::new(),
            unverified: false,
        }
    }

    pub fn unrecorded(&mut self, chain: &str) {
        self.unrecorded.add(chain);
    }

    pub fn walked(&mut self, walk: &Walk<'_>) {
        let chain = walk.chain();
        if chain == Chain::Definitions.name() {
            self.begun.clone_from(&walk.begun);
            self.unverified = !walk.unknown.is_empty();
        }
        if Chain::is_shared(chain) {
            return;
        }
        if walk.is_unrecorded() {
            self.unrecorded(chain);
        }
        for (age, earlier) in self.earlier.iter_mut().enumerate() {
            if let Some(at) = walk.newest_before(age) {
                earlier.add(chain, at);
            }
        }
    }

    /// Returns true if there is nothing to compare with the genesis record.
    pub fn is_empty(&self) -> bool {
        self.unrecorded.count == 0 && self.earlier.iter().all(|earlier| earlier.clients.count == 0)
    }

    /// Call this after the definitions' chain was walked: it allows more while clients are seeded, and never less.
    /// Returns nothing if that chain has no beginning, which is a finding of its own.
    pub fn findings(&self) -> Vec<Finding> {
        let Some(last) = self.begun.last() else {
            return Vec::new();
        };
        let too_many = |clients, most| What::TooManyUnrecorded { clients, most };
        let mut findings = match self.unverified {
            true => Vec::new(),
            false => self.unrecorded.findings(last.unrecorded, What::Unrecorded, too_many),
        };
        for begun in &self.begun {
            let earlier = self.keys.age(&begun.key_id).and_then(|age| self.earlier.get(age));
            for finding in earlier.into_iter().flat_map(|earlier| earlier.findings(begun)) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        findings
    }
}
