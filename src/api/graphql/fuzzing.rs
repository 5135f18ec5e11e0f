//! What must hold of documents for any input: the fuzz targets call these.

use std::sync::OnceLock;

use async_graphql::Variables;
use futures_util::FutureExt;

use super::{
    Mutations, Queries,
    door::{Asker, Door},
    persisted::{Manifest, Persisted},
    settings::GraphqlSettings,
};
use crate::api::metrics::ApiMetrics;

/// A document is read, judged and prepared without a panic, and judged the same from the cache. Behind its first U+0000
/// come the variables as JSON.
///
/// # Panics
/// When it doesn't hold.
pub fn document(text: &str) {
    static DOOR: OnceLock<Door<Queries, Mutations>> = OnceLock::new();
    let door = DOOR.get_or_init(|| {
        let settings = GraphqlSettings::default();
        Door::new(super::schema, settings, Persisted::default(), ApiMetrics::default())
    });
    let asker = Asker {
        role: None,
        signed_in: true,
        request_id: "",
    };
    let (query, variables) = text.split_once('\0').unwrap_or((text, "{}"));
    let variables: Variables = serde_json::from_str(variables).unwrap_or_default();
    let [first, second] = [(), ()].map(|()| {
        let preparing = door.prepare(query, None, variables.clone(), &asker);
        let prepared = preparing.now_or_never().expect("preparing waits for nothing");
        prepared.map(|prepared| prepared.is_mutation())
    });
    assert_eq!(first, second);
}

/// A manifest is read or refused in a sentence that repeats no document of it; what is read can be named.
///
/// # Panics
/// When it doesn't hold.
pub fn manifest(text: &str) {
    match Manifest::parse(text) {
        Ok(manifest) => assert!(manifest.ids().all(|id| manifest.get(id).is_some())),
        Err(sentence) => assert!(sentence.len() < 600),
    }
}

/// The members of a request are read, or refused in a sentence; naming a document never panics.
///
/// # Panics
/// When it doesn't hold.
pub fn request(body: &[u8]) {
    static PERSISTED: OnceLock<Persisted> = OnceLock::new();
    let persisted = PERSISTED.get_or_init(|| Persisted::automatic(1 << 16));
    super::http::read_for_fuzzing(body, persisted);
}
