//! Sessions of users in browser applications: sign-in, refresh, sign-out, lists and revocation.
//!
//! A session has one access token and one refresh token at a time. Refreshing replaces both (OAuth 2.0 refresh token
//! rotation, RFC 9700). All refresh tokens of a session share their first part, so that one that was replaced, however
//! long ago, is recognised: it may be stolen, and ends the session.

mod end;
mod list;
mod refresh;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{api_user, instant, session};
use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};

pub(crate) use self::end::removal_of_expired_sessions;
pub(super) use self::end::{EndReason, end_all};
pub use self::{
    end::{RevokeSession, SignOut},
    refresh::RefreshError,
};
use super::{
    Accounts,
    accounts::LONGEST_NAME,
    change::{AccountInput, Applied, Record},
    password,
    token_text::{ACCESS_PREFIX, REFRESH_PREFIX, random_text, token_hash},
};
use crate::{
    audit::{Action, Members, Subject},
    caller::{Caller, CallerKind},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
    scalar::{DateTime as Instant, new_key},
    secret::Secret,
};
use clientele_storage::{
    db::Transaction,
    paging::{Cursor, Order},
};

/// Limit of the sessions of one user: with one more, the oldest ends.
pub const MOST_SESSIONS: i64 = 100;

/// A refresh token that was replaced within this time is refused without ending the session: an answer was lost, or two
/// requests of a page refreshed at once.
pub const LEEWAY_SECONDS: i64 = 10;

/// Orders sessions by their keys, which grow with time.
pub static BY_START: Order = Order {
    name: "sessions",
    columns: &["encoded_key"],
    descending: false,
};

/// The lifetimes of sessions and their tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// The lifetime of an access token.
    pub access_token_seconds: u64,
    /// The lifetime of a refresh token: a session that isn't refreshed for this time ends.
    pub idle_seconds: u64,
    /// The lifetime of a session, however often it is refreshed.
    pub lifetime_seconds: u64,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            access_token_seconds: 15 * 60,
            idle_seconds: 12 * 60 * 60,
            lifetime_seconds: 30 * 24 * 60 * 60,
        }
    }
}

/// A session as callers see it.
#[derive(Clone, Debug)]
pub struct Session {
    pub row: session::Model,
    pub user_name: String,
    /// True if another caller set the user's password.
    pub password_is_initial: bool,
    /// True if the request uses the session.
    pub is_current: bool,
}

impl Session {
    fn of(row: session::Model, user: &api_user::Model, caller: &Caller) -> Self {
        Self {
            is_current: caller.session.as_deref() == Some(&*row.encoded_key),
            user_name: user.name.clone(),
            password_is_initial: user.initial,
            row,
        }
    }

    /// The cursor of the session in the list.
    pub fn cursor(&self) -> String {
        Cursor::of(vec![self.row.encoded_key.clone()]).encode(&BY_START)
    }
}

/// The tokens of a session, which are kept nowhere.
#[derive(Debug)]
pub struct Tokens {
    pub access: Secret,
    pub refresh: Secret,
}

impl Tokens {
    /// New tokens; `family` is the part that all refresh tokens of the session share.
    fn new(family: &str) -> Self {
        Self {
            access: Secret::new(format!("{ACCESS_PREFIX}{}", random_text())),
            refresh: Secret::new(format!("{REFRESH_PREFIX}{family}{}", random_text())),
        }
    }
}

/// The problem of a name or a password that no user can have; none if there may be one.
pub fn check_sign_in(name: &str, password: &str) -> Option<Problem> {
    for (member, value, most) in [("name", name, LONGEST_NAME), ("password", password, password::LONGEST)] {
        if value.len() > most {
            let message = format!("{member} must have at most {most} bytes.");
            return Some(Problem::new(ProblemCode::TooLong, path![member], message));
        }
    }
    None
}

impl Accounts {
    /// Begins a session of a user who has just proven their password. None if the user can no longer sign in with it.
    pub async fn begin_session(
        &self,
        user: &Caller,
        settings: &SessionSettings,
        now: DateTime<Utc>,
    ) -> Result<Option<(Session, Tokens)>> {
        let family = random_text();
        let tokens = Tokens::new(&family);
        let input = NewSession {
            family: &family,
            tokens: &tokens,
            settings,
        };
        match self.change(user, &input, now).await {
            // The input has no problems.
            Ok(begun) => Ok(begun.ok().map(|session| (session, tokens))),
            Err(Error::Unauthenticated) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_user(caller: &Caller) -> bool {
    caller.kind == CallerKind::User
}

struct NewSession<'a> {
    family: &'a str,
    tokens: &'a Tokens,
    settings: &'a SessionSettings,
}

impl AccountInput for NewSession<'_> {
    type Output = Session;

    /// An access token that ends with the oldest session is read again soon.
    fn invalidate(&self, _accounts: &Accounts) {}

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<Session>, Vec<Problem>>> {
        let user = caller.id.to_string();
        let expired = transaction.dialect.cast("$2", "timestamptz");
        let sql = format!("DELETE FROM session WHERE user_key = $1 AND refresh_expires_at <= {expired}");
        transaction
            .run(sql, [user.as_str().into(), instant::to_text(&now).into()])
            .await?;
        let oldest = format!(
            "encoded_key IN (SELECT encoded_key FROM session WHERE user_key = $1 ORDER BY encoded_key DESC \
             LIMIT {MOST_SESSIONS} OFFSET {})",
            MOST_SESSIONS - 1
        );
        let ended = end::end(transaction, &oldest, &user, &user, EndReason::TooManySessions).await?;
        let mut records: Vec<Record> = ended.into_iter().map(|ended| ended.record).collect();
        let expires_at = now + seconds(self.settings.lifetime_seconds);
        let row = renewed(
            session::Model {
                encoded_key: new_key(),
                user_key: user,
                family_hash: token_hash(self.family),
                refresh_hash: String::new(),
                previous_refresh_hash: None,
                access_hash: String::new(),
                created_at: now,
                refreshed_at: now,
                access_expires_at: now,
                refresh_expires_at: now,
                expires_at,
            },
            self.tokens,
            self.settings,
            now,
        );
        transaction.put::<session::Entity>(&[&row]).await?;
        let mut members = Vec::new();
        let mut changed = Members::new(&mut members);
        changed.text("userKey", None, Some(&row.user_key));
        changed.text("expiresAt", None, Some(&Instant::text(&expires_at)));
        records.push(Record {
            subject: Subject::Session,
            key: row.encoded_key.clone(),
            action: Action::Created,
            members,
        });
        let owner = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
        let owner = owner.ok_or(Error::Unauthenticated)?;
        let output = Session::of(row, &owner, caller);
        Ok(Ok(Applied { output, records }))
    }
}

/// The session with these tokens, valid from now on.
fn renewed(row: session::Model, tokens: &Tokens, settings: &SessionSettings, now: DateTime<Utc>) -> session::Model {
    session::Model {
        refresh_hash: token_hash(tokens.refresh.reveal()),
        access_hash: token_hash(tokens.access.reveal()),
        refreshed_at: now,
        access_expires_at: row.expires_at.min(now + seconds(settings.access_token_seconds)),
        refresh_expires_at: row.expires_at.min(now + seconds(settings.idle_seconds)),
        ..row
    }
}

/// The settings are checked to be at most a year.
fn seconds(number: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(number).unwrap_or(i64::MAX / 1_000))
}
