//! The keys of the HMACs: one for new records, and those of older records.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{digest, hmac};

use super::AuditSettings;

/// The number of bytes of a key's hash that make its id.
const ID_BYTES: usize = 6;

/// All keys that records can be made with.
#[derive(Debug)]
pub struct Keys {
    /// The newest first: the current one, the previous ones in the order of the configuration, the one in the database.
    all: Vec<Key>,
    /// True if the current key is configured.
    configured: bool,
}

pub(super) struct Key {
    /// The id in records.
    pub id: String,
    pub hmac: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Key").field(&self.id).finish()
    }
}

impl Keys {
    /// Combines the keys of the configuration with the one in the database.
    pub(super) fn new(settings: &AuditSettings, kept: &str) -> Self {
        let AuditSettings { key, previous_keys } = settings;
        let configured = !key.is_empty();
        let current = configured.then_some(key).into_iter();
        let texts = current.chain(previous_keys).map(clientele_core::secret::Secret::reveal);
        let mut all: Vec<Key> = texts.chain([kept]).map(Key::of).collect();
        if !configured {
            all.rotate_right(1);
        }
        Self { all, configured }
    }

    pub(super) fn current(&self) -> &Key {
        &self.all[0]
    }

    pub(super) fn key(&self, id: &str) -> Option<&Key> {
        self.all.iter().find(|key| key.id == id)
    }

    /// Returns true if a key can have this id. A record with another one wasn't written by this program.
    pub(super) fn is_id(text: &str) -> bool {
        text.len() == BASE64_URL_SAFE_NO_PAD.encode([0; ID_BYTES]).len() && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns true if a key is configured.
    pub(super) fn are_configured(&self) -> bool {
        self.configured
    }

    /// Returns how many keys are newer than this one; none if it is unknown. Without a configured key all count as
    /// equally old: an attacker who can write the database has the current key.
    pub(super) fn age(&self, id: &str) -> Option<usize> {
        let age = self.all.iter().position(|key| key.id == id)?;
        Some(if self.configured { age } else { 0 })
    }

    /// Returns true if this is the key in the database, though another one is configured.
    pub fn is_outdone(&self, id: &str) -> bool {
        self.configured && self.all.last().is_some_and(|kept| kept.id == id)
    }
}

impl Key {
    fn of(text: &str) -> Self {
        let id = digest::digest(&digest::SHA256, format!("clientele audit key {text}").as_bytes());
        Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(&id.as_ref()[..ID_BYTES]),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()),
        }
    }
}
