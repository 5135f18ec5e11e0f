//! Replaces a collection: finds the difference between the stored and the new members, and writes it. Generic over
//! collections.

use std::collections::{HashMap, HashSet};

use entity::{Collection, Member};

use clientele_core::error::Result;
use clientele_storage::db::Batch;

/// The changes that turn `before` into `after`.
#[derive(Debug)]
pub struct Difference<'a, M> {
    /// The keys of removed members.
    removed: Vec<&'a str>,
    /// The members that are new or differ from the stored ones.
    written: Vec<&'a M>,
}

impl<'a, M: Member> Difference<'a, M> {
    /// A collection that isn't replaced (`after` is none) doesn't differ.
    pub fn between(before: &'a [M], after: Option<&'a [M]>) -> Self {
        let Some(after) = after else {
            return Self {
                removed: Vec::new(),
                written: Vec::new(),
            };
        };
        let kept: HashSet<&str> = after.iter().map(M::encoded_key).collect();
        let removed = before
            .iter()
            .map(M::encoded_key)
            .filter(|key| !kept.contains(key))
            .collect();
        let stored: HashMap<&str, &M> = before.iter().map(|member| (member.encoded_key(), member)).collect();
        let written = after
            .iter()
            .filter(|member| stored.get(member.encoded_key()) != Some(member))
            .collect();
        Self { removed, written }
    }

    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.written.is_empty()
    }

    /// Adds the difference to the batch: at most one DELETE and one INSERT.
    pub fn write<C>(&self, client_key: &str, batch: &mut Batch) -> Result<()>
    where
        C: Collection<Model = M>,
    {
        if !self.removed.is_empty() {
            batch.delete::<C>(client_key, &self.removed)?;
        }
        if !self.written.is_empty() {
            batch.put::<C>(&self.written)?;
        }
        Ok(())
    }
}
