//! Refuses requests that pages of other sites could send with the rights of the person who looks at the page.

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
pub use http_server::origin::is_foreign;
use http_server::origin::is_local;
use serde_json::json;

/// Accepts only requests that name this machine by a loopback name, for a server without authentication.
pub async fn only_local(request: Request, next: Next) -> Response {
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    let source = "With --no-auth this server answers to localhost, 127.0.0.1 and [::1] only.";
    let refusal = json!({ "returnCode": 15, "returnStatus": "INVALID_PERMISSIONS", "errorSource": source });
    let content_type = (header::CONTENT_TYPE, "application/json; charset=utf-8");
    (StatusCode::FORBIDDEN, [content_type], refusal.to_string()).into_response()
}
