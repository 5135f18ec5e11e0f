//! The access of a caller while a subscription is open, which can last for days.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::Utc;
use tokio::time::{Instant, sleep};

use super::{Guard, credentials};
use clientele_domain::access::{Account, Accounts};
use graphql_server::{Code, GraphqlError};

/// The interval of checks, and the age of what they share. A token that was revoked is found after twice this time.
const INTERVAL: Duration = Duration::from_secs(2);
/// The time without a successful check, as during an outage, after which a subscription ends.
const PATIENCE: Duration = Duration::from_secs(30);

const ENDED: &str = "Your credentials are no longer valid. Sign in again, and subscribe after your last position.";
const CHANGED: &str = "Your rights have changed. Subscribe again, after your last position.";
const UNKNOWN: &str = "Your rights can't be checked at the moment. Subscribe again, after your last position.";

/// The credentials of a caller, and the account that they belong to.
#[derive(Clone)]
pub struct Access {
    pub(super) accounts: Arc<Accounts>,
    pub(super) guard: Arc<Guard>,
    pub(super) credentials: (HeaderName, HeaderValue),
    pub(super) from: IpAddr,
    pub(super) account: Arc<Account>,
}

impl Access {
    /// Completes when the credentials aren't valid any more, or when the caller's rights have changed.
    ///
    /// All subscriptions share one statement that tells whether users, tokens or sessions have changed. Only then, the
    /// account is read.
    pub async fn ended(self) -> GraphqlError {
        let (name, value) = &self.credentials;
        let headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
        let (mut checked, mut checked_at) = (None, Instant::now());
        loop {
            match Box::pin(self.check(&headers, checked)).await {
                Ok(end) => (checked, checked_at) = (Some(end), Instant::now()),
                Err(Some(error)) => return error,
                Err(None) if checked_at.elapsed() > PATIENCE => return GraphqlError::new(Code::Unavailable, UNKNOWN),
                Err(None) => {}
            }
            sleep(INTERVAL).await;
        }
    }

    /// Checks the account unless nothing has changed since the position `checked` in the audit log. Returns the
    /// position until which it is checked. The error is none if it can't be checked now.
    #[expect(clippy::disallowed_methods, reason = "time enters here")]
    async fn check(&self, headers: &HeaderMap, checked: Option<i64>) -> Result<i64, Option<GraphqlError>> {
        let ended = || Some(GraphqlError::new(Code::Unauthenticated, ENDED));
        let credentials = credentials::read(headers).map_err(|_| ended())?;
        let changes = self.accounts.changes(INTERVAL).await.map_err(|_| None)?;
        let keys = [Some(&*self.account.id), self.account.session()];
        let keys: Vec<&str> = keys.into_iter().flatten().collect();
        let is_unchanged = checked.is_some_and(|position| !changes.include(&keys, position));
        // Only the issuer knows how long its tokens are valid.
        if is_unchanged && !credentials.are_issued() {
            return if self.account.is_valid(Utc::now()) {
                Ok(changes.end())
            } else {
                Err(ended())
            };
        }
        let account = self
            .guard
            .present_account(&self.accounts, &credentials, self.from)
            .await;
        match account.map_err(|_| None)? {
            None => Err(ended()),
            Some(account) if account.rights == self.account.rights && account.role == self.account.role => {
                Ok(changes.end())
            }
            Some(_) => Err(Some(GraphqlError::new(Code::Forbidden, CHANGED))),
        }
    }
}
