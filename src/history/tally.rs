//! What only all chains together tell: whether more clients have no records, or none under a configured key, than the
//! beginning of the history allows. Pure.

use chrono::{DateTime, Utc};

use super::{
    Chain, Finding,
    begin::Begun,
    walk::{Walk, What},
};

/// How many clients are named.
const MOST_NAMED: usize = 20;

/// The clients of one kind: how many, and the first of them.
#[derive(Debug, Default)]
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

    /// Nothing as long as there are no more than `most`. Which ones are too many can be told when there may be none.
    fn findings(&self, most: i64, each: What, all: impl Fn(u64, i64) -> What) -> Vec<Finding> {
        if i64::try_from(self.count).is_ok_and(|count| count <= most) {
            return Vec::new();
        }
        let finding = |chain: &str, what| Finding {
            chain: chain.to_owned(),
            position: None,
            what,
        };
        let mut findings = Vec::new();
        if most == 0 {
            findings.extend(self.named.iter().map(|chain| finding(chain, each)));
        }
        if most > 0 || self.count > MOST_NAMED as u64 {
            findings.push(finding(Chain::Definitions.name(), all(self.count, most)));
        }
        findings
    }
}

/// What the chains that were walked have in common.
#[derive(Debug, Default)]
pub(super) struct Tally {
    unrecorded: Clients,
    weak: Clients,
    /// The weak client whose last record is the newest.
    newest: Option<(DateTime<Utc>, String)>,
    begun: Option<Begun>,
    /// Whether no configured key has come into force yet, as far as can be told: a finding of its own.
    is_begun_weakly: bool,
}

impl Tally {
    pub fn unrecorded(&mut self, chain: &str) {
        self.unrecorded.add(chain);
    }

    pub fn walked(&mut self, walk: &Walk<'_>) {
        if walk.chain() == Chain::Definitions.name() {
            self.begun.clone_from(&walk.begun);
            self.is_begun_weakly = walk.is_begun_weakly();
        }
        if let Some(at) = walk.weak_until().filter(|_| !Chain::is_shared(walk.chain())) {
            self.weak.add(walk.chain());
            if self.newest.as_ref().is_none_or(|(newest, _)| *newest < at) {
                self.newest = Some((at, walk.chain().to_owned()));
            }
        }
    }

    /// Whether anything is to be compared with the beginning.
    pub fn is_empty(&self) -> bool {
        self.unrecorded.count + self.weak.count == 0
    }

    /// To be asked after the definitions' chain, which allows more while clients are seeded, and never less. Nothing when
    /// that one has no beginning, which is a finding of its own.
    pub fn findings(&self) -> Vec<Finding> {
        let Some(begun) = &self.begun else {
            return Vec::new();
        };
        let too_many = |clients, most| What::TooManyUnrecorded { clients, most };
        let mut findings = self.unrecorded.findings(begun.unrecorded, What::Unrecorded, too_many);
        if self.is_begun_weakly {
            return findings;
        }
        let too_many = |clients, most| What::TooManyWeak { clients, most };
        let weak = self.weak.findings(begun.weak, What::Weak, too_many);
        let named = |chain: &str| weak.iter().any(|finding| finding.chain == chain);
        if let Some((at, chain)) = &self.newest
            && *at > begun.since
            && !named(chain)
        {
            findings.push(Finding {
                chain: chain.clone(),
                position: None,
                what: What::Weak,
            });
        }
        findings.extend(weak);
        findings
    }
}
