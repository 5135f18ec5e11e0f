//! Authenticates callers before a request reaches an API.

mod credentials;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod issuer;
mod outcome;
mod settings;

use std::sync::Arc;

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

pub(super) use self::{credentials::header as credential_header, guard::Refusal};
pub use self::{
    guard::Guard,
    settings::{AuthenticationSettings, JwtSettings},
};
use super::{
    PeerAddress, Place, RequestId, graphql,
    health::Finding,
    metrics::{ApiMetrics, SignInMethod, SignInOutcome},
    report::{ErrorReport, LogCause, Reason, RequestReport},
    rest,
};
use clientele_core::flow::Flow;
use clientele_domain::{
    access::Accounts,
    caller::{Caller, CallerKind, Door},
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
    /// The finding that `/health/ready` shows while the issuer of tokens is unreachable.
    pub fn finding(&self) -> Finding {
        let guard = match self {
            Self::Off => None,
            Self::Required(guard) => Some(guard.clone()),
        };
        Arc::new(move || guard.as_ref()?.issuer_finding())
    }
}

/// Authenticates the callers of a group of routes.
#[derive(Clone)]
pub struct Gate {
    pub accounts: Arc<Accounts>,
    pub authentication: Authentication,
    pub door: Door,
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
    let caller = extensions.get::<Caller>()?;
    (caller.kind != CallerKind::Anyone).then(|| Flow::Caller(caller.kind.as_str(), caller.id.clone()))
}

/// Puts the [`Caller`] into the request, unless a layer outside has done so: nothing on the wire can.
async fn authenticate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let caller = match (request.extensions().get::<Caller>(), &gate.authentication) {
        (Some(known), _) => known.clone(),
        (None, Authentication::Off) => Caller::anyone(gate.door, id.0.clone()),
        (None, Authentication::Required(guard)) => {
            let from = request.extensions().get::<PeerAddress>().copied();
            let from = from.unwrap_or(PeerAddress(std::net::Ipv4Addr::LOCALHOST.into()));
            let headers = request.headers();
            let place = request.extensions().get::<Place>();
            let account = match gate.trusts_last_known {
                true => guard.last_known_account(&gate.accounts, headers, from, place).await,
                false => guard.account(&gate.accounts, headers, from, place).await,
            };
            gate.metrics
                .signed_in(SignInMethod::of(headers), SignInOutcome::of(&account));
            let caller = match account {
                Ok(account) => Caller {
                    proof: guard.proof(&gate.accounts, headers, from),
                    ..account.caller(gate.door, id.0.clone())
                },
                Err(refusal) => {
                    if let (Refusal::Wrong | Refusal::TooMany(_), Some(place)) = (&refusal, place) {
                        place.forget_credentials();
                    }
                    return refuse(gate.door, &refusal, headers, &id);
                }
            };
            if let (Some(place), Some(flow)) = (place, caller.flow())
                && !place.charge(flow).await
            {
                return refuse(gate.door, &Refusal::Busy, headers, &id);
            }
            caller
        }
    };
    if let Some(report) = request.extensions().get::<RequestReport>() {
        let key = matches!(caller.kind, CallerKind::User | CallerKind::Token).then(|| caller.id.clone());
        report.set_caller(caller.kind.as_str(), key);
    }
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"clientele\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"clientele\", charset=\"UTF-8\"");

/// Returns true for the request of a script in a page: a browser that meets the challenge of Basic there may ask for a
/// name and a password by itself, over the page's own way to sign in.
fn is_of_script(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    mode.is_some_and(|mode| mode != "navigate") || headers.contains_key("x-requested-with")
}

fn refuse(door: Door, refusal: &Refusal, headers: &HeaderMap, id: &RequestId) -> Response {
    let (mut response, challenges) = match door {
        Door::Graphql if is_of_script(headers) => (graphql::refuse_caller(refusal, headers, id), &[BEARER][..]),
        Door::Graphql => (graphql::refuse_caller(refusal, headers, id), &[BEARER, BASIC][..]),
        Door::Rest | Door::CommandLine => (rest::refuse_caller(refusal, id), &[BASIC][..]),
    };
    let headers = response.headers_mut();
    match refusal {
        Refusal::Missing(_) | Refusal::Wrong => {
            for challenge in challenges {
                headers.append(WWW_AUTHENTICATE, challenge.clone());
            }
        }
        Refusal::TooMany(wait) | Refusal::IssuerAway(wait) => {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
        Refusal::Busy => {
            headers.insert(RETRY_AFTER, 1.into());
        }
        Refusal::Surprise(_) => {}
    }
    let refused = match refusal {
        Refusal::TooMany(_) => Some(Reason::SignInThrottle),
        Refusal::Busy => Some(Reason::SignInQueue),
        Refusal::Missing(_) | Refusal::Wrong | Refusal::IssuerAway(_) | Refusal::Surprise(_) => None,
    };
    let cause = matches!(refusal, Refusal::IssuerAway(_)).then(|| LogCause::new("the issuer's keys can't be fetched"));
    let report = ErrorReport {
        refused,
        cause,
        ..ErrorReport::default()
    };
    report.add_to(&mut response);
    response
}
