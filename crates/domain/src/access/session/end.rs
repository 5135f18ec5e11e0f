//! The ends of sessions: sign-out, revocation, changes of their users, expiry.

use std::sync::{Mutex, PoisonError};

use async_graphql::InputObject;
use chrono::{DateTime, Utc};
use entity::{api_user, session};
use sea_orm::EntityTrait;

use super::{Session, is_user};
use crate::{
    access::{
        Accounts,
        account::user_rights,
        change::{AccountInput, Applied, Record},
        token_text::digest_of_hash,
    },
    audit::{Action, Members, Subject},
    caller::{Caller, Permission},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
    text::has_control_characters,
};
use clientele_storage::db::{Dialect, Transaction};

/// Ends the caller's session, or all sessions of the user.
#[derive(InputObject, Clone, Debug, Default)]
#[graphql(name = "SignOutInput")]
pub struct SignOut {
    /// True to end all of your sessions. False by default: only the session whose access token you send ends.
    #[graphql(default)]
    pub everywhere: bool,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// Ends a session.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "RevokeSessionInput")]
pub struct RevokeSession {
    /// The key of the session.
    pub encoded_key: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// The reason why a session ended, as audit records have it.
#[derive(Clone, Copy, Debug)]
pub(in crate::access) enum EndReason {
    SignedOut,
    Revoked,
    RefreshTokenReused,
    TooManySessions,
    PasswordChanged,
    UserDeactivated,
    UserDeleted,
}

impl EndReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "SIGNED_OUT",
            Self::Revoked => "REVOKED",
            Self::RefreshTokenReused => "REFRESH_TOKEN_REUSED",
            Self::TooManySessions => "TOO_MANY_SESSIONS",
            Self::PasswordChanged => "PASSWORD_CHANGED",
            Self::UserDeactivated => "USER_DEACTIVATED",
            Self::UserDeleted => "USER_DELETED",
        }
    }
}

impl Accounts {
    /// Ends the caller's session, or all sessions of the user. Returns their number.
    pub async fn sign_out(
        &self,
        caller: &Caller,
        input: &SignOut,
        now: DateTime<Utc>,
    ) -> Result<Result<i64, Vec<Problem>>> {
        self.change(caller, &Ending::new(input), now).await
    }

    /// Ends a session of the caller or, with MANAGE_USERS, of another user, and returns it.
    pub async fn revoke_session(
        &self,
        caller: &Caller,
        input: &RevokeSession,
        now: DateTime<Utc>,
    ) -> Result<Result<Session, Vec<Problem>>> {
        self.change(caller, &Ending::new(input), now).await
    }
}

/// Ends all sessions of a user, and returns the records of that.
pub(in crate::access) async fn end_all(
    transaction: &Transaction,
    user_key: &str,
    reason: EndReason,
) -> Result<Vec<Record>> {
    let ended = end(transaction, "user_key = $1", user_key, user_key, reason).await?;
    Ok(ended.into_iter().map(|ended| ended.record).collect())
}

/// A session that a transaction has ended.
pub(super) struct Ended {
    pub record: Record,
    access_hash: String,
}

/// Ends the sessions of a user with this condition, which has the value as `$1`.
pub(super) async fn end(
    transaction: &Transaction,
    condition: &str,
    value: &str,
    user_key: &str,
    reason: EndReason,
) -> Result<Vec<Ended>> {
    let sql = format!("DELETE FROM session WHERE {condition} RETURNING encoded_key, access_hash");
    let rows = transaction.all(sql, [value.into()]).await?;
    let mut sessions = Vec::with_capacity(rows.len());
    for row in rows {
        sessions.push((row.try_get_by_index::<String>(0)?, row.try_get_by_index(1)?));
    }
    sessions.sort_unstable();
    let ended = |(key, access_hash)| Ended {
        record: end_record(key, user_key, reason),
        access_hash,
    };
    Ok(sessions.into_iter().map(ended).collect())
}

/// An input that ends some sessions. Other cached accounts stay valid.
struct Ending<'a, I> {
    input: &'a I,
    /// The hashes of the access tokens that ended in the last attempt.
    access_hashes: Mutex<Vec<String>>,
}

impl<'a, I> Ending<'a, I> {
    fn new(input: &'a I) -> Self {
        Self {
            input,
            access_hashes: Mutex::default(),
        }
    }

