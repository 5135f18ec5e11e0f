//! Records of client chains in files, as exports write them and imports read them.
//!
//! A file has everything of a record except what follows from its place. An import verifies records as
//! `clientele audit verify` does, with the keys that this program has, and seals them anew with the current key. Seals
//! depend on nothing else, so that a copy under the same key is the same, byte for byte.

mod read;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, SubsecRound, Utc};
use entity::{audit_record, instant};
use serde::{Deserialize, Serialize};

pub(crate) use read::ChainParts;
pub(super) use read::heads;

use super::{
    Action, Head, Keys, Member, Subject,
    keys::SALT_BYTES,
    walk::{PartEnd, Walk},
};
use crate::caller::{Api, CallerKind};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

const DIGEST_BYTES: usize = 32;
/// Limit of the characters of a caller's id and name and of the id of a request. This program writes shorter ones, and
/// the databases have indexes of them.
const LONGEST_TEXT: usize = 200;

/// The most records of a part that begins without contents. It ends with the record of their erasure, or has this many:
/// then the erasure follows in another part. The longest such part takes less than a line of a file can have.
const MOST_ERASED: usize = if cfg!(test) { 4 } else { 10_000 };

/// Consecutive records of a client's chain, as one line of a file has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainPart {
    pub records: Vec<ExportedRecord>,
    /// The stored end of the chain where it was exported; none if further lines have more of its records, or if it has
    /// no records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// A record of a client's chain in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportedRecord {
    #[serde(with = "instant")]
    pub at: DateTime<Utc>,
    pub caller: ExportedCaller,
    pub door: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    pub action: String,
    /// The changed members as JSON, in the text that the digest covers. None if they were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    pub digest: String,
    pub hmac: String,
    pub key_id: String,
}

/// The caller of a record in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedCaller {
    pub kind: String,
    pub id: String,
    pub name: String,
}

impl ChainPart {
    /// Returns true if no further line has records of the chain. Only the first line of one can have none.
    pub fn is_last(&self) -> bool {
        self.head.is_some() || self.records.is_empty()
    }

    /// The last record, if this part begins after `after`.
    pub fn end(&self, after: Option<&PartEnd>) -> Option<PartEnd> {
        let last = self.records.last()?;
        let lacks = after.is_some_and(|after| after.lacks_contents);
        Some(PartEnd {
            lacks_contents: self
                .records
                .iter()
                .fold(lacks, |lacks, record| record.lacks_contents(lacks)),
            position: after.map_or(0, |after| after.position) + self.records.len() as i64,
            at: last.at,
            digest: last.digest.clone(),
            hmac: last.hmac.clone(),
            key_id: last.key_id.clone(),
        })
    }
}

impl ExportedRecord {
    pub(super) fn of(row: audit_record::Model) -> Self {
        Self {
            at: row.recorded_at,
            caller: ExportedCaller {
                kind: row.caller_kind,
                id: row.caller_id,
                name: row.caller_name,
            },
            door: row.door,
            request_id: row.request_id,
            action: row.action,
            contents: row.contents,
            salt: row.salt,
            digest: row.digest,
            hmac: row.hmac,
            key_id: row.key_id,
        }
    }

    /// Returns true if contents are missing up to this record, and it isn't the one of their erasure.
    fn lacks_contents(&self, before: bool) -> bool {
        self.contents.is_none() || before && self.action != Action::Erased.as_str()
    }

    fn into_row(self, client_key: &str, position: i64) -> audit_record::Model {
        let Self {
            at,
            caller,
            door,
            request_id,
            action,
            contents,
            salt,
            digest,
            hmac,
            key_id,
        } = self;
        audit_record::Model {
            chain: client_key.to_owned(),
            position,
            // The databases keep microseconds.
            recorded_at: at.trunc_subsecs(6),
            caller_kind: caller.kind,
            caller_id: caller.id,
            caller_name: caller.name,
            door,
            request_id,
            subject: Subject::Client.as_str().to_owned(),
            subject_key: client_key.to_owned(),
            action,
            contents,
            salt,
            digest,
            hmac,
            key_id,
        }
    }

