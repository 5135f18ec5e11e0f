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
    issuer::Issuer,
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
        Ok(Caller {
            kind: account.kind,
            id: account.id.clone(),
            name: account.name.clone(),
            role: account.role.clone(),
            rights: account.rights.clone(),
            door,
            request_id: id.0.clone(),
        })
    }

    async fn user(
        &self,
        clientele: &Clientele,
        name: &str,
        password: &Secret,
        from: PeerAddress,
    ) -> Result<Arc<Account>, Refusal> {
        let accounts = &clientele.accounts;
        let account = accounts.user(&clientele.db, name, self.settings.freshness()).await?;
        if let Some(account) = &account
            && accounts.is_verified(account, password, from.0)
        {
            return Ok(account.clone());
        }
        // Many requests at once with one password are one attempt.
        let asked = account
            .as_deref()
            .is_some_and(|account| accounts.is_asked(account, password, from.0));
        let charge = match asked {
            true => Charge::default(),
            false => self.charge(from, Some(name))?,
        };
        match accounts.verify(account.as_deref(), password, from.0).await {
            Ok(right) => settle(charge, account.filter(|_| right)),
            Err(error) => {
                charge.refund();
                Err(error.into())
            }
        }
    }

    async fn token(
        &self,
        clientele: &Clientele,
        token: &Secret,
        from: PeerAddress,
        now: DateTime<Utc>,
    ) -> Result<Arc<Account>, Refusal> {
        let (accounts, freshness) = (&clientele.accounts, self.settings.freshness());
        let find = || accounts.token(&clientele.db, token.reveal(), freshness, now);
        if accounts.knows_token(token.reveal(), freshness)
            && let Some(account) = find().await?
        {
            return Ok(account);
        }
        let charge = self.charge(from, None)?;
        match find().await {
            Ok(account) => settle(charge, account),
            Err(error) => {
                charge.refund();
                Err(error.into())
            }
        }
    }

    async fn issued(&self, token: &Secret, from: PeerAddress, now: DateTime<Utc>) -> Result<Arc<Account>, Refusal> {
        if let Some(account) = self.issuer.as_ref().and_then(|issuer| issuer.known(token, now)) {
            return Ok(account);
        }
        let charge = self.charge(from, None)?;
        let account = match &self.issuer {
            Some(issuer) => issuer.account(token, now).await,
            None => None,
        };
        settle(charge, account)
    }

    fn charge(&self, from: PeerAddress, user: Option<&str>) -> Result<Charge, Refusal> {
        self.throttle
            .charge(from.0, user, Instant::now())
            .map_err(Refusal::TooMany)
    }
}

fn settle(charge: Charge, account: Option<Arc<Account>>) -> Result<Arc<Account>, Refusal> {
    let account = account.ok_or(Refusal::Wrong)?;
    charge.refund();
    Ok(account)
}
