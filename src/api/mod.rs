//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

use std::sync::{Arc, OnceLock};

use axum::Router;

use self::{
    authentication::{Authentication, protect},
    cors::CorsSettings,
    graphql::{persisted::Persisted, settings::GraphqlSettings},
    metrics::DoorMetrics,
    rate_limit::{RateLimit, RateLimitSettings},
    rest::RestSettings,
};
pub use self::{
    place::{Place, Places},
    request_id::RequestId,
};
use crate::{
    Clientele,
    access::{Caller, CallerKind, Door},
    allowance::{AnswerSettings, Means},
};

pub mod authentication;
pub mod cors;
pub mod graphql;
pub mod health;
pub mod metrics;
pub mod origin;
mod place;
pub mod playground;
pub mod rate_limit;
pub mod refusal;
mod request_id;
pub mod rest;

/// Where the door tells a layer outside who is calling, for the log: empty until then.
#[derive(Debug, Clone, Default)]
pub struct Who(Arc<OnceLock<(CallerKind, Arc<str>)>>);

impl Who {
    pub(crate) fn is(&self, caller: &Caller) {
        let _ = self.0.set((caller.kind, caller.id.clone()));
    }

    /// The kind of the caller, and the key of a user or token of ours. Their names are personal data, and so may be what an
    /// issuer calls its subjects.
    pub(crate) fn told(&self) -> (Option<&'static str>, Option<&str>) {
        let who = self.0.get();
        let key = who.filter(|(kind, _)| matches!(kind, CallerKind::User | CallerKind::Token));
        (who.map(|(kind, _)| kind.as_str()), key.map(|(_, key)| &**key))
    }
}

/// Where a request came from, in the extensions of every request that came over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub std::net::IpAddr);

/// How the doors are configured.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub answers: AnswerSettings,
    pub graphql: GraphqlSettings,
    /// Documents that callers may name instead of sending them.
    pub persisted: Persisted,
    pub cors: CorsSettings,
    pub metrics: DoorMetrics,
    pub legacy: RestSettings,
    pub authentication: Authentication,
    pub rate_limit: RateLimitSettings,
}

/// Both doors to these clients, and what they count.
pub fn router(clientele: Arc<Clientele>, settings: Settings) -> Router {
    let Settings {
        answers,
        graphql,
        persisted,
        cors,
        metrics,
        legacy,
        authentication,
        rate_limit,
    } = settings;
    let rate_limit = RateLimit::new(&rate_limit);
    let guard = |router: Router, door| {
        // Inside: a bucket is a caller's.
        let router = rate_limit::before(router, rate_limit.as_ref());
        protect(router, clientele.clone(), authentication.clone(), door)
    };
    let counted = metrics::guarded(clientele.clone(), metrics.clone(), &authentication, rate_limit.as_ref());
    let means = Means::new(clientele.db.request_timeout(), clientele.db.connections(), &answers);
    let graphql = graphql::router(clientele.clone(), graphql, persisted, metrics, means.clone());
    let rest = rest::router(clientele.clone(), legacy, means);
    let doors = guard(graphql, Door::Graphql).merge(guard(rest, Door::Rest));
    cors::allow(doors, &cors).merge(counted)
}
