//! What goes in by HTTP, and the status, headers and code that come out.

mod answering;
mod batch;
mod naming;
mod reading;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use serde_json::Value;
use tower::ServiceExt;

use super::router;
use crate::api::graphql::{settings::GraphqlSettings, toy::door};
use clientele_core::budget::{AnswerSettings, Connections, Means};

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

fn app() -> Router {
    app_with(GraphqlSettings {
        body_bytes: 2000,
        ..GraphqlSettings::default()
    })
}

fn app_with(settings: GraphqlSettings) -> Router {
    router(Arc::new(door(settings)), means(Duration::from_secs(30)), |_, _, _| {
        Ok(())
    })
}

fn means(timeout: Duration) -> Means {
    Means::new(timeout, Connections::ONE, &AnswerSettings::default())
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
