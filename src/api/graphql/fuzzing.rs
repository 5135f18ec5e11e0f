//! What must hold of documents for any input: the fuzz targets call these.

use std::sync::OnceLock;

use async_graphql::Variables;
use futures_util::FutureExt;

use super::{Queries, door::Door, limits::Limits, mutation::Mutation};

/// A document is read, judged and prepared without a panic, and judged the same from the cache. Behind its first U+0000
/// come the variables as JSON.
///
/// # Panics
/// When it doesn't hold.
pub fn document(text: &str) {
    static DOOR: OnceLock<Door<Queries, Mutation>> = OnceLock::new();
    let door = DOOR.get_or_init(|| Door::new(super::schema, Limits::default()));
    let (query, variables) = text.split_once('\0').unwrap_or((text, "{}"));
    let variables: Variables = serde_json::from_str(variables).unwrap_or_default();
    let [first, second] = [(), ()].map(|()| {
        let preparing = door.prepare(query, None, variables.clone());
        let prepared = preparing.now_or_never().expect("preparing waits for nothing");
        prepared.map(|prepared| prepared.is_mutation())
    });
    assert_eq!(first, second);
}
