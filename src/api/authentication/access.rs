//! The access of a caller while a subscription is open, which can last for days.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::Utc;
use tokio::time::sleep;

use super::{Guard, credentials};
use clientele_core::error::Error;
use clientele_domain::access::{Account, Accounts, SignInError};
use graphql_server::{Code, GraphqlError};

/// The interval of checks, and the age of what they share. A token that was revoked is found after twice this time.
const INTERVAL: Duration = Duration::from_secs(2);

const ENDED: &str = "Your credentials are no longer valid. Sign in again, and subscribe after the last position that you \
                     have.";
const CHANGED: &str = "Your rights have changed. Subscribe again, after the last position that you have.";

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
    /// Looks once whether users, tokens or sessions have changed, together with all other subscriptions, and only then
    /// reads the account.
    #[expect(clippy::disallowed_methods, reason = "time enters here")]
    pub async fn ended(self) -> GraphqlError {
        let mut headers = HeaderMap::new();
        headers.insert(self.credentials.0.clone(), self.credentials.1.clone());
        let mut checked = None;
        loop {
            if !self.account.is_valid(Utc::now()) {
                return GraphqlError::new(Code::Unauthenticated, ENDED);
            }
            // During an outage, nothing can be checked and nothing is passed on.
            if let Ok(changes) = self.accounts.changes(INTERVAL).await {
                let keys = [Some(&*self.account.id), self.account.session()];
                let keys: Vec<&str> = keys.into_iter().flatten().collect();
                if checked.is_none_or(|end| changes.include(&keys, end)) {
                    match self.check(&headers).await {
                        Ok(()) => checked = Some(changes.end()),
                        Err(Some(error)) => return error,
                        Err(None) => {}
                    }
                } else {
                    checked = Some(changes.end());
                }
            }
            sleep(INTERVAL).await;
        }
    }

    /// Reads the account again. The error is none if it can't be read now.
    async fn check(&self, headers: &HeaderMap) -> Result<(), Option<GraphqlError>> {
        let ended = || Some(GraphqlError::new(Code::Unauthenticated, ENDED));
        let credentials = credentials::read(headers).map_err(|_| ended())?;
        let account = self
            .guard
            .present_account(&self.accounts, &credentials, self.from)
            .await;
        match account {
            Ok(account) if account.rights == self.account.rights && account.role == self.account.role => Ok(()),
            Ok(_) => Err(Some(GraphqlError::new(Code::Forbidden, CHANGED))),
            Err(SignInError::Missing(_) | SignInError::Wrong) => Err(ended()),
            Err(SignInError::Failed(Error::Unauthenticated)) => Err(ended()),
            Err(_) => Err(None),
        }
    }
}
