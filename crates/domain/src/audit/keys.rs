//! The keys that seal records: one for new records, and those of older records. Computes the HMACs of a record and of
//! the end of its chain.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use entity::{audit_record, instant};
use rand::Rng;
use ring::{digest, hmac};

use super::{AuditSettings, Change};
use crate::caller::Caller;
use clientele_core::{
    error::{Error, Result},
    secret::Secret,
};

pub(super) const SALT_BYTES: usize = 16;

/// The number of bytes of a key's hash that make its id.
const ID_BYTES: usize = 6;

/// The end of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Proves the last record and the number of records; none if there are no records. It is in no record: truncating a
    /// chain and restoring an earlier end requires the key.
    pub seal: Option<String>,
    pub count: i64,
}

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
    pub(super) fn new(settings: &AuditSettings, stored: &str) -> Self {
        let AuditSettings { key, previous_keys } = settings;
        let configured = !key.is_empty();
        let current = configured.then_some(key).into_iter();
        let texts = current.chain(previous_keys).map(Secret::reveal);
        let mut all: Vec<Key> = texts.chain([stored]).map(Key::of).collect();
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

    /// Returns true if this is the key in the database, though another one is configured: everyone who can read the
    /// database knows it.
    pub(super) fn is_weak(&self, id: &str) -> bool {
        self.configured && self.all.last().is_some_and(|stored| stored.id == id)
    }

    /// Creates the record of a change, next in the chain that ends at `head`.
    pub(super) fn record(
        &self,
        change: &Change<'_>,
        caller: &Caller,
        head: &Head,
        now: DateTime<Utc>,
    ) -> Result<audit_record::Model> {
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        let salt = BASE64_URL_SAFE_NO_PAD.encode(salt);
        let contents = serde_json::to_string(&change.members).map_err(Error::internal)?;
        let mut record = audit_record::Model {
            chain: change.chain.name().to_owned(),
            position: head.count + 1,
            recorded_at: now,
            caller_kind: caller.kind.as_str().to_owned(),
            caller_id: caller.id.to_string(),
            caller_name: caller.name.to_string(),
            door: caller.api.as_str().to_owned(),
            request_id: caller.request_id.to_string(),
            subject: change.subject.as_str().to_owned(),
            subject_key: change.subject_key.to_owned(),
            action: change.action.as_str().to_owned(),
            digest: digest_of(&salt, &contents),
            contents: Some(contents),
            salt: Some(salt),
            hmac: String::new(),
            key_id: self.current().id.clone(),
        };
        record.hmac = self.current().hmac_of(&record, head.seal.as_deref());
        Ok(record)
    }

    /// Returns the end of a chain with this last record.
    pub(super) fn end(&self, record: &audit_record::Model) -> Result<Head> {
        let key = self
            .key(&record.key_id)
            .ok_or_else(|| Error::defect("a record names an unknown key"))?;
        Ok(Head {
            seal: Some(key.seal(&record.chain, record.position, &record.hmac)),
            count: record.position,
        })
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

    /// Returns the HMAC of a record that follows `seal`. Contents and salt are covered only by their digest.
    pub(super) fn hmac_of(&self, record: &audit_record::Model, seal: Option<&str>) -> String {
        let audit_record::Model {
            chain,
            position,
            recorded_at,
            caller_kind,
            caller_id,
            caller_name,
            door,
            request_id,
            subject,
            subject_key,
            action,
            contents: _,
            salt: _,
            digest,
            hmac: _,
            key_id,
        } = record;
        self.sign(&[
            "record",
            seal.unwrap_or_default(),
            chain,
            &position.to_string(),
            &instant::to_text(recorded_at),
            caller_kind,
            caller_id,
            caller_name,
            door,
            request_id,
            subject,
            subject_key,
            action,
            digest,
            key_id,
        ])
    }

    /// Returns the seal of a chain with `count` records, the last of which has this HMAC.
    pub(super) fn seal(&self, chain: &str, count: i64, hmac: &str) -> String {
        self.sign(&["end", chain, &count.to_string(), hmac])
    }

    /// Signs texts, each preceded by its length, so that no two lists of texts are signed as the same bytes.
    fn sign(&self, texts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.hmac);
        for text in texts {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(context.sign())
    }
}

/// Returns the digest of the contents that a record's HMAC covers. All salts have one length, so that the input is
/// unambiguous.
pub(super) fn digest_of(salt: &str, contents: &str) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    digest.update(salt.as_bytes());
    digest.update(contents.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest.finish())
}
