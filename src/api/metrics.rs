//! `/metrics`, for Prometheus and whoever reads its format.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::Utc;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{
    authentication::{Authentication, protect},
    rate_limit::{self, RateLimit},
};
use crate::{Clientele, access::Door};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the doors count, in one process. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct DoorMetrics {
    exceeded: Family<OfLimit, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    limit: &'static str,
    outcome: &'static str,
}

impl DoorMetrics {
    /// A request was over a limit of the GraphQL door: refused, or only observed.
    pub fn limit_exceeded(&self, limit: &'static str, observed: bool) {
        let outcome = if observed { "observed" } else { "refused" };
        self.exceeded.get_or_create(&OfLimit { limit, outcome }).inc();
    }

    /// In the text format of Prometheus, to be followed by other metrics.
    pub(super) fn text(&self) -> String {
        let mut registry = Registry::with_prefix("clientele_graphql");
        let help = "Requests over a limit of the GraphQL door";
        registry.register("limit_exceeded", help, Family::clone(&self.exceeded));
        let mut text = String::new();
        // Writing to a text doesn't fail.
        let _ = encode(&mut text, &registry);
        text.truncate(text.rfind("# EOF").unwrap_or(text.len()));
        text
    }
}

pub fn routes(clientele: Arc<Clientele>, doors: DoorMetrics) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state((clientele, doors))
}

/// The same for callers who sign in, unless it is configured to be for everybody.
pub fn guarded(
    clientele: Arc<Clientele>,
    doors: DoorMetrics,
    authentication: &Authentication,
    limit: Option<&RateLimit>,
) -> Router {
    // Each time it is read, it asks the database.
    let routes = rate_limit::before(routes(clientele.clone(), doors), limit);
    match authentication {
        Authentication::Required(guard) if guard.shows_metrics_to_all() => routes,
        _ => protect(routes, clientele, authentication.clone(), Door::Rest),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a door")]
async fn metrics(State((clientele, doors)): State<(Arc<Clientele>, DoorMetrics)>) -> Response {
    match clientele.metrics(Utc::now()).await {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], doors.text() + &text).into_response(),
        Err(error) => {
            tracing::warn!(error = error.kind(), "metrics could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}
