//! Serves `/playground`, a GraphQL editor that uses `/graphql` of this server.
//!
//! Its files are part of the program if `playground/dist` was built before the program was compiled. Otherwise the page
//! loads the same files from a CDN and checks their hashes.

use axum::{
    Router,
    extract::{Path, Request},
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use super::unmatched::unknown_path;

/// Names and contents of the built files. Empty when they weren't built.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/playground_files.rs"));
/// Served at `/playground` only, with its Content-Security-Policy.
const PAGE: &str = "index.html";
const PAGE_FROM_CDN: &str = include_str!("../../playground/page/index.html");
const START: &str = include_str!("../../playground/page/start.js");

/// The editor writes style attributes, and its style sheet holds fonts and images as data. Nothing else is allowed.
macro_rules! policy {
    ($elsewhere:literal) => {
        concat!(
            "default-src 'none'; connect-src 'self'; font-src data:; img-src 'self' data:; script-src 'self'",
            $elsewhere,
            "; style-src 'self' 'unsafe-inline'",
            $elsewhere,
            "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
}
const POLICY_OFFLINE: &str = policy!("");
const POLICY_CDN: &str = policy!(" https://cdn.jsdelivr.net/npm/");

/// The routes of `/playground`, its files, and the redirect from `/`.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary("/playground")))
        .route("/playground", get(page))
        .route("/playground/", get(page))
        .route("/playground/assets/{file}", get(asset))
}

/// Returns true when the playground works without the internet.
pub fn is_embedded() -> bool {
    !FILES.is_empty()
}

async fn page() -> Response {
    let (policy, page) = match find(PAGE) {
        Some(page) => (POLICY_OFFLINE, page),
        None => (POLICY_CDN, PAGE_FROM_CDN.as_bytes()),
    };
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, page).into_response()
}

async fn asset(Path(name): Path<String>, request: Request) -> Response {
    // The name of this file has no version: it is part of the program and changes with it.
    if name == "start.js" {
        return file(&name, "no-cache", START.as_bytes());
    }
    match find(&name).filter(|_| name != PAGE) {
        Some(content) => file(&name, "public, max-age=31536000, immutable", content),
        None => unknown_path(request).await,
    }
}

fn find(name: &str) -> Option<&'static [u8]> {
    let (_, content) = FILES.iter().find(|(known, _)| *known == name)?;
    Some(content)
}

fn file(name: &str, cache: &'static str, content: &'static [u8]) -> Response {
    let media_type = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let headers = [
        (CONTENT_TYPE, media_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, cache),
    ];
    (headers, content).into_response()
}
