//! Decides who is let in: reads the credentials, asks what is known of them, and counts what was wrong.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};

use super::{
    AuthenticationSettings,
    credentials::{self, Credentials},
    issuer::{Invalid, Issuer},
};
use crate::{
    Clientele,
    access::{
        Account, Caller, Door,
        throttle::{Charge, Throttle},
    },
    api::{PeerAddress, RequestId},
    error::Error,
    secret::Secret,
};

/// Why somebody isn't let in.
#[derive(Debug)]
pub enum Refusal {
    /// There are no credentials, or they have no known form: a sentence on what to do.
    Missing(&'static str),
    /// There are, and they are wrong, or valid no more.
    Wrong,
    /// There were too many failures: how long to wait.
    TooMany(Duration),
    /// Nobody can tell.
    Surprise(Error),
}

impl Refusal {
    /// What the caller is told.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Missing(sentence) => sentence,
            Self::Wrong => "These credentials are wrong, or not valid any more.",
            Self::TooMany(_) => {
                "Too many attempts to sign in have failed. Wait, then try again with the right credentials."
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

const NOBODY: &str =
    "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.";

/// Lets callers in who prove who they are.
#[derive(Debug)]
pub struct Guard {
    settings: AuthenticationSettings,
    throttle: Throttle,
    issuer: Option<Issuer>,
}

impl Guard {
    /// # Errors
    /// A sentence about a setting that can't be meant.
    pub fn new(settings: AuthenticationSettings) -> Result<Arc<Self>, String> {
        let per_user = settings.allowance(settings.failures_per_user);
        let per_address = settings.allowance(settings.failures_per_address);
        Ok(Arc::new(Self {
            throttle: Throttle::new(per_user, per_address),
            issuer: Issuer::of(&settings.jwt)?,
            settings,
        }))
    }

    /// Whether /metrics answers everybody.
    pub fn shows_metrics_to_all(&self) -> bool {
        self.settings.public_metrics
    }

    /// Who is calling.
    #[expect(clippy::disallowed_methods, reason = "this is a door")]
    pub(super) async fn caller(
        &self,
        clientele: &Clientele,
        headers: &HeaderMap,
        from: PeerAddress,
        door: Door,
        id: &RequestId,
    ) -> Result<Caller, Refusal> {
        let credentials = credentials::read(headers).map_err(Refusal::Missing)?;
        let credentials = credentials.ok_or(Refusal::Missing(NOBODY))?;
        let account = match &credentials {
            Credentials::Password { name, password } => self.user(clientele, name, password, from).await?,
            Credentials::Token(token) => self.token(clientele, token, from, Utc::now()).await?,
            Credentials::Issued(token) => self.issued(token, from, Utc::now()).await?,
        };
        Ok(Caller::of(&account, door, id.0.clone()))
    }

    /// Who has proven himself lately from where he is asks nobody's leave, whoever else fails there. For all others the
    /// throttle is asked before anything is read, and charged before a password is looked at. A name that nobody has takes
    /// the same way as any other, so that neither answers nor times tell which names there are.
    async fn user(
        &self,
        clientele: &Clientele,
        name: &str,
        password: &Secret,
        from: PeerAddress,
    ) -> Result<Arc<Account>, Refusal> {
        let (accounts, freshness) = (&clientele.accounts, self.settings.freshness());
        if !accounts.may_know_user(name, password, from.0, freshness) {
            self.peek(from, Some(name))?;
        }
        let account = accounts.user(&clientele.db, name, freshness).await?;
        let known = account.as_deref();
        let verified = known.is_some_and(|account| accounts.is_verified(account, password, from.0));
        let charge = || self.charge(from, Some(name));
        let right = verified || accounts.verify(name, known, password, from.0, charge).await??;
        account.filter(|_| right).ok_or(Refusal::Wrong)
    }

    /// A token can't be guessed, so that failures beside it are no reason to refuse one: what the throttle bounds here is
    /// how many statements strangers can cause. One that was valid lately is always looked for, as that is one statement
    /// per lifetime of what was read. Any other one is looked for while its address has failures left, and then only
    /// as one of the few that all such addresses have together: enough for a bearer whom this process hasn't seen yet.
    /// Only one that isn't found is charged.
    async fn token(
        &self,
        clientele: &Clientele,
        token: &Secret,
        from: PeerAddress,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, Refusal> {
        let (accounts, freshness) = (&clientele.accounts, self.settings.freshness());
        if !accounts.may_know_token(token.reveal(), freshness) && self.peek(from, None).is_err() {
            self.throttle.go_beyond(Instant::now()).map_err(Refusal::TooMany)?;
        }
        let account = accounts.token(&clientele.db, token.reveal(), freshness, now).await?;
        account.ok_or_else(|| self.failure(from))
    }

    /// To look at a signature costs no statement and less than the request around it, so that the throttle is asked only
    /// about tokens that fail, and whether one that names an unknown key is a reason to ask the issuer.
    async fn issued(&self, token: &Secret, from: PeerAddress, now: DateTime<Utc>) -> Result<Arc<Account>, Refusal> {
        let Some(issuer) = &self.issuer else {
            return Err(self.failure(from));
        };
        if let Some(account) = issuer.known(token, now) {
            return Ok(account);
        }
        let may_ask = self.peek(from, None).is_ok();
        issuer
            .account(token, may_ask, now)
            .await
            .map_err(|invalid| match invalid {
                Invalid::Wrong => self.failure(from),
                Invalid::UnknownKey => Refusal::Wrong,
            })
    }

    fn peek(&self, from: PeerAddress, user: Option<&str>) -> Result<(), Refusal> {
        self.throttle
            .peek(from.0, user, Instant::now())
            .map_err(Refusal::TooMany)
    }

    /// What an attempt with a token is answered that has failed, and is charged.
    fn failure(&self, from: PeerAddress) -> Refusal {
        self.charge(from, None).err().unwrap_or(Refusal::Wrong)
    }

    fn charge(&self, from: PeerAddress, user: Option<&str>) -> Result<Charge, Refusal> {
        self.throttle
            .charge(from.0, user, Instant::now())
            .map_err(Refusal::TooMany)
    }
}
