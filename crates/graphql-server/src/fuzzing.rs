//! Properties of any input, for fuzz targets.

use std::sync::OnceLock;

use crate::{
    http::{
        params::{Requests, from_body},
        websocket::message::Received,
    },
    persisted::{Manifest, Persisted},
};

/// A manifest is read, and each of its documents can be named; or it is refused in a sentence that repeats no document
/// of it.
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
    let all = match from_body(body, 1_000, true) {
        Ok(Requests::Single(params)) => vec![Ok(params)],
        Ok(Requests::Batch(all)) => all,
        Err(_) => return,
    };
    for params in all.into_iter().flatten() {
        let _ = persisted.text(params.document, true);
    }
}

/// A message of a socket is read, or closes it with a code of the protocol and a reason that fits into a frame.
///
/// # Panics
/// When it doesn't hold.
pub fn socket_message(text: &str) {
    if let Err(close) = Received::read(text) {
        assert!(close.code == 4400 && close.reason.len() <= 123);
    }
}
