//! Decides whether a caller is authenticated: reads the credentials, verifies them, and counts failures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::{
    AuthenticationSettings,
    credentials::{self, Basic, Credentials},
    issuer::{self, Checked, Fetch, Issuer, Outage},
};
use crate::api::{PeerAddress, Place};
use clientele_core::{
    error::{Error, sentence},
    flow::Flow,
};
use clientele_domain::{
    access::{Account, Accounts, Verdict},
    caller::{
        PasswordProof,
        throttle::{Charge, Throttle},
    },
};

/// The reason why a caller is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The credentials are missing or have an unknown form. Holds a sentence on how to correct that.
    Missing(&'static str),
    /// The credentials are wrong or no longer valid.
    Wrong,
    /// Too many failures. Holds the time to wait.
    TooMany(Duration),
    /// The queue for password verification is full, or there is no permit for this caller now.
    Busy,
    /// The token can't be verified because the issuer's keys can't be fetched. Holds the time to wait.
    IssuerAway(Duration),
    /// The credentials could not be verified.
    Surprise(Error),
}

impl Refusal {
    /// The message to the caller.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Missing(sentence) => sentence,
            Self::Wrong => sentence::WRONG_CREDENTIALS,
            Self::TooMany(_) => sentence::TOO_MANY_ATTEMPTS,
            Self::Busy => "So many sign in that there is no place for you now. Try again shortly.",
            Self::IssuerAway(_) => {
                "The issuer of this token can't be reached at the moment, so that the token can't be checked. Try again shortly."
            }
            Self::Surprise(_) => "It can't be found out at the moment who you are.",
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Surprise(error)
    }
}

/// The wait for the database where the last known account suffices.
const PATIENCE: Duration = Duration::from_millis(500);

const NOBODY: &str =
    "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.";

/// Authenticates callers.
#[derive(Debug)]
pub struct Guard {
    settings: AuthenticationSettings,
    throttle: Arc<Throttle>,
    issuer: Option<Issuer>,
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

    /// Returns true when /metrics needs no authentication.
    pub fn shows_metrics_to_all(&self) -> bool {
        self.settings.public_metrics
    }

    /// The age of the issuer's keys. None before the first fetch, or when none are fetched.
    pub fn issuer_keys_age(&self) -> Option<Duration> {
        self.issuer.as_ref()?.keys().age()
    }

    /// Returns whether the last fetch of the issuer's keys succeeded. None before the first fetch, or when none are
    /// fetched.
    pub fn is_issuer_up(&self) -> Option<bool> {
        self.issuer.as_ref()?.keys().is_up()
    }

