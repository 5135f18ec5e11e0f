//! Caches the versions of variants that messages are written from. A version never changes, so that the cache is never
//! out of date.

use std::{collections::HashMap, sync::Arc};

use entity::message;
use moka::sync::Cache;

use super::{
    Messages,
    render::{Compiled, Values},
};
use crate::caller::Rights;
use crate::notify::content::Content;
use clientele_core::error::{Error, Result};

/// More than a bank uses at a time.
const KEPT: u64 = 1_000;

pub(super) fn cache() -> Cache<String, Arc<Compiled>> {
    Cache::new(KEPT)
}

impl Messages {
    /// Returns the variants of these keys, with at most one statement. One that doesn't exist or can't be read is left
    /// out.
    pub async fn variants<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, Arc<Compiled>>> {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for key in keys {
            match self.variants.get(key) {
                Some(variant) => _ = found.insert(key.to_owned(), variant),
                None => missing.push(key),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        let connection = self.db.read();
        let which = connection.dialect.is_one_of("encoded_key", "$1");
        let sql = format!("SELECT encoded_key, subject, text, html FROM message_variant WHERE {which}");
        let missing = serde_json::to_string(&missing).map_err(Error::internal)?;
        for row in connection.all(sql, [missing.into()]).await? {
            let (key, subject, text, html): (String, Option<String>, String, Option<String>) =
                row.try_get_many_by_index()?;
            let Ok(compiled) = Compiled::new(subject.as_deref().unwrap_or_default(), &text, html.as_deref()) else {
                continue;
            };
            let compiled = Arc::new(compiled);
            self.variants.insert(key.clone(), compiled.clone());
            found.insert(key, compiled);
        }
        Ok(found)
    }
}

/// Renders the content of a message from its variant. None if its text was removed or can't be rendered.
pub fn content(message: &message::Model, variant: &Compiled) -> Option<Content> {
    Some(variant.render(&values(message)?))
}

/// Renders the [`content`], with the values masked that a reader with these rights may not see.
pub fn shown_content(message: &message::Model, variant: &Compiled, rights: &Rights) -> Option<Content> {
    let mut values = values(message)?;
    variant.hide(&mut values, rights);
    Some(variant.render(&values))
}

fn values(message: &message::Model) -> Option<Values> {
    serde_json::from_str(message.placeholders.as_deref()?).ok()
}