    /// Returns the first member that no record of this program has, and the sentence about it. This doesn't depend on
    /// the key: the HMAC of a record can be unknown although its key isn't.
    fn malformed(&self) -> Option<(&'static str, &'static str)> {
        let is_of = |text: &str, bytes: usize| {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(text);
            decoded.is_ok_and(|decoded| decoded.len() == bytes)
        };
        let is_text = |text: &str| !text.contains('\0');
        let is_short = |text: &str| is_text(text) && text.chars().count() <= LONGEST_TEXT;
        let has_members = |text: &str| is_text(text) && Member::can_read(text);
        let caller = &self.caller;
        let members = [
            ("at", (1..=9_999).contains(&self.at.year())),
            (
                "caller",
                CallerKind::parse(&caller.kind).is_some() && is_short(&caller.id) && is_short(&caller.name),
            ),
            ("door", Api::parse(&self.door).is_some()),
            ("requestId", is_short(&self.request_id)),
            ("action", Action::parse(&self.action).is_some()),
            ("contents", self.contents.as_deref().is_none_or(has_members)),
            ("salt", self.salt.as_ref().is_none_or(|salt| is_of(salt, SALT_BYTES))),
            ("digest", is_of(&self.digest, DIGEST_BYTES)),
            ("keyId", Keys::is_id(&self.key_id)),
        ];
        let malformed = members.into_iter().find(|(_, is_valid)| !is_valid);
        let malformed = malformed.map(|(name, _)| {
            (
                name,
                "The record has a value of the wrong form: import the file as it was exported.",
            )
        });
        let is_half = self.contents.is_some() != self.salt.is_some();
        malformed.or(is_half.then_some((
            "contents",
            "A record has contents and salt, or neither: import the file as it was exported.",
        )))
    }
}

/// The records of a part, verified as far as their keys are known, and not yet sealed anew.
#[derive(Clone, Debug)]
pub(crate) struct CheckedPart {
    pub rows: Vec<audit_record::Model>,
    /// The number of records whose keys aren't known, or follow one whose key isn't known.
    pub unverified: u64,
}

impl Keys {
    /// Verifies a part of a client's chain that begins after `after`. Paths of problems begin below the part.
    pub(crate) fn check_part(
        &self,
        client_key: &str,
        after: Option<&PartEnd>,
        part: ChainPart,
    ) -> Result<CheckedPart, Problem> {
        if part.records.is_empty() && after.is_some() {
            let message = "The line has no records, and a history ends only with head: import the file as it was \
                exported.";
            return Err(Problem::new(ProblemCode::Invalid, path!["records"], message));
        }
        if part.records.is_empty() && part.head.is_some() {
            return Err(Problem::new(ProblemCode::Invalid, path!["head"], ALTERED));
        }
        let first = after.map_or(1, |after| after.position + 1);
        let mut walk = Walk::after(self, client_key, after);
        let mut rows = Vec::with_capacity(part.records.len());
        for (index, record) in part.records.into_iter().enumerate() {
            if let Some((member, message)) = record.malformed() {
                let place = path!["records", index, member];
                return Err(Problem::new(ProblemCode::Malformed, place, message));
            }
            let row = record.into_row(client_key, first + index as i64);
            walk.record(&row);
            if !walk.findings.is_empty() {
                return Err(Problem::new(ProblemCode::Invalid, path!["records", index], ALTERED));
            }
            rows.push(row);
        }
        let goes_on = rows.len() >= MOST_ERASED && part.head.is_none();
        if let Some(position) = walk.first_without_contents().filter(|_| !goes_on) {
            let index = usize::try_from(position - first).unwrap_or_default();
            let message = "The record has no contents, and no later record of the line says that they were erased: run \
                `clientele audit verify` where it was exported.";
            let place = path!["records", index, "contents"];
            return Err(Problem::new(ProblemCode::Invalid, place, message));
        }
        if let (Some(head), Some(last)) = (&part.head, rows.last())
            && let Some(key) = self.key(&last.key_id)
            && key.seal(client_key, last.position, &last.hmac) != *head
        {
            return Err(Problem::new(ProblemCode::Invalid, path!["head"], ALTERED));
        }
        Ok(CheckedPart {
            unverified: walk.unknown.records() + walk.unchecked,
            rows,
        })
    }

    /// Seals records that follow `head` with the current key. Returns the new end of their chain.
    pub(super) fn seal_anew(&self, rows: &mut [audit_record::Model], head: &Head) -> Head {
        let (key, mut head) = (self.current(), head.clone());
        for row in rows {
            row.key_id.clone_from(&key.id);
            row.hmac = key.hmac_of(row, head.seal.as_deref());
            head = Head {
                seal: Some(key.seal(&row.chain, row.position, &row.hmac)),
                count: row.position,
            };
        }
        head
    }
}

const ALTERED: &str = "The history was altered: run `clientele audit verify` where it was exported.";

#[cfg(test)]
mod tests;