    /// A line for `/health/ready` while the issuer's keys can't be fetched.
    pub fn issuer_finding(&self) -> Option<&'static str> {
        self.issuer.as_ref()?.keys().outage().map(|outage| match outage {
            Outage::WithKeys => "the issuer is unreachable: its tokens are checked with the keys known so far\n",
            Outage::WithoutKeys => "the issuer is unreachable: its tokens are answered 503\n",
        })
    }

    /// Fetches the issuer's keys now and whenever they are due for renewal, so that an unreachable issuer is noticed
    /// before its tokens arrive. Never returns.
    pub async fn keep_issuer_keys(self: Arc<Self>) {
        match &self.issuer {
            Some(issuer) => issuer.keys().keep_fetching().await,
            None => std::future::pending().await,
        }
    }

    /// Like [`Self::account`], but while the database is unreachable, an account that these credentials have proven
    /// before suffices. For answers that are needed during an outage and show no stored data.
    pub(super) async fn last_known_account(
        &self,
        accounts: &Accounts,
        headers: &HeaderMap,
        from: PeerAddress,
        place: Option<&Place>,
    ) -> Result<Arc<Account>, Refusal> {
        let account = self.account(accounts, headers, from, place);
        let Some(last_known) = self.last_known(accounts, headers, from) else {
            return account.await;
        };
        match timeout(PATIENCE, account).await {
            Ok(Err(Refusal::Surprise(Error::Unavailable(_)))) | Err(_) => Ok(last_known),
            Ok(decided) => decided,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "time enters here")]
    fn last_known(&self, accounts: &Accounts, headers: &HeaderMap, from: PeerAddress) -> Option<Arc<Account>> {
        match credentials::read(headers).ok()?? {
            Credentials::Password(basic) => {
                accounts.last_known_user(&accounts.attempt(basic.name(), basic.password(), from.0))
            }
            Credentials::Token(token) => accounts.last_known_token(token, Utc::now()),
            // They need no database.
            Credentials::Issued(_) => None,
        }
    }

    /// The proof that an authenticated caller knows its password. None for callers with a token.
    pub(super) fn proof(&self, accounts: &Accounts, headers: &HeaderMap, from: PeerAddress) -> Option<PasswordProof> {
        let Credentials::Password(basic) = credentials::read(headers).ok()?? else {
            return None;
        };
        let throttle = self.throttle.clone();
        Some(accounts.proof(basic.name(), basic.password(), from.0, throttle))
    }

    /// The account of a request's credentials. `place` is the request's permit.
    #[expect(clippy::disallowed_methods, reason = "this is a door")]
    pub(super) async fn account(
        &self,
        accounts: &Accounts,
        headers: &HeaderMap,
        from: PeerAddress,
        place: Option<&Place>,
    ) -> Result<Arc<Account>, Refusal> {
        let credentials = credentials::read(headers).map_err(Refusal::Missing)?;
        match credentials.ok_or(Refusal::Missing(NOBODY))? {
            Credentials::Password(basic) => self.user(accounts, &basic, from, place).await,
            Credentials::Token(token) => self.token(accounts, token, from, Utc::now()).await,
            Credentials::Issued(token) => self.issued(token, from, place, Utc::now()).await,
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
        from: PeerAddress,
        place: Option<&Place>,
    ) -> Result<Arc<Account>, Refusal> {
        let freshness = self.settings.freshness();
        let attempt = accounts.attempt(basic.name(), basic.password(), from.0);
        if let Some(account) = accounts.known_user(&attempt, freshness).await? {
            return Ok(account);
        }
        self.peek(from, Some(basic.name()))?;
        if let Some(place) = place {
            place.leave();
        }
        let (throttle, name) = (self.throttle.clone(), basic.name().to_owned());
        let charge = move || throttle.charge(from.0, Some(&name), Instant::now());
        match accounts.verify(attempt, freshness, charge).await {
            Verdict::Right(account) => Ok(account),
            Verdict::Wrong => Err(Refusal::Wrong),
            Verdict::TooMany(wait) => Err(Refusal::TooMany(wait)),
            Verdict::Busy => Err(Refusal::Busy),
            Verdict::Unknown(error) => Err(Refusal::Surprise(error)),
        }
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
        from: PeerAddress,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, Refusal> {
        let may_look = || match self.peek(from, None) {
            Ok(()) => Ok(()),
            Err(_) => self.throttle.go_beyond(Instant::now()).map_err(Refusal::TooMany),
        };
        let freshness = self.settings.freshness();
        let account = accounts.token(token, freshness, now, may_look).await??;
        account.ok_or_else(|| self.failure(from))
    }

    /// Verifying a signature needs no statement and costs less than the rest of the request, so only failures are
    /// throttled. A token with an unknown key may cause a fetch from the issuer: it is charged in advance, and the
    /// request returns its permit during the wait.
    async fn issued(
        &self,
        token: &str,
        from: PeerAddress,
        place: Option<&Place>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, Refusal> {
        let Some(issuer) = &self.issuer else {
            return Err(self.failure(from));
        };
        let name = issuer::name(token);
        if let Some(account) = issuer.known(&name, now) {
            return Ok(account);
        }
        let key = match issuer.check(token, name, now) {
            Checked::Valid(account) => return Ok(account),
            Checked::Wrong => return Err(self.failure(from)),
            Checked::UnknownKey { id } => id.unwrap_or_default(),
        };
        let charged = self.throttle.charge_key(from.0, &key, Instant::now());
        let charge = charged.map_err(Refusal::TooMany)?;
        if let Some(place) = place {
            place.leave();
        }
        let fetch = issuer.keys().fetch_again(Flow::of_address(from.0)).await;
        // The key may be known by now even if this request's own wait failed.
        match (issuer.check(token, name, now), fetch) {
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
                let charged = self.throttle.charge_unknown_key(from.0, Instant::now());
                Err(charged.map_or_else(Refusal::TooMany, |_: Charge| Refusal::Wrong))
            }
            (Checked::UnknownKey { .. }, Fetch::Failed) => Err(Refusal::IssuerAway(issuer.keys().retry_after())),
        }
    }

    fn peek(&self, from: PeerAddress, user: Option<&str>) -> Result<(), Refusal> {
        self.throttle
            .peek(from.0, user, Instant::now())
            .map_err(Refusal::TooMany)
    }

    /// Charges a failed attempt with a token, and returns the refusal.
    fn failure(&self, from: PeerAddress) -> Refusal {
        let charged = self.throttle.charge(from.0, None, Instant::now());
        charged.map_or_else(Refusal::TooMany, |_: Charge| Refusal::Wrong)
    }
}
