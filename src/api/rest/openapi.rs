//! The description of this API: as an OpenAPI 3.1 document, and as a page to read.
//!
//! Both are generated from the table of routes, whose lines don't compile without a description, and from the members
//! and return codes below, which tests compare with the code that reads and writes them. Annotations of types, as
//! utoipa has them, would describe other types than those at work: this API reads and writes JSON member by member.

mod document;
mod json;
mod meanings;
mod objects;
mod operation;
pub mod operations;
mod page;
mod schema;

use std::sync::LazyLock;

use axum::{
    Router,
    http::{
        HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use super::{
    MaybeRequestId, ROUTES,
    errors::{RestError, codes},
};
pub use operation::Operation;

pub const DOCUMENT_PATH: &str = "/api/openapi.json";
pub const PAGE_PATH: &str = "/api/docs";

/// A route with its description.
struct Described {
    method: Method,
    path: &'static str,
    operation: &'static Operation,
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&document::document(&described()));
    format!("{}\n", text.unwrap_or_default())
});
static PAGE: LazyLock<String> = LazyLock::new(|| page::page(&described()));
/// The page has one style sheet, in itself, and nothing else that a browser would load or run.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        page::style_hash()
    );
    HeaderValue::from_maybe_shared(policy).ok()
});

fn described() -> Vec<Described> {
    let routes = ROUTES.iter().map(|route| Described {
        method: route.method.clone(),
        path: route.path,
        operation: route.operation,
    });
    routes.collect()
}

/// The document as JSON.
pub fn document() -> &'static str {
    &DOCUMENT
}

/// The page as HTML. It needs no other file.
pub fn page() -> &'static str {
    &PAGE
}

/// The routes of the document and the page. They show nothing that is stored and are the same in every installation, so
/// they need no credentials, like the documentation of the playground.
pub fn router() -> Router {
    Router::new()
        .route(
            DOCUMENT_PATH,
            get(async || answer("application/json; charset=utf-8", document())),
        )
        .route(
            PAGE_PATH,
            get(async || {
                let mut response = answer("text/html; charset=utf-8", page());
                if let Some(policy) = POLICY.clone() {
                    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
                }
                response
            }),
        )
        // The links of the page are relative.
        .route(&format!("{PAGE_PATH}/"), get(async || Redirect::temporary(PAGE_PATH)))
        .method_not_allowed_fallback(wrong_method)
}

/// Answers with a text that can change with the version of the program, so caches must check it at each use.
fn answer(media_type: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")];
    (StatusCode::OK, headers, text).into_response()
}

async fn wrong_method(request_id: MaybeRequestId) -> Response {
    RestError::new(codes::METHOD_NOT_IMPLEMENTED, "This route takes GET.").into_response(request_id.as_deref())
}
