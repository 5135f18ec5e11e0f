//! Changes users and tokens: one change at a time, by a caller whose rights are read again, with the audit record in
//! the same transaction.
//!
//! An API's cached account is some seconds old, which is good enough for effects that end with the request. A user or
//! token created with a right must not outlast that right because another server still had the old account.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{api_token, api_user, session};
use sea_orm::EntityTrait;

use super::{Account, Accounts};
use crate::{
    audit::{Action, AuditLog, Chain, Change, Member, Subject},
    caller::{Caller, CallerKind},
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::db::{Dialect, Step, Transaction, Work};

/// An input that changes a user or a token.
pub(super) trait AccountInput: Sync {
    type Output: Send;
    /// Invalidates the cached accounts that the change may have outdated.
    fn invalidate(&self, accounts: &Accounts) {
        accounts.forget();
    }

    /// Checks the input and writes what differs. `caller` has its present rights.
    ///
    /// # Errors
    /// Every problem of the input as the inner error. Nothing is written with either.
    fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Result<Applied<Self::Output>, Vec<Problem>>>> + Send;
}

/// The result of an input that was accepted.
pub(super) struct Applied<T> {
    pub output: T,
    /// Empty if nothing was written.
    pub records: Vec<Record>,
}

/// A change to record.
pub(super) struct Record {
    pub subject: Subject,
    pub key: String,
    pub action: Action,
    pub members: Vec<Member>,
}

impl Record {
    pub async fn append(
        self,
        audit: &AuditLog,
        transaction: &Transaction,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let change = Change {
            chain: Chain::Users,
            subject: self.subject,
            subject_key: &self.key,
            action: self.action,
            members: self.members,
        };
        audit.record(transaction, caller, &change, now).await
    }
}

impl Accounts {
    /// Applies `input` in one transaction. Invalidates cached accounts if a commit may have happened or the caller's
    /// stored rights differ from the cached ones. After any other failure, such as an outage, the last known accounts
    /// stay usable.
    pub(super) async fn change<I: AccountInput>(
        &self,
        caller: &Caller,
        input: &I,
        now: DateTime<Utc>,
    ) -> Result<Result<I::Output, Vec<Problem>>> {
        let work = Changing {
            audit: &self.audit,
            caller,
            input,
            now: now.trunc_subsecs(6),
            may_commit: AtomicBool::new(false),
        };
        let outcome = self.db.write(&work).await;
        let is_outdated = matches!(outcome, Err(Error::Unauthenticated | Error::Forbidden(_)));
        if is_outdated {
            self.forget();
        } else if work.may_commit.into_inner() {
            input.invalidate(self);
        }
        outcome
    }
}

struct Changing<'a, I> {
    audit: &'a AuditLog,
    caller: &'a Caller,
    input: &'a I,
    now: DateTime<Utc>,
    may_commit: AtomicBool,
}

impl<I: AccountInput> Work for Changing<'_, I> {
    type Output = Result<I::Output, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = lock_users(transaction, self.caller, self.now).await?;
        let applied = match self.input.apply(&caller, transaction, self.now).await? {
            Ok(applied) => applied,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        if applied.records.is_empty() {
            return Ok(Step::Discard(Ok(applied.output)));
        }
        for record in applied.records {
            record.append(self.audit, transaction, &caller, self.now).await?;
        }
        self.may_commit.store(true, Relaxed);
        Ok(Step::Commit(Ok(applied.output)))
    }
}

/// Users and tokens are changed one at a time. The number is arbitrary but must not change.
const USERS_LOCK: i64 = 0x7573_6572;

/// Waits until no other transaction changes users or tokens. Returns the caller with the rights and role that they have
/// until `transaction` ends.
///
/// An issuer's token isn't stored: its signed claims count until it expires. The operator, and the anonymous caller of
/// a server without authentication, aren't stored either; both have every right.
///
/// # Errors
/// [`Error::Unauthenticated`] if the caller could no longer sign in the same way: they are deleted, deactivated,
/// revoked, expired, signed out, or have another password.
async fn lock_users(transaction: &Transaction, caller: &Caller, now: DateTime<Utc>) -> Result<Caller> {
    if transaction.dialect == Dialect::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock({USERS_LOCK})");
        transaction.one(sql, []).await?;
    }
    let account = match caller.kind {
        CallerKind::User => {
            let user = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
            match (user, &caller.session) {
                (Some(user), Some(key)) => {
                    let session = session::Entity::find_by_id(&**key).one(transaction).await?;
                    let account = session.map(|session| Account::of_session(&user, &session));
                    account.transpose()?
                }
                (user, _) => user.as_ref().map(Account::of_user).transpose()?,
            }
        }
        CallerKind::Token => {
            let row = api_token::Entity::find_by_id(&*caller.id).one(transaction).await?;
            row.as_ref().map(Account::of_token).transpose()?
        }
        CallerKind::Issuer | CallerKind::Operator | CallerKind::Anyone => return Ok(caller.clone()),
    };
    let account = account.filter(|account| account.is_valid(now) && account.password_hash == caller.password_hash);
    let account = account.ok_or(Error::Unauthenticated)?;
    Ok(account.caller(caller.api, caller.request_id.clone()))
}
