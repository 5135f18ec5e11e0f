//! Replacing a collection: the difference between what is stored and what is to be, and the statements that write it.
//! Written once, for any collection.

use std::collections::{HashMap, HashSet};

use entity::{Collection, Member};

use crate::{
    db::{Transaction, put},
    error::{Error, Result},
};

/// What has to be written for `before` to become `after`.
#[derive(Debug)]
pub struct Difference<'a, M> {
    /// The keys of the members that are gone.
    removed: Vec<&'a str>,
    /// The members that are new, or differ from what is stored.
    written: Vec<&'a M>,
}

impl<'a, M: Member> Difference<'a, M> {
    /// A collection that was left alone (`after` is none) doesn't differ.
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

    /// Writes the difference: at most one DELETE and one INSERT, whose texts don't depend on the number of rows.
    pub async fn write<C>(&self, client_key: &str, transaction: &Transaction) -> Result<()>
    where
        C: Collection<Model = M>,
    {
        if !self.removed.is_empty() {
            let which = transaction.dialect.is_one_of("encoded_key", "$2");
            let sql = format!("DELETE FROM {} WHERE client_key = $1 AND {which}", C::table());
            transaction
                .run(sql, [client_key.into(), json(&self.removed)?.into()])
                .await?;
        }
        if !self.written.is_empty() {
            put::<C>(&self.written, transaction).await?;
        }
        Ok(())
    }
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}
