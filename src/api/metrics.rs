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

use super::authentication::{Authentication, protect};
use crate::{Clientele, access::Door};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn routes(clientele: Arc<Clientele>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(clientele)
}

/// The same for callers who sign in, unless it is configured to be for everybody.
pub fn guarded(clientele: Arc<Clientele>, authentication: Authentication) -> Router {
    let routes = routes(clientele.clone());
    match &authentication {
        Authentication::Required(guard) if guard.shows_metrics_to_all() => routes,
        _ => protect(routes, clientele, authentication, Door::Rest),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a door")]
async fn metrics(State(clientele): State<Arc<Clientele>>) -> Response {
    match clientele.metrics(Utc::now()).await {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::warn!(error = error.kind(), "metrics could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}
