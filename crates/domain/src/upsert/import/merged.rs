//! The references of imported clients that were merged: neither in a circle nor too many to one client.

use std::collections::{BTreeSet, HashMap};

use entity::client;

use super::ImportRules;
use crate::upsert::merge::{MOST_MERGED, merged_into};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
    scalar::is_key,
};
use clientele_storage::db::Transaction;

/// Limit of the merges that are followed from one client. This program makes shorter chains. A file with stored clients
/// can have a longer one, in which a circle can stay unnoticed.
const MOST_PASSED: usize = 2 * MOST_MERGED;

/// The clients that the merged ones of a list refer to, directly or through others.
pub(super) struct MergedClients {
    /// The clients that merged ones were merged into, by their keys, as far as the list leads to them.
    into: HashMap<String, String>,
    /// The numbers of the clients that were merged into these, directly or through others. Only a client that wasn't
    /// merged itself has its full number.
    counts: HashMap<String, usize>,
}

impl MergedClients {
    /// Reads those of a list of merged clients, each with its key, if the file gives it one, and that of the client
    /// that it was merged into.
    pub async fn read<'a>(
        list: impl Iterator<Item = (Option<&'a str>, &'a str)>,
        transaction: &Transaction,
    ) -> Result<Self> {
        let (own, into): (Vec<_>, Vec<_>) = list.filter(|(_, into)| is_key(into)).unzip();
        let mut merged = Self {
            into: HashMap::new(),
            counts: HashMap::new(),
        };
        if into.is_empty() {
            return Ok(merged);
        }
        merged.into = successors(&into, transaction).await?;
        let last = into.into_iter().map(|key| merged.last(key));
        let own = own.into_iter().flatten().filter(|key| is_key(key));
        let counts = merged_into(last.chain(own), transaction).await?;
        merged.counts = counts.into_iter().map(|(key, merged)| (key, merged.len())).collect();
        Ok(merged)
    }

    /// Returns a problem if this client can't refer to the one that it was merged into.
    pub fn problem(&self, row: &client::Model, rules: ImportRules) -> Option<Problem> {
        let into = row.merged_into_key.as_deref()?;
        let refused = |code, message: String| Some(Problem::new(code, path!["client", "mergedIntoKey"], message));
        if self.is_circle(&row.encoded_key, into) {
            let message = "The client would be merged into itself: give it the key of a client that wasn't merged \
                into this one.";
            return refused(ProblemCode::Invalid, message.to_owned());
        }
        // Earlier versions stored more of them, and an export of these must stay complete.
        if rules == ImportRules::New && self.count_with(row, into) > MOST_MERGED {
            let message = format!(
                "At most {MOST_MERGED} clients can be merged into one client, directly or through others: leave \
                 mergedIntoKey out."
            );
            return refused(ProblemCode::TooMany, message);
        }
        None
    }

    /// Adds a client that is stored.
    pub fn add(&mut self, row: &client::Model) {
        let Some(into) = &row.merged_into_key else { return };
        let count = self.count_with(row, into);
        self.counts.insert(self.last(into).to_owned(), count);
        self.into.insert(row.encoded_key.clone(), into.clone());
    }

    /// The number of clients that are merged into one with this client and those that were merged into it.
    fn count_with(&self, row: &client::Model, into: &str) -> usize {
        let count = |key: &str| self.counts.get(key).copied().unwrap_or_default();
        count(self.last(into)) + 1 + count(&row.encoded_key)
    }

    /// Returns true if a client of this key would be merged into itself, directly or through others.
    fn is_circle(&self, key: &str, into: &str) -> bool {
        self.way(into).any(|passed| passed == key)
    }

    /// The client at the end of the way from this one, which wasn't merged itself.
    fn last<'a>(&'a self, key: &'a str) -> &'a str {
        self.way(key).last().unwrap_or(key)
    }

    /// The clients on the way from this one. Earlier versions stored circles, which don't end.
    fn way<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let way = std::iter::successors(Some(key), |passed| self.into.get(*passed).map(String::as_str));
        way.take(self.into.len() + 1)
    }
}

/// Reads the clients that these were merged into, and the clients that those were merged into, and so on, as far as
/// they are merged ones: of each at least the next [`MOST_PASSED`], whose ways can meet.
async fn successors(keys: &[&str], transaction: &Transaction) -> Result<HashMap<String, String>> {
    let most = keys.len() * MOST_PASSED;
    let mut into = HashMap::new();
    let mut next: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    while !next.is_empty() && into.len() < most {
        let sql = format!(
            "SELECT encoded_key, merged_into_key FROM client WHERE {} AND merged_into_key IS NOT NULL",
            transaction.dialect.is_one_of("encoded_key", "$1")
        );
        let keys = serde_json::to_string(&next).map_err(Error::internal)?;
        next.clear();
        for row in transaction.all(sql, [keys.into()]).await? {
            let (key, merged_into): (String, String) = row.try_get_many_by_index()?;
            next.insert(merged_into.clone());
            into.insert(key, merged_into);
        }
        next.retain(|key| !into.contains_key(key));
    }
    Ok(into)
}
