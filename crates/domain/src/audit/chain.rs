//! Computes the seals: the HMACs of a record and of the end of its chain.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use entity::{audit_record, instant};
use rand::Rng;
use ring::{digest, hmac};

use super::{
    Change,
    keys::{Key, Keys},
};
use crate::caller::Caller;
use clientele_core::error::{Error, Result};

/// The end of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Proves the last record and the number of records; none if there are no records. It is in no record: truncating a
    /// chain and restoring an earlier end requires the key.
    pub seal: Option<String>,
    pub count: i64,
}

const SALT_BYTES: usize = 16;

impl Keys {
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
            .ok_or_else(|| Error::defect("a record names a key that isn't known"))?;
        Ok(Head {
            seal: Some(key.seal(&record.chain, record.position, &record.hmac)),
            count: record.position,
        })
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

impl Key {
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
