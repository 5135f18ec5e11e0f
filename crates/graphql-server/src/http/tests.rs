//! Requests over HTTP, and the status, headers and code of their answers.

mod answering;
mod batch;
mod naming;
mod reading;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    routing::any,
};
use serde_json::Value;
use tower::ServiceExt;

use super::handle;
use crate::{
    context::RequestContext,
    settings::GraphqlSettings,
    tests::{AUTHENTICATED, server},
};
use clientele_core::budget::{AnswerSettings, BudgetPool, Connections};

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

fn app() -> Router {
    app_with(GraphqlSettings {
        body_bytes: 2000,
        ..GraphqlSettings::default()
    })
}

fn app_with(settings: GraphqlSettings) -> Router {
    app_within(settings, Duration::from_secs(30))
}

fn app_within(settings: GraphqlSettings, timeout: Duration) -> Router {
    router(settings, timeout, |_| AUTHENTICATED)
}

/// A server whose requests have the context that `context` makes of them.
fn router<C: RequestContext>(
    settings: GraphqlSettings,
    timeout: Duration,
    context: impl Fn(&Request<Body>) -> C + Clone + Send + Sync + 'static,
) -> Router {
    let (server, budgets) = (Arc::new(server(settings)), budgets(timeout));
    let answer = async move |request: Request<Body>| {
        let context = context(&request);
        handle(server, &budgets, context, request).await
    };
    Router::new().route("/graphql", any(answer))
}

fn budgets(timeout: Duration) -> BudgetPool {
    BudgetPool::new(timeout, Connections::ONE, &AnswerSettings::default())
}

async fn send(request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    send_to(&app(), request).await
}

async fn send_to(app: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
}

fn post(accept: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/graphql")
        .header("accept", accept)
        .header("content-type", OLD)
        .body(body.into())
        .unwrap()
}

fn get(query: &str) -> Request<Body> {
    Request::get(format!("/graphql?{query}")).body(Body::empty()).unwrap()
}

fn code(body: &Value) -> &str {
    assert!(
        body.get("data").is_none_or(Value::is_null) || body["data"].is_object(),
        "{body}"
    );
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}
