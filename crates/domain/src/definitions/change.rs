//! Changes definitions: one change at a time, with its audit records in the same transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rand::RngExt;

use super::Definitions;
use crate::{
    audit::{Action, AuditLog, Chain, Change, Member, Subject},
    caller::Caller,
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Database, Dialect, Step, Transaction, Work};

/// The number is arbitrary but must not change.
const DEFINITIONS_LOCK: i64 = 0x6465_6669_6e65;

/// Returns the expression that locks the definitions until a transaction on PostgreSQL ends: they stay unchanged while
/// clients are written by them. Such locks are granted in order, so that writers of clients can't starve a writer of
/// definitions.
pub fn shared_lock() -> String {
    format!("pg_advisory_xact_lock_shared({DEFINITIONS_LOCK})")
}

/// An input that creates, changes or deletes a definition.
pub(crate) trait DefinitionInput: Sync {
    /// Checks the input by the present definitions, and writes what differs.
    ///
    /// # Errors
    /// Every problem of the input as the inner error. Nothing is written with either.
    fn apply(
        &self,
        caller: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Result<Applied, Vec<Problem>>>> + Send;
}

/// The result of an input that was accepted.
pub(crate) struct Applied {
    /// The key of the definition.
    pub key: String,
    /// The changes to record; none if nothing was written.
    pub changes: Vec<DefinitionChange>,
    /// The effects of the change on stored clients.
    pub warnings: Vec<Problem>,
}

/// The result of a change of definitions.
#[derive(Clone, Debug)]
pub struct ChangedDefinitions {
    /// All definitions after the change.
    pub definitions: Arc<Definitions>,
    /// The key of the definition concerned.
    pub key: String,
    /// The effects of the change on stored clients.
    pub warnings: Vec<Problem>,
}

/// A change to record.
pub(crate) struct DefinitionChange {
    pub subject: Subject,
    pub key: String,
    pub action: Action,
    pub members: Vec<Member>,
}

/// Applies `input` in one transaction.
pub(crate) async fn change(
    db: &Database,
    audit: &AuditLog,
    caller: &Caller,
    input: &impl DefinitionInput,
    now: DateTime<Utc>,
) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
    // The effects of a change, and the reasons to refuse it, depend on the values of all clients.
    if caller.rights.are_limited() {
        let message = "Definitions apply to all clients: you can't change them while your rights are limited to \
                       branches or centres.";
        return Ok(Err(vec![Problem::new(ProblemCode::Forbidden, path![], message)]));
    }
    let work = Changing {
        audit,
        caller,
        input,
        now,
    };
    db.write(&work).await
}

struct Changing<'a, T> {
    audit: &'a AuditLog,
    caller: &'a Caller,
    input: &'a T,
    now: DateTime<Utc>,
}

impl<T: DefinitionInput> Work for Changing<'_, T> {
    type Output = Result<ChangedDefinitions, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        // Allows one change of definitions at a time, and none while clients are written by them.
        if transaction.dialect == Dialect::Postgres {
            let lock = format!("SELECT pg_advisory_xact_lock({DEFINITIONS_LOCK})");
            transaction.one(lock, []).await?;
        }
        if transaction.distributed {
            // Each node has the definitions. They can change only on the connections by which values were read.
            let sequential = "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'";
            transaction.run(sequential, []).await?;
        }
        let present = Definitions::load(transaction).await?;
        let applied = self.input.apply(self.caller, &present, transaction, self.now);
        let Applied { key, changes, warnings } = match applied.await? {
            Ok(applied) => applied,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        if changes.is_empty() {
            return Ok(Step::Discard(Ok(ChangedDefinitions {
                definitions: Arc::new(present),
                key,
                warnings,
            })));
        }
        // Makes the definitions that servers have cached stale.
        let version = rand::rng().random_range(1..i64::MAX);
        let sql = "UPDATE definition_version SET version = $1";
        transaction.run(sql, [version.into()]).await?;
        for change in changes {
            let change = Change {
                chain: Chain::Definitions,
                subject: change.subject,
                subject_key: &change.key,
                action: change.action,
                members: change.members,
            };
            self.audit.record(transaction, self.caller, &change, self.now).await?;
        }
        Ok(Step::Commit(Ok(ChangedDefinitions {
            definitions: Arc::new(Definitions::load(transaction).await?),
            key,
            warnings,
        })))
    }
}
