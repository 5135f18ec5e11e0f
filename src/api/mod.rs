//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state};

use self::{
    authentication::{Authentication, authenticate},
    graphql::limits::Limits,
    rate_limit::{RateLimit, RateLimitSettings},
    rest::RestSettings,
};
use crate::{Clientele, access::Door};

pub mod authentication;
pub mod graphql;
pub mod health;
pub mod metrics;
pub mod origin;
pub mod playground;
pub mod rate_limit;
pub mod refusal;
pub mod rest;

/// The name of one request in answers and logs. A layer outside puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// A fresh one: a UUIDv7, so that log lines sort by time.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }
}

/// Where a request came from, in the extensions of every request that came over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub std::net::IpAddr);

/// How the doors are configured.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub graphql: Limits,
    pub legacy: RestSettings,
    pub authentication: Authentication,
    pub rate_limit: RateLimitSettings,
}

/// Both doors to these clients.
pub fn router(clientele: Arc<Clientele>, settings: Settings) -> Router {
    let Settings {
        graphql,
        legacy,
        authentication,
        rate_limit,
    } = settings;
    let rate_limit = RateLimit::new(&rate_limit);
    let guard = |router: Router, door| {
        let router = match &rate_limit {
            Some(limit) => router.layer(from_fn_with_state(limit.clone(), rate_limit::admit)),
            None => router,
        };
        router.layer(from_fn_with_state((authentication, door), authenticate))
    };
    let graphql = graphql::router(clientele.clone(), graphql);
    guard(graphql, Door::Graphql).merge(guard(rest::router(clientele, legacy), Door::Rest))
}
