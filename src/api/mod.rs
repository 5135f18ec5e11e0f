//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the
//! answer.

use std::sync::Arc;

use axum::Router;

use self::{
    authentication::{Authentication, Gate, protect},
    cors::CorsSettings,
    metrics::ApiMetrics,
    rate_limit::{RateLimit, RateLimitSettings},
    rest::RestSettings,
};
pub use self::{
    place::{Place, Places, RequestOrigin},
    request_id::RequestId,
};
use clientele_core::budget::{AnswerSettings, Means};
use clientele_domain::{Clientele, caller::Door};
use graphql_server::{persisted::Persisted, settings::GraphqlSettings};

pub mod authentication;
pub mod content_encoding;
pub mod cors;
pub mod graphql;
pub mod health;
pub mod metrics;
pub mod origin;
mod place;
pub mod playground;
pub mod rate_limit;
pub mod refusal;
pub mod report;
mod request_id;
pub mod rest;
pub mod unmatched;

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
    pub metrics: ApiMetrics,
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
    let routes = rest::ROUTES.iter().map(|route| (route.method.clone(), route.path));
    metrics.set_rest_routes(routes);
    let rate_limit = RateLimit::new(&rate_limit);
    let guard = |router: Router, door| {
        // Inside: a bucket is a caller's.
        let router = rate_limit::before(router, rate_limit.as_ref());
        protect(
            router,
            Gate {
                clientele: clientele.clone(),
                authentication: authentication.clone(),
                door,
                metrics: metrics.clone(),
                trusts_last_known: false,
            },
        )
    };
    let measured = metrics::router(clientele.clone(), metrics.clone(), &authentication, rate_limit.as_ref());
    let means = Means::new(clientele.db.request_timeout(), clientele.db.connections(), &answers);
    let graphql = graphql::router(clientele.clone(), graphql, persisted, metrics.clone(), means.clone());
    let rest = rest::router(clientele.clone(), legacy, means);
    let doors = guard(graphql, Door::Graphql).merge(guard(rest, Door::Rest));
    cors::allow(doors, &cors).merge(measured)
}
