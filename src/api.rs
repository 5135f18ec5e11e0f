//! The GraphQL and REST APIs. Each translates requests into the domain's types, calls one function of the domain and
//! writes the response.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use self::{
    authentication::{Authentication, Gate, SignIn, caller_flow, protect},
    cors::CorsSettings,
    metrics::ApiMetrics,
    rate_limit::{RateLimit, RateLimitSettings},
    rest::RestSettings,
};
pub use http_server::{
    PeerAddress, RequestId, RequestOrigin, RequestPermit, RequestPermits, RequestedTrace, content_encoding, rate_limit,
};

use crate::services::Services;
use clientele_core::budget::{AnswerSettings, BudgetPool};
use clientele_domain::caller::Api;
use graphql_server::{persisted::Persisted, settings::GraphqlSettings};

pub mod authentication;
pub mod cors;
pub mod graphql;
pub mod health;
pub mod metrics;
pub mod origin;
pub mod playground;
pub mod refusal;
pub mod rest;
pub mod unmatched;

pub mod report {
    //! The report of a request and of its errors to the log and the metrics.

    pub use http_server::report::{ErrorReport, LogCause, Operation as GraphqlOperation, Reason, RequestReport};
}

/// Settings of the APIs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub answers: AnswerSettings,
    pub graphql: GraphqlSettings,
    /// Documents that callers can refer to instead of sending them.
    pub persisted: Persisted,
    pub cors: CorsSettings,
    pub metrics: ApiMetrics,
    pub legacy: RestSettings,
    pub authentication: Authentication,
    pub rate_limit: RateLimitSettings,
    /// True once the server stops. None if it never does.
    pub stop: Option<watch::Receiver<bool>>,
}

/// The routes of both APIs, of the description of the REST API, and of `/metrics`.
pub fn router(services: &Services, settings: Settings) -> Router {
    let Settings {
        answers,
        graphql,
        persisted,
        cors,
        metrics,
        legacy,
        authentication,
        rate_limit,
        stop,
    } = settings;
    let routes = rest::ROUTES.iter().map(|route| (route.method.clone(), route.path));
    metrics.set_rest_routes(routes);
    let rate_limit = RateLimit::new(&rate_limit, caller_flow);
    let accounts = Arc::new(services.accounts.clone());
    let guard = |router: Router, api| {
        // Inside of authentication, because a bucket belongs to a caller.
        let router = rate_limit::before::<ApiMetrics>(router, rate_limit.as_ref());
        protect(
            router,
            Gate {
                accounts: accounts.clone(),
                authentication: authentication.clone(),
                api,
                metrics: metrics.clone(),
                trusts_last_known: false,
            },
        )
    };
    let measured = metrics::router(services, metrics.clone(), &authentication, rate_limit.as_ref());
    let budgets = BudgetPool::new(services.db.request_timeout(), services.db.connections(), &answers);
    let sign_in = SignIn::new(&accounts, &authentication, &metrics);
    let graphql = graphql::router(
        services,
        graphql,
        persisted,
        metrics.clone(),
        sign_in,
        budgets.clone(),
        stop,
    );
    let rest = rest::router(services, legacy, budgets);
    let apis = guard(graphql, Api::Graphql).merge(guard(rest, Api::Rest));
    http_server::origin::allow(apis, cors.origins())
        .merge(rest::openapi::router())
        .merge(measured)
}