    /// Keeps the hashes for [`Self::end_cached`], and returns the records.
    fn records(&self, ended: Vec<Ended>) -> Vec<Record> {
        let parts = ended.into_iter().map(|ended| (ended.record, ended.access_hash));
        let (records, hashes) = parts.unzip();
        *self.access_hashes.lock().unwrap_or_else(PoisonError::into_inner) = hashes;
        records
    }

    fn end_cached(&self, accounts: &Accounts) {
        let hashes = self.access_hashes.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in hashes.iter().filter_map(|hash| digest_of_hash(hash)) {
            accounts.sessions.end(digest);
        }
    }
}

fn end_record(key: String, user_key: &str, reason: EndReason) -> Record {
    let mut members = Vec::new();
    let mut changed = Members::new(&mut members);
    changed.text("userKey", Some(user_key), None);
    changed.text("endReason", None, Some(reason.as_str()));
    Record {
        subject: Subject::Session,
        key,
        action: Action::Deleted,
        members,
    }
}

impl AccountInput for Ending<'_, SignOut> {
    type Output = i64;

    fn invalidate(&self, accounts: &Accounts) {
        self.end_cached(accounts);
    }

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        _now: DateTime<Utc>,
    ) -> Result<Result<Applied<i64>, Vec<Problem>>> {
        let refuse =
            |path: Vec<_>, message: &'static str| Ok(Err(vec![Problem::new(ProblemCode::Invalid, path, message)]));
        let (user, reason) = (&*caller.id, EndReason::SignedOut);
        let ended = match (&caller.session, self.input.everywhere) {
            (_, true) if is_user(caller) => end(transaction, "user_key = $1", user, user, reason).await?,
            (_, true) => return refuse(path!["everywhere"].into(), "Only a user has sessions."),
            (Some(key), false) => {
                let ended = end(transaction, "encoded_key = $1", key, user, reason).await?;
                // A replaced refresh token may have ended it just now.
                if ended.is_empty() {
                    return Err(Error::Unauthenticated);
                }
                ended
            }
            (None, false) => {
                let message = "This request has no session: send the access token of signIn, or everywhere as true.";
                return refuse(Vec::new(), message);
            }
        };
        let records = self.records(ended);
        let output = records.len() as i64;
        Ok(Ok(Applied { output, records }))
    }
}

impl AccountInput for Ending<'_, RevokeSession> {
    type Output = Session;

    fn invalidate(&self, accounts: &Accounts) {
        self.end_cached(accounts);
    }

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<Session>, Vec<Problem>>> {
        let refuse = |code, message: Message| Ok(Err(vec![Problem::new(code, path!["encodedKey"], message)]));
        let key = &*self.input.encoded_key;
        if has_control_characters(key) {
            let message = "encodedKey must not contain control characters.";
            return refuse(ProblemCode::InvalidCharacter, message.into());
        }
        let stored = session::Entity::find_by_id(key).one(transaction).await?;
        let is_own = |row: &session::Model| is_user(caller) && *row.user_key == *caller.id;
        let visible = stored.filter(|row| row.refresh_expires_at > now);
        let missing = || {
            refuse(
                ProblemCode::NotFound,
                Message::from("There is no session with this key").listed_by("sessions"),
            )
        };
        let Some(row) = visible.filter(|row| is_own(row) || caller.can(Permission::ManageUsers)) else {
            return missing();
        };
        let user = api_user::Entity::find_by_id(&*row.user_key).one(transaction).await?;
        let user = user.ok_or_else(|| Error::defect("a session has no user"))?;
        if !is_own(&row) && !caller.rights.cover(&user_rights(&user)?) {
            let message = "This session's user has rights that you don't have: you can't revoke it.";
            return refuse(ProblemCode::Forbidden, message.into());
        }
        let ended = end(transaction, "encoded_key = $1", key, &row.user_key, EndReason::Revoked).await?;
        if ended.is_empty() {
            return missing();
        }
        let records = self.records(ended);
        let output = Session::of(row, &user, caller);
        Ok(Ok(Applied { output, records }))
    }
}

/// The statement that removes some of the sessions that have expired by the time `$1`.
pub(crate) fn removal_of_expired_sessions(dialect: Dialect, most: u64) -> String {
    let now = dialect.cast("$1", "timestamptz");
    // A session that a request has locked is removed the next time.
    let lock = match dialect {
        Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        Dialect::Sqlite => "",
    };
    format!(
        "DELETE FROM session WHERE encoded_key IN (SELECT encoded_key FROM session \
         WHERE refresh_expires_at <= {now} ORDER BY refresh_expires_at LIMIT {most}{lock})"
    )
}
