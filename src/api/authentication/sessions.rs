//! Signs users in for sessions and refreshes these, with the throttle and the metrics of all other sign-ins.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::response::Response;
use chrono::{DateTime, Utc};

use super::{Authentication, Guard, add_limit, credentials::Basic, outcome, report_caller};
use crate::api::{
    RequestId, RequestPermit,
    metrics::{ApiMetrics, SignInMethod, SignInOutcome},
    report::RequestReport,
};
use clientele_core::error::Error;
use clientele_domain::{
    access::{Account, Accounts, RefreshError, Session, SignInError, Tokens},
    caller::{Api, Caller},
};

/// Signs users in for sessions. Cloning shares everything.
#[derive(Clone)]
pub struct SignIn {
    accounts: Arc<Accounts>,
    /// None on a server without authentication.
    guard: Option<Arc<Guard>>,
    metrics: ApiMetrics,
}

/// The request to sign in.
#[derive(Clone, Copy)]
pub struct SignInRequest<'a> {
    pub id: &'a RequestId,
    pub from: IpAddr,
    pub permit: Option<&'a RequestPermit>,
    pub report: Option<&'a RequestReport>,
    /// True if the request has no credentials: its permit is charged to the user who signs in.
    pub is_anonymous: bool,
}

/// The refusal of a sign-in by a field, which writes no headers. In the extensions of each request; cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct SignInRefusal(Arc<OnceLock<SignInError>>);

impl SignInRefusal {
    pub fn set(&self, error: &SignInError) {
        let _ = self.0.set(error.clone());
    }

    /// Adds the time to wait to the response, and the limit for the log and the metrics.
    pub(super) fn add_to(&self, response: &mut Response) {
        if let Some(error) = self.0.get() {
            add_limit(error, response);
        }
    }
}

/// A session with its new tokens, and its user as the caller of a request with the access token.
pub type Begun = (Session, Tokens, Caller);

impl SignIn {
    pub fn new(accounts: &Arc<Accounts>, authentication: &Authentication, metrics: &ApiMetrics) -> Self {
        Self {
            accounts: accounts.clone(),
            guard: match authentication {
                Authentication::Off => None,
                Authentication::Required(guard) => Some(guard.clone()),
            },
            metrics: metrics.clone(),
        }
    }

    /// Returns true on a server without authentication, which needs no sign-in.
    pub fn is_off(&self) -> bool {
        self.guard.is_none()
    }

    fn guard(&self) -> Result<&Arc<Guard>, SignInError> {
        let defect = || Error::defect("this server has no authentication").into();
        self.guard.as_ref().ok_or_else(defect)
    }

    /// Verifies a password and begins a session.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        request: SignInRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Begun, SignInError> {
        let verified = self.verify(&Basic::new(name, password), request).await;
        self.metrics.signed_in(SignInMethod::Password, outcome(&verified));
        let caller = verified?.caller(Api::Graphql, request.id.0.clone());
        if let (Some(permit), Some(flow), true) = (request.permit, caller.flow(), request.is_anonymous)
            && !permit.charge(flow).await
        {
            return Err(SignInError::Busy);
        }
        let settings = &self.guard()?.settings.sessions;
        let begun = self.accounts.begin_session(&caller, settings, now).await?;
        let (session, tokens) = begun.ok_or(SignInError::Wrong)?;
        report_caller(request.report, &caller);
        Ok((session, tokens, caller))
    }

    /// Verifies a password as for a sign-in, and takes the permit again that the request has released meanwhile.
    async fn verify(&self, basic: &Basic, request: SignInRequest<'_>) -> Result<Arc<Account>, SignInError> {
        let guard = self.guard()?;
        let verified = guard.prove(&self.accounts, basic, request.from, request.permit).await;
        if let (Some(permit), false) = (request.permit, request.is_anonymous)
            && !permit.is_held()
            && !permit.resume().await
        {
            return Err(SignInError::Busy);
        }
        verified
    }

    /// The same caller with the proof of their password. A caller with an access token has proven it only when they
    /// signed in.
    pub async fn prove(
        &self,
        caller: &Caller,
        password: &str,
        request: SignInRequest<'_>,
    ) -> Result<Caller, SignInError> {
        let basic = Basic::new(&caller.name, password);
        let account = self.verify(&basic, request).await?;
        let proven = account.caller(caller.api, caller.request_id.clone());
        if proven.id != caller.id || proven.password_hash != caller.password_hash {
            // The password has changed since the session was read: the session has ended.
            return Err(Error::Unauthenticated.into());
        }
        Ok(Caller {
            proof: Some(self.guard()?.proof(&self.accounts, &basic, request.from)),
            ..caller.clone()
        })
    }

    /// Replaces the tokens of a session. Unknown tokens are limited like unknown API tokens.
    pub async fn refresh(
        &self,
        token: &str,
        request: SignInRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Result<Begun, RefreshError>, SignInError> {
        let refreshed = self.refresh_within_limits(token, request, now).await;
        let outcome = match &refreshed {
            Ok(Ok(_)) => SignInOutcome::Success,
            Ok(Err(_)) => SignInOutcome::Wrong,
            Err(SignInError::TooMany(_)) => SignInOutcome::Throttled,
            Err(_) => SignInOutcome::Failed,
        };
        self.metrics.signed_in(SignInMethod::RefreshToken, outcome);
        if let Ok(Ok((_, _, caller))) = &refreshed {
            report_caller(request.report, caller);
        }
        refreshed
    }

    async fn refresh_within_limits(
        &self,
        token: &str,
        request: SignInRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Result<Begun, RefreshError>, SignInError> {
        let guard = self.guard()?;
        guard.may_look(request.from)?;
        let settings = &guard.settings.sessions;
        let refreshed = self
            .accounts
            .refresh_session(token, settings, &request.id.0, now)
            .await?;
        if let Err(RefreshError::Unknown | RefreshError::Reused) = &refreshed
            && let too_many @ SignInError::TooMany(_) = guard.failure(request.from)
        {
            return Err(too_many);
        }
        Ok(refreshed)
    }
}
