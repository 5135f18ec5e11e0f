//! Answers requests that no route matches, in JSON. The REST API answers those below `/api` itself.

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::RequestId;

/// The answer to unknown paths of the server that has both APIs.
pub const NO_PATH: &str = "There is no such path. GraphQL is at /graphql, the REST API at /api/clients.";

/// The answer to unknown paths of a worker.
pub const NO_PATH_OF_WORKER: &str = "There is no such path. This port has /health/live, /health/ready and /metrics.";

/// Answers unknown paths with this sentence, and methods that a known path doesn't have. Call it with a complete
/// router.
pub fn answer(router: Router, no_path: &'static str) -> Router {
    router
        .fallback(move |request: Request| async move { refuse_path(no_path, &request) })
        .method_not_allowed_fallback(async |request: Request| {
            let message = "This path does not have this method. The Allow header names those it has.";
            refuse(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message, &request)
        })
}

pub(super) async fn unknown_path(request: Request) -> Response {
    refuse_path(NO_PATH, &request)
}

fn refuse_path(message: &str, request: &Request) -> Response {
    refuse(StatusCode::NOT_FOUND, "NOT_FOUND", message, request)
}

fn refuse(status: StatusCode, code: &str, message: &str, request: &Request) -> Response {
    let RequestId(id) = RequestId::of(request);
    let body = json!({ "code": code, "message": message, "requestId": &*id });
    (
        status,
        [(CONTENT_TYPE, "application/json; charset=utf-8")],
        body.to_string(),
    )
        .into_response()
}
