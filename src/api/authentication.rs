//! Authenticates callers before a request reaches an API.

mod access;
mod anonymous;
mod credentials;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod issuer;
mod sessions;
mod settings;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        Extensions, HeaderMap, HeaderValue,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn_with_state},
    response::Response,
};

use self::credentials::Credentials;
pub(super) use self::{
    access::Access,
    anonymous::{Anonymous, MOST_BYTES as MOST_ANONYMOUS_BYTES},
    credentials::header as credential_header,
};
pub use self::{
    guard::Guard,
    issuer::PublishedKeys,
    sessions::{Begun, SignIn, SignInRefusal, SignInRequest},
    settings::{AuthenticationSettings, JwtSettings},
};
use super::{
    PeerAddress, RequestId, RequestPermit, RequestedTrace, graphql,
    health::Finding,
    metrics::{ApiMetrics, SignInMethod, SignInOutcome},
    report::{ErrorReport, LogCause, Reason, RequestReport},
    rest,
};
use clientele_core::{flow::Flow, trace};
use clientele_domain::{
    access::{Account, Accounts, SignInError},
    caller::{Api, Caller},
};

/// The authentication mode of the server.
#[derive(Clone, Debug, Default)]
pub enum Authentication {
    /// Every caller has all permissions: for a server that only local callers can reach.
    #[default]
    Off,
    /// Callers must authenticate. Routes that share a guard share its failure counts.
    Required(Arc<Guard>),
}

impl Authentication {
    /// The keys that the issuer of tokens publishes. None without such an issuer.
    pub fn published_keys(&self) -> Option<&Arc<PublishedKeys>> {
        match self {
            Self::Off => None,
            Self::Required(guard) => guard.issuer.as_ref()?.published_keys(),
        }
    }

    /// The finding that `/health/ready` shows while the issuer of tokens is unreachable.
    pub fn finding(&self) -> Finding {
        let keys = self.published_keys().cloned();
        Arc::new(move || keys.as_ref()?.finding())
    }
}

/// Authenticates the callers of a group of routes.
#[derive(Clone)]
pub struct Gate {
    pub accounts: Arc<Accounts>,
    pub authentication: Authentication,
    pub api: Api,
    pub metrics: ApiMetrics,
    /// Accepts the last known account while the database is unreachable.
    pub trusts_last_known: bool,
}

/// Protects these routes with `gate`.
pub fn protect(router: Router, gate: Gate) -> Router {
    // An unknown path is answered with 404 before authentication.
    router.route_layer(from_fn_with_state(gate, authenticate))
}

/// The authenticated caller of a request, as rate limits tell callers apart.
pub fn caller_flow(extensions: &Extensions) -> Option<Flow> {
    extensions.get::<Caller>()?.flow()
}

/// Puts the [`Caller`] into the request, unless a layer outside has done so: nothing on the wire can.
async fn authenticate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let (headers, extensions) = (request.headers(), request.extensions());
    let mut access = None;
    let caller = match (extensions.get::<Caller>(), &gate.authentication) {
        (Some(known), _) => known.clone(),
        (None, Authentication::Off) => Caller::anyone(gate.api, id.0.clone()),
        (None, Authentication::Required(_)) if anonymous::is_possible(gate.api, &request) => {
            return anonymous::answer(&gate, request, next, id).await;
        }
        (None, Authentication::Required(guard)) if gate.api == Api::Graphql && is_browser_socket(&request) => {
            let from = address(extensions);
            let unauthenticated = Unauthenticated {
                gate: gate.clone(),
                guard: guard.clone(),
                from,
                id: id.clone(),
            };
            request.extensions_mut().insert(id);
            request.extensions_mut().insert(unauthenticated);
            return next.run(request).await;
        }
        (None, Authentication::Required(guard)) => match gate.sign_in(guard, headers, extensions, &id).await {
            Ok((caller, account)) => {
                if opens_subscription(&request) {
                    access = gate.access(guard, headers, extensions, account);
                }
                caller
            }
            Err(error) => return refuse(gate.api, &error, headers, &id),
        },
    };
    report_caller(extensions.get(), &caller);
    let refusal = SignInRefusal::default();
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(caller);
    if let Some(access) = access {
        request.extensions_mut().insert(access);
    }
    request.extensions_mut().insert(refusal.clone());
    // Anonymous callers can't have their traces recorded.
    let requested = request.extensions().get::<RequestedTrace>();
    let context = requested.map_or_else(trace::current, |requested| Some(requested.context()));
    let mut response = trace::within(context, next.run(request)).await;
    refusal.add_to(&mut response);
    response
}

/// A WebSocket without credentials: browsers can't send any, so that the caller signs in after it is opened.
#[derive(Clone)]
pub struct Unauthenticated {
    gate: Gate,
    guard: Arc<Guard>,
    from: IpAddr,
    id: RequestId,
}

impl Unauthenticated {
    /// Signs in with the credentials in these headers.
    pub async fn sign_in(&self, headers: HeaderMap) -> Result<(Caller, Access), SignInError> {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddress(self.from));
        let signed_in = self.gate.sign_in(&self.guard, &headers, &extensions, &self.id).await;
        let (caller, account) = signed_in?;
        let access = self.gate.access(&self.guard, &headers, &extensions, account);
        Ok((caller, access.ok_or(SignInError::Missing(credentials::NO_CREDENTIALS))?))
    }
}

