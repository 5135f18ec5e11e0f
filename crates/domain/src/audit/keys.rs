//! The keys of the HMACs: the one that new records are made with, and those that older ones were.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{digest, hmac};

use super::AuditSettings;

/// How much of a key's hash names it.
const ID_BYTES: usize = 6;

/// Every key that records can have been made with.
#[derive(Debug)]
pub struct Keys {
    /// The newest first: the current one, the previous ones as they are configured, and the one that the database
    /// keeps.
    all: Vec<Key>,
    /// Whether the current one is of the configuration.
    configured: bool,
}

pub(super) struct Key {
    /// Names it in records.
    pub id: String,
    pub hmac: hmac::Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Key").field(&self.id).finish()
    }
}

impl Keys {
    /// Those of the configuration, and the one that the database keeps.
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

    /// Whether a key can have this id. A record that names another one wasn't written by this program.
    pub(super) fn is_id(text: &str) -> bool {
        text.len() == BASE64_URL_SAFE_NO_PAD.encode([0; ID_BYTES]).len() && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is a key that the database doesn't keep.
    pub(super) fn are_configured(&self) -> bool {
        self.configured
    }

    /// How many keys are newer than this one; none when it isn't known. Without a configured key all count alike:
    /// whoever can write the database has the one that is in force.
    pub(super) fn age(&self, id: &str) -> Option<usize> {
        let age = self.all.iter().position(|key| key.id == id)?;
        Some(if self.configured { age } else { 0 })
    }

    /// Whether this is the key that the database keeps, though another one is configured.
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
