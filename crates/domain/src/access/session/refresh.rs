//! Refreshes a session: replaces its tokens, and ends it if a replaced refresh token is used again.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use entity::{api_user, session};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{
    LEEWAY_SECONDS, Session, SessionSettings, Tokens,
    end::{EndReason, end},
    renewed,
};
use crate::{
    access::{
        Account, Accounts,
        token_text::{RANDOM_LENGTH, REFRESH_PREFIX, digest_of_hash, token_hash},
    },
    audit::AuditLog,
    caller::{Api, Caller},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

/// The reason why a session isn't refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshError {
    /// The refresh token is unknown or expired, or its session has ended.
    Unknown,
    /// Another request replaced the token within the leeway. The session goes on.
    Replaced,
    /// The token was replaced before. This has ended the session.
    Reused,
}

impl Accounts {
    /// Replaces the tokens of the session with this refresh token. Of several requests with one token, one succeeds.
    /// Returns also the user, as the caller of a request with the new access token.
    pub async fn refresh_session(
        &self,
        token: &str,
        settings: &SessionSettings,
        request_id: &Arc<str>,
        now: DateTime<Utc>,
    ) -> Result<Result<(Session, Tokens, Caller), RefreshError>> {
        let Some(family) = family(token) else {
            return Ok(Err(RefreshError::Unknown));
        };
        let hash = token_hash(family);
        // Invented tokens must not wait for the only writer of SQLite.
        let known = session::Entity::find().filter(session::Column::FamilyHash.eq(&*hash));
        if known.one(self.db.read()).await?.is_none() {
            return Ok(Err(RefreshError::Unknown));
        }
        let work = Refresh {
            audit: &self.audit,
            token,
            family_hash: &hash,
            tokens: Tokens::new(family),
            settings,
            request_id,
            now: now.trunc_subsecs(6),
        };
        let refreshed = self.db.write(&work).await;
        // The commit may have happened all the same.
        let refreshed = refreshed.inspect_err(|_| self.sessions.forget())?;
        match refreshed {
            Ok(Refreshed {
                session,
                caller,
                replaced,
            }) => {
                if let Some(digest) = digest_of_hash(&replaced) {
                    self.sessions.end(digest);
                }
                Ok(Ok((session, work.tokens, caller)))
            }
            Err(error) => {
                if error == RefreshError::Reused {
                    self.sessions.forget();
                }
                Ok(Err(error))
            }
        }
    }
}

/// The part of a refresh token that all refresh tokens of its session share. None if the text has another form.
fn family(token: &str) -> Option<&str> {
    let parts = token.strip_prefix(REFRESH_PREFIX)?;
    let has_form = parts.len() == 2 * RANDOM_LENGTH && parts.is_ascii();
    has_form.then(|| &parts[..RANDOM_LENGTH])
}

struct Refresh<'a> {
    audit: &'a AuditLog,
    token: &'a str,
    family_hash: &'a str,
    tokens: Tokens,
    settings: &'a SessionSettings,
    request_id: &'a Arc<str>,
    now: DateTime<Utc>,
}

struct Refreshed {
    session: Session,
    caller: Caller,
    /// The hash of the access token that is no longer valid.
    replaced: String,
}

impl Work for Refresh<'_> {
    type Output = Result<Refreshed, RefreshError>;

    /// Locks only the row of the session, and the audit log after it, in the order of all changes of users.
    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let stored = session::Entity::find().filter(session::Column::FamilyHash.eq(self.family_hash));
        let refused = |error| Ok(Step::Discard(Err(error)));
        let Some(row) = stored.lock_exclusive().one(transaction).await? else {
            return refused(RefreshError::Unknown);
        };
        if row.refresh_expires_at <= self.now {
            return refused(RefreshError::Unknown);
        }
        let user = api_user::Entity::find_by_id(&*row.user_key).one(transaction).await?;
        let user = user.ok_or_else(|| Error::defect("a session has no user"))?;
        let account = Account::of_session(&user, &row)?;
        let caller = account.caller(Api::Graphql, self.request_id.clone());
        let sent = token_hash(self.token);
        if sent == row.refresh_hash {
            if !user.active {
                return refused(RefreshError::Unknown);
            }
            let replaced = row.access_hash.clone();
            let row = session::Model {
                previous_refresh_hash: Some(sent),
                ..renewed(row, &self.tokens, self.settings, self.now)
            };
            transaction.put::<session::Entity>(&[&row]).await?;
            return Ok(Step::Commit(Ok(Refreshed {
                session: Session::of(row, &user, &caller),
                caller,
                replaced,
            })));
        }
        let is_previous = row.previous_refresh_hash.as_deref() == Some(&*sent);
        if is_previous && self.now - row.refreshed_at <= TimeDelta::seconds(LEEWAY_SECONDS) {
            return refused(RefreshError::Replaced);
        }
        let (key, user) = (&row.encoded_key, &row.user_key);
        for ended in end(
            transaction,
            "encoded_key = $1",
            key,
            user,
            EndReason::RefreshTokenReused,
        )
        .await?
        {
            ended.record.append(self.audit, transaction, &caller, self.now).await?;
        }
        Ok(Step::Commit(Err(RefreshError::Reused)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Tokens, family};

    #[test]
    fn refresh_token_contains_the_part_of_its_family() {
        let shared = "a".repeat(43);
        let tokens = Tokens::new(&shared);
        let text = tokens.refresh.reveal();
        assert_eq!(family(text), Some(&*shared));
        assert_eq!(text.len(), 90);
        for other in [&text[..89], &format!("{text}a"), &text[1..], tokens.access.reveal(), ""] {
            assert_eq!(family(other), None, "{other}");
        }
        assert_eq!(family(&format!("clr_{}", "ä".repeat(43))), None);
    }
}
