//! The place of one outcome: claimed before anything is done, filled in the same transaction as what was done.

use chrono::{DateTime, Utc};
use entity::{idempotency_record, instant};

use super::{Fingerprint, Key};
use crate::{
    access::Caller,
    db::{Batch, Transaction},
    error::{Error, Result},
    problem::{Problem, ProblemCode, path},
};

/// A request that is to be carried out once.
#[derive(Clone, Debug)]
pub struct Slot {
    record: idempotency_record::Model,
}

/// What claiming a slot came to.
#[derive(Debug)]
pub enum Claim {
    /// This is the first: the slot is its own until the transaction ends.
    First,
    /// It has been carried out already.
    Kept(Kept),
    /// The key stands for another request.
    Reused(Problem),
    /// Whoever had the slot has left it just now: start over.
    Again,
}

/// The outcome of the first request.
#[derive(Debug)]
pub struct Kept {
    pub outcome: String,
    /// The version of the definitions that are in force now.
    pub definition_version: i64,
}

impl Slot {
    /// The outcome is to be kept until `expires_at`.
    pub fn new(caller: &Caller, key: &Key, request: Fingerprint, expires_at: DateTime<Utc>) -> Self {
        Self {
            record: idempotency_record::Model {
                caller: format!("{}:{}", caller.kind.as_str(), caller.id),
                key: key.as_str().to_owned(),
                fingerprint: request.to_string(),
                expires_at,
                client_key: None,
                outcome: None,
            },
        }
    }

    /// Makes the slot this transaction's own. To be the transaction's first statement: whoever else has claimed the slot is
    /// waited for, and nobody must be waiting for this one meanwhile.
    pub async fn claim(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Claim> {
        let idempotency_record::Model {
            caller,
            key,
            fingerprint,
            expires_at,
            client_key: _,
            outcome: _,
        } = &self.record;
        let instant = |placeholder| transaction.dialect.cast(placeholder, "timestamptz");
        let claim = format!(
            "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at) VALUES ($1, $2, $3, {}) \
             ON CONFLICT DO NOTHING",
            instant("$4")
        );
        let expiry = instant::to_text(expires_at);
        let values = [caller.into(), key.into(), fingerprint.into(), expiry.clone().into()];
        if transaction.run(claim, values).await? == 1 {
            return Ok(Claim::First);
        }
        // A statement of its own: it sees what was committed while the one above waited.
        let select = "SELECT (SELECT version FROM definition_version), fingerprint, expires_at, outcome \
                      FROM idempotency_record WHERE caller = $1 AND key = $2";
        let Some(row) = transaction.one(select, [caller.into(), key.into()]).await? else {
            return Ok(Claim::Again);
        };
        let (definition_version, first, expired_at, outcome): (i64, String, DateTime<Utc>, Option<String>) =
            row.try_get_many_by_index()?;
        if expired_at <= now {
            let take_over = format!(
                "UPDATE idempotency_record SET fingerprint = $3, expires_at = {}, client_key = NULL, outcome = NULL \
                 WHERE caller = $1 AND key = $2 AND expires_at <= {}",
                instant("$4"),
                instant("$5")
            );
            let now = instant::to_text(&now);
            let values = [caller.into(), key.into(), fingerprint.into(), expiry.into(), now.into()];
            let taken = transaction.run(take_over, values).await? == 1;
            return Ok(if taken { Claim::First } else { Claim::Again });
        }
        if first != *fingerprint {
            let message = "This idempotency key has been used for another request: give each request a key of its own.";
            let problem = Problem::new(ProblemCode::IdempotencyKeyReused, path!["idempotencyKey"], message);
            return Ok(Claim::Reused(problem));
        }
        let outcome =
            outcome.ok_or_else(|| Error::defect("an idempotency record was committed without its outcome"))?;
        Ok(Claim::Kept(Kept {
            outcome,
            definition_version,
        }))
    }

    /// Adds the outcome to what is to be written.
    pub fn fill(&self, client_key: &str, outcome: String, batch: &mut Batch) -> Result<()> {
        batch.put::<idempotency_record::Entity>(&[&idempotency_record::Model {
            client_key: Some(client_key.to_owned()),
            outcome: Some(outcome),
            ..self.record.clone()
        }])
    }
}
