//! Verifies credentials and counts failures.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::{
    AuthenticationSettings,
    credentials::{Basic, Credentials},
    issuer::{Checked, Fetch, Issuer},
};
use crate::api::RequestPermit;
use clientele_core::{error::Error, flow::Flow};
use clientele_domain::{
    access::{Account, Accounts, Attempt, SignInError},
    caller::{
        PasswordProof,
        throttle::{Charge, Throttle},
    },
};

/// The wait for the database where the last known account suffices.
const PATIENCE: Duration = Duration::from_millis(500);

/// Authenticates callers.
#[derive(Debug)]
pub struct Guard {
    pub(super) settings: AuthenticationSettings,
    throttle: Arc<Throttle>,
    pub(super) issuer: Option<Issuer>,
}

impl Guard {
    /// # Errors
    /// A sentence about an invalid setting.
    pub fn new(settings: AuthenticationSettings) -> Result<Arc<Self>, String> {
        let per_user = settings.allowance(settings.failures_per_user);
        let per_address = settings.allowance(settings.failures_per_address);
        Ok(Arc::new(Self {
            throttle: Arc::new(Throttle::new(per_user, per_address)),
            issuer: Issuer::of(&settings.jwt)?,
            settings,
        }))
    }

    /// The number of the issuer's keys that can verify tokens, or the reason why they can't be fetched. None without an
    /// issuer.
    pub async fn issuer_keys(&self) -> Option<Result<usize, String>> {
        Some(self.issuer.as_ref()?.usable_keys().await)
    }

    /// Returns true when /metrics needs no authentication.
    pub fn shows_metrics_to_all(&self) -> bool {
        self.settings.public_metrics
    }

    /// Like [`Self::account`], but while the database is unreachable, an account that these credentials have proven
    /// before suffices. For answers that are needed during an outage and show no stored data.
    pub async fn last_known_account(
        &self,
        accounts: &Accounts,
        credentials: &Credentials<'_>,
        from: IpAddr,
        permit: Option<&RequestPermit>,
    ) -> Result<Arc<Account>, SignInError> {
        let account = self.account(accounts, credentials, from, permit);
        let Some(last_known) = last_known(accounts, credentials, from) else {
            return account.await;
        };
        match timeout(PATIENCE, account).await {
            Ok(Err(SignInError::Failed(Error::Unavailable(_)))) | Err(_) => Ok(last_known),
            Ok(decided) => decided,
        }
    }

    /// The proof that an authenticated user knows its password.
    pub fn proof(&self, accounts: &Accounts, basic: &Basic, from: IpAddr) -> PasswordProof {
        let throttle = self.throttle.clone();
        accounts.proof(basic.name(), basic.password(), from, throttle)
    }

    /// The account of a request's credentials. `permit` is the admission permit of the request.
    #[expect(clippy::disallowed_methods, reason = "time enters here")]
    pub async fn account(
        &self,
        accounts: &Accounts,
        credentials: &Credentials<'_>,
        from: IpAddr,
        permit: Option<&RequestPermit>,
    ) -> Result<Arc<Account>, SignInError> {
        match credentials {
            Credentials::Password(basic) => self.user(accounts, basic, from, permit).await,
            Credentials::Token(token) => self.token(accounts, token, from, Utc::now()).await,
            Credentials::Issued(token) => self.issued(token, from, permit, Utc::now()).await,
        }
    }

    /// The present account of credentials that were valid before. None if they aren't valid any more. Neither throttled
    /// nor charged: it verifies no password, and looks up a token that was known.
    #[expect(clippy::disallowed_methods, reason = "time enters here")]
    pub(super) async fn present_account(
        &self,
        accounts: &Accounts,
        credentials: &Credentials<'_>,
        from: IpAddr,
    ) -> Result<Option<Arc<Account>>, SignInError> {
        match credentials {
            Credentials::Password(basic) => {
                let attempt = accounts.attempt(basic.name(), basic.password(), from);
                Ok(accounts.known_user(&attempt, Duration::ZERO).await?)
            }
            Credentials::Token(token) => accounts.token(token, Duration::ZERO, Utc::now(), || Ok(())).await,
            Credentials::Issued(token) => Ok(
                match self.issuer.as_ref().map(|issuer| issuer.check(token, Utc::now())) {
                    Some(Checked::Valid(account)) => Some(account),
                    _ => None,
                },
            ),
        }
    }

    /// A caller who has recently proven their password from the same address isn't throttled, regardless of other
    /// failures there. For all others, the throttle is checked before anything is read, and charged before a password
    /// is verified.
    ///
    /// While verification waits in its queue, the request returns its permit: unauthenticated callers must not hold all
    /// permits. Afterwards it gets another one, charged to the caller.
    async fn user(
        &self,
        accounts: &Accounts,
        basic: &Basic,
        from: IpAddr,
        permit: Option<&RequestPermit>,
    ) -> Result<Arc<Account>, SignInError> {
        let freshness = self.settings.freshness();
        let attempt = accounts.attempt(basic.name(), basic.password(), from);
        if let Some(account) = accounts.known_user(&attempt, freshness).await? {
            return Ok(account);
        }
        self.verify(accounts, attempt, freshness, permit).await
    }

