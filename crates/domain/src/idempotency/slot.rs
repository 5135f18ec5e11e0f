//! The stored outcome of one request: claimed before any other work, filled in the same transaction as the change.

use chrono::{DateTime, Utc};
use entity::{idempotency_record, instant};
use sea_orm::Value;

use super::{Fingerprint, Key};
use crate::caller::Caller;
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Batch, Transaction};

/// A request that must be carried out once.
#[derive(Clone, Debug)]
pub struct Slot {
    record: idempotency_record::Model,
}

/// The result of claiming a slot.
#[derive(Debug)]
pub enum Claim {
    /// This is the first request: it owns the slot until the transaction ends.
    First,
    /// The request has been carried out already.
    Kept(Kept),
    /// The key belongs to another request, or to one whose outcome was erased.
    Refused(Problem),
    /// The owner of the slot has just given it up: start over.
    Again,
}

/// The outcome of the first request.
#[derive(Debug)]
pub struct Kept {
    pub outcome: String,
    /// The present version of the definitions.
    pub definition_version: i64,
}

impl Slot {
    /// Creates a slot whose outcome is kept until `expires_at`.
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

    /// Claims the slot for this transaction. Must be its first statement: it waits for the present owner, and no other
    /// transaction may wait for this one meanwhile.
    pub async fn claim(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Claim> {
        let sql = format!(
            "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at) VALUES ($1, $2, $3, {}) \
             ON CONFLICT DO NOTHING",
            transaction.dialect.cast("$4", "timestamptz")
        );
        match transaction.run(sql, self.values()).await? {
            1 => Ok(Claim::First),
            _ => self.taken(now, transaction).await,
        }
    }

    /// Reads the slot. A separate statement, so that it sees what was committed while the claim waited.
    async fn taken(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Claim> {
        let sql = "SELECT (SELECT version FROM definition_version), fingerprint, expires_at, outcome \
                   FROM idempotency_record WHERE caller = $1 AND key = $2";
        let [caller, key, ..] = self.values();
        let Some(row) = transaction.one(sql, [caller, key]).await? else {
            return Ok(Claim::Again);
        };
        let (definition_version, fingerprint, expires_at, outcome): (i64, String, DateTime<Utc>, Option<String>) =
            row.try_get_many_by_index()?;
        if expires_at <= now {
            return self.take_over(now, transaction).await;
        }
        if fingerprint != self.record.fingerprint {
            let message = "This idempotency key has been used for another request: give each request a key of its own.";
            return Ok(refused(ProblemCode::IdempotencyKeyReused, message));
        }
        let Some(outcome) = outcome else {
            let message = "This request was carried out, and what came of it has been erased since: it is not carried \
                           out again.";
            return Ok(refused(ProblemCode::OutcomeErased, message));
        };
        Ok(Claim::Kept(Kept {
            outcome,
            definition_version,
        }))
    }

    /// Claims an expired slot, unless another request was faster.
    async fn take_over(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Claim> {
        let instant = |placeholder| transaction.dialect.cast(placeholder, "timestamptz");
        let sql = format!(
            "UPDATE idempotency_record SET fingerprint = $3, expires_at = {}, client_key = NULL, outcome = NULL \
             WHERE caller = $1 AND key = $2 AND expires_at <= {}",
            instant("$4"),
            instant("$5")
        );
        let now = instant::to_text(&now).into();
        let taken = transaction.run(sql, self.values().into_iter().chain([now])).await? == 1;
        Ok(if taken { Claim::First } else { Claim::Again })
    }

    /// Caller, key, fingerprint and expiry, in the order of the parameters.
    fn values(&self) -> [Value; 4] {
        let record = &self.record;
        [
            (&record.caller).into(),
            (&record.key).into(),
            (&record.fingerprint).into(),
            instant::to_text(&record.expires_at).into(),
        ]
    }

    /// Adds the outcome to the batch.
    pub fn fill(&self, client_key: &str, outcome: String, batch: &mut Batch) -> Result<()> {
        batch.put::<idempotency_record::Entity>(&[&idempotency_record::Model {
            client_key: Some(client_key.to_owned()),
            outcome: Some(outcome),
            ..self.record.clone()
        }])
    }
}

fn refused(code: ProblemCode, message: &'static str) -> Claim {
    Claim::Refused(Problem::new(code, path!["idempotencyKey"], message))
}
