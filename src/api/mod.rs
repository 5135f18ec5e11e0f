//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::{Router, middleware::from_fn_with_state};
use tokio::sync::OwnedSemaphorePermit;

use self::{
    authentication::{Authentication, protect},
    cors::CorsSettings,
    graphql::{persisted::Persisted, settings::GraphqlSettings},
    metrics::DoorMetrics,
    rate_limit::{RateLimit, RateLimitSettings},
    rest::RestSettings,
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

/// A request's place among those under way, in its extensions. Whoever works on when the caller has gone keeps it until that
/// is done: callers that hang up must not be able to start more than the server can do.
#[derive(Clone, Debug, Default)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    pub fn take(&self, permit: OwnedSemaphorePermit) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }

    pub fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub fn is_taken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

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

/// Both doors to these clients.
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
        let router = match &rate_limit {
            Some(limit) => router.route_layer(from_fn_with_state(limit.clone(), rate_limit::admit)),
            None => router,
        };
        protect(router, clientele.clone(), authentication.clone(), door)
    };
    let means = Means::new(clientele.db.request_timeout(), clientele.db.share(), &answers);
    let graphql = graphql::router(clientele.clone(), graphql, persisted, metrics, means.clone());
    let rest = rest::router(clientele.clone(), legacy, means);
    let doors = guard(graphql, Door::Graphql).merge(guard(rest, Door::Rest));
    // Outside: a browser asks before it knows who is calling.
    cors::allow(doors, &cors)
}