    /// Verifies the password of a user who begins a session, or who has one and changes the password. Compares it with
    /// the stored hash, and is throttled even if the user has just signed in from the same address: such a user sends
    /// the password rarely, so that none of it needs to be remembered.
    pub(super) async fn prove(
        &self,
        accounts: &Accounts,
        basic: &Basic,
        from: IpAddr,
        permit: Option<&RequestPermit>,
    ) -> Result<Arc<Account>, SignInError> {
        let attempt = accounts.unremembered_attempt(basic.name(), basic.password(), from);
        self.verify(accounts, attempt, Duration::ZERO, permit).await
    }

    async fn verify(
        &self,
        accounts: &Accounts,
        attempt: Attempt<'_>,
        freshness: Duration,
        permit: Option<&RequestPermit>,
    ) -> Result<Arc<Account>, SignInError> {
        let (name, from) = (attempt.name.to_owned(), attempt.from);
        self.peek(from, Some(&name))?;
        if let Some(permit) = permit {
            permit.leave();
        }
        let throttle = self.throttle.clone();
        let charge = move || throttle.charge(from, Some(&name), Instant::now());
        accounts.verify(attempt, freshness, charge).await
    }

    /// A token can't be guessed, so other failures are no reason to refuse one: the throttle only limits the statements
    /// that unauthenticated callers can cause. A recently valid token is always looked up, at most once per cache
    /// lifetime. Any other token is looked up while its address has failures left, and then from a small budget shared
    /// by all such addresses: enough for a valid token that this process hasn't seen yet. Only unknown tokens are
    /// charged.
    async fn token(
        &self,
        accounts: &Accounts,
        token: &str,
        from: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, SignInError> {
        let freshness = self.settings.freshness();
        let account = accounts.token(token, freshness, now, || self.may_look(from)).await?;
        account.ok_or_else(|| self.failure(from))
    }

    /// Takes a look-up of a token that this process doesn't know.
    pub(super) fn may_look(&self, from: IpAddr) -> Result<(), SignInError> {
        match self.peek(from, None) {
            Ok(()) => Ok(()),
            Err(_) => self.throttle.go_beyond(Instant::now()).map_err(SignInError::TooMany),
        }
    }

    /// Verifying a signature needs no statement and costs less than the rest of the request, so only failures are
    /// throttled. A token with an unknown key may cause a fetch from the issuer: it is charged in advance, and the
    /// request returns its permit during the wait.
    async fn issued(
        &self,
        token: &str,
        from: IpAddr,
        permit: Option<&RequestPermit>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, SignInError> {
        let Some(issuer) = &self.issuer else {
            return Err(self.failure(from));
        };
        let key = match issuer.check(token, now) {
            Checked::Valid(account) => return Ok(account),
            Checked::Wrong => return Err(self.failure(from)),
            Checked::UnknownKey { id } => id.unwrap_or_default(),
        };
        // A configured key is known.
        let Some(keys) = issuer.published_keys() else {
            return Err(self.failure(from));
        };
        let charged = self.throttle.charge_key(from, &key, Instant::now());
        let charge = charged.map_err(SignInError::TooMany)?;
        if let Some(permit) = permit {
            permit.leave();
        }
        let fetch = keys.fetch_again(Flow::of_address(from)).await;
        // The key may be known by now even if this request's own wait failed.
        match (issuer.check(token, now), fetch) {
            (Checked::Valid(account), _) => {
                charge.refund();
                Ok(account)
            }
            (Checked::Wrong, _) => {
                charge.refund();
                Err(self.failure(from))
            }
            (Checked::UnknownKey { .. }, Fetch::Done) => Err(self.failure(from)),
            // The token may be newer than the keys, which is unknown until they are fetched again.
            (Checked::UnknownKey { .. }, Fetch::Recent) => {
                let charged = self.throttle.charge_unknown_key(from, Instant::now());
                Err(charged.map_or_else(SignInError::TooMany, |_: Charge| SignInError::Wrong))
            }
            (Checked::UnknownKey { .. }, Fetch::Failed) => Err(SignInError::IssuerUnreachable(keys.pause())),
        }
    }

    fn peek(&self, from: IpAddr, user: Option<&str>) -> Result<(), SignInError> {
        self.throttle
            .peek(from, user, Instant::now())
            .map_err(SignInError::TooMany)
    }

    /// Charges a failed attempt with a token, and returns the refusal.
    pub(super) fn failure(&self, from: IpAddr) -> SignInError {
        let charged = self.throttle.charge(from, None, Instant::now());
        charged.map_or_else(SignInError::TooMany, |_: Charge| SignInError::Wrong)
    }
}

/// The account that these credentials have proven before.
#[expect(clippy::disallowed_methods, reason = "time enters here")]
fn last_known(accounts: &Accounts, credentials: &Credentials<'_>, from: IpAddr) -> Option<Arc<Account>> {
    match credentials {
        Credentials::Password(basic) => {
            accounts.last_known_user(&accounts.attempt(basic.name(), basic.password(), from))
        }
        Credentials::Token(token) => accounts.last_known_token(token, Utc::now()),
        // They need no database.
        Credentials::Issued(_) => None,
    }
}