fn is_browser_socket(request: &Request) -> bool {
    graphql_server::http::is_websocket(request) && credentials::header(request.headers()).is_none()
}

/// Returns true for a request that can open a subscription.
fn opens_subscription(request: &Request) -> bool {
    graphql_server::http::is_websocket(request) || graphql_server::http::takes_events(request.headers())
}

fn address(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<PeerAddress>();
    peer.map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.0)
}

/// Records the caller for the log, without personal data.
fn report_caller(report: Option<&RequestReport>, caller: &Caller) {
    if let Some(report) = report {
        report.set_caller(caller.kind.as_str(), caller.key_for_log().cloned());
    }
}

impl Gate {
    async fn sign_in(
        &self,
        guard: &Guard,
        headers: &HeaderMap,
        extensions: &Extensions,
        id: &RequestId,
    ) -> Result<(Caller, Arc<Account>), SignInError> {
        let from = address(extensions);
        let permit = extensions.get::<RequestPermit>();
        let credentials = credentials::read(headers);
        let account = match (&credentials, self.trusts_last_known) {
            (Err(sentence), _) => Err(SignInError::Missing(sentence)),
            (Ok(known), true) => guard.last_known_account(&self.accounts, known, from, permit).await,
            (Ok(known), false) => guard.account(&self.accounts, known, from, permit).await,
        };
        let method = credentials
            .as_ref()
            .map_or(SignInMethod::None, Credentials::sign_in_method);
        self.metrics.signed_in(method, outcome(&account));
        if let (Err(SignInError::Wrong | SignInError::TooMany(_)), Some(permit)) = (&account, permit) {
            permit.forget_credentials();
        }
        let account = account?;
        let proof = match &credentials {
            Ok(Credentials::Password(basic)) => Some(guard.proof(&self.accounts, basic, from)),
            _ => None,
        };
        let caller = Caller {
            proof,
            ..account.caller(self.api, id.0.clone())
        };
        if let (Some(permit), Some(flow)) = (permit, caller.flow())
            && !permit.charge(flow).await
        {
            return Err(SignInError::Busy);
        }
        Ok((caller, account))
    }

    /// The access of a caller with these credentials. None without any.
    fn access(
        &self,
        guard: &Arc<Guard>,
        headers: &HeaderMap,
        extensions: &Extensions,
        account: Arc<Account>,
    ) -> Option<Access> {
        let (name, value) = credentials::header(headers)?;
        Some(Access {
            accounts: self.accounts.clone(),
            guard: guard.clone(),
            credentials: (name.clone(), value.clone()),
            from: address(extensions),
            account,
        })
    }
}

fn outcome(account: &Result<Arc<Account>, SignInError>) -> SignInOutcome {
    match account {
        Ok(_) => SignInOutcome::Success,
        Err(SignInError::Missing(_)) => SignInOutcome::Missing,
        Err(SignInError::Wrong) => SignInOutcome::Wrong,
        Err(SignInError::TooMany(_)) => SignInOutcome::Throttled,
        Err(SignInError::Busy) => SignInOutcome::Busy,
        Err(SignInError::IssuerUnreachable(_) | SignInError::Failed(_)) => SignInOutcome::Failed,
    }
}

const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"clientele\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"clientele\", charset=\"UTF-8\"");

/// Returns true for the request of a script in a page: a browser that meets the challenge of Basic there may ask for a
/// name and a password by itself, over the page's own way to sign in.
fn is_of_script(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    mode.is_some_and(|mode| mode != "navigate") || headers.contains_key("x-requested-with")
}

fn refuse(api: Api, error: &SignInError, headers: &HeaderMap, id: &RequestId) -> Response {
    let (mut response, challenges) = match api {
        Api::Graphql if is_of_script(headers) => (graphql::refuse_caller(error, headers, id), &[BEARER][..]),
        Api::Graphql => (graphql::refuse_caller(error, headers, id), &[BEARER, BASIC][..]),
        Api::Rest | Api::CommandLine => (rest::refuse_caller(error, id), &[BASIC][..]),
    };
    if matches!(error, SignInError::Missing(_) | SignInError::Wrong) {
        for challenge in challenges {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
        }
    }
    add_limit(error, &mut response);
    response
}

/// Adds the time to wait to a response, and the limit that refused the sign-in for the log and the metrics.
fn add_limit(error: &SignInError, response: &mut Response) {
    let headers = response.headers_mut();
    let mut report = ErrorReport::default();
    match error {
        SignInError::TooMany(wait) => {
            headers.insert(RETRY_AFTER, seconds(*wait).into());
            report.refused = Some(Reason::SignInThrottle);
        }
        SignInError::IssuerUnreachable(wait) => {
            headers.insert(RETRY_AFTER, seconds(*wait).into());
            report.cause = Some(LogCause::new("the issuer's keys can't be fetched"));
        }
        SignInError::Busy => {
            headers.insert(RETRY_AFTER, 1.into());
            report.refused = Some(Reason::SignInQueue);
        }
        SignInError::Missing(_) | SignInError::Wrong | SignInError::Failed(_) => {}
    }
    report.add_to(response);
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
