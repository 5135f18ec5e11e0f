//! Logs to standard error, and the one line each request leaves there.
//!
//! A log holds no personal data: a request is known by its route's pattern and its id, never by its path, query or body, and
//! statements are kept out whatever level is asked for.

mod request_id;

use std::io::IsTerminal;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::api::RequestId;
use crate::config::{Log, LogFormat};

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: &Log) {
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => {
            // Colours are for people: in a file or a pipe they are noise.
            Box::new(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
        }
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)),
    };
    let discreet = filter_fn(|metadata| !shows_statements(metadata.target(), *metadata.level()));
    let level = EnvFilter::new(&log.filter);
    // Only the tests start twice.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(level)
        .with(discreet)
        .try_init();
    crate::server::log_without_messages();
}

/// The database libraries tell of statements, their values and even the password, below the level of a warning; sqlx tells
/// of slow statements at any level.
fn shows_statements(target: &str, level: tracing::Level) -> bool {
    target.starts_with("sqlx::query")
        || (level > tracing::Level::WARN && (target.starts_with("sqlx") || target.starts_with("sea_orm::")))
}

/// Gives every request an id, answers it in `X-Request-Id`, and logs one line when the answer's head is ready.
pub fn with_request_lines(router: Router) -> Router {
    router.layer(middleware::from_fn(observe))
}

async fn observe(mut request: Request, next: Next) -> Response {
    let header = request.headers().get(request_id::HEADER);
    let id = header
        .and_then(request_id::from_caller)
        .unwrap_or_else(RequestId::generate);
    let mut line = Line {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        id: id.clone(),
        start: Instant::now(),
        status: None,
    };
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    line.status = Some(response.status().as_u16());
    if let Ok(value) = HeaderValue::from_str(&line.id.0) {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    response
}

/// The line is written when this goes away, because a request whose caller hangs up ends without an answer.
struct Line {
    method: Method,
    route: Option<MatchedPath>,
    id: RequestId,
    start: Instant,
    status: Option<u16>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let microseconds = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (method, request_id) = (self.method.as_str(), &*self.id.0);
        match self.status {
            Some(status) => tracing::info!(method, route, status, microseconds, request_id, "request"),
            None => tracing::info!(
                method,
                route,
                microseconds,
                request_id,
                "request given up by the caller"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::shows_statements;

    #[test]
    fn statements_stay_out_of_the_log_at_every_level() {
        for (target, level, hidden) in [
            ("sqlx::query", Level::WARN, true),
            ("sqlx::query", Level::TRACE, true),
            ("sqlx::pool::acquire", Level::WARN, false),
            ("sqlx_core::pool", Level::DEBUG, true),
            ("sea_orm::driver::sqlx_sqlite", Level::TRACE, true),
            ("sea_orm::driver::sqlx_sqlite", Level::WARN, false),
            ("sea_orm_migration::migrator", Level::INFO, false),
            ("clientele", Level::TRACE, false),
        ] {
            assert_eq!(shows_statements(target, level), hidden, "{target} {level}");
        }
    }
}
