//! Logs to standard error, with one line for each request, which is measured there, too.
//!
//! A log holds no personal data: a request is known by its route's pattern and its id, never by its path, query or
//! body, its caller by kind and key, never by name, and statements are kept out whatever level is asked for.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::api::RequestId;
use crate::api::metrics::ApiMetrics;
use crate::api::report::{ErrorReport, RequestReport};
use crate::config::{Log, LogFormat};

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: &Log) {
    // Only the tests start twice.
    let _ = subscriber(log, std::io::stderr).try_init();
    crate::server::log_without_messages();
}

/// What becomes of an event: whether it is told at all, and the line that `writer` gets for it.
pub fn subscriber<W>(log: &Log, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => {
            // Colours are for people: in a file or a pipe they are noise.
            Box::new(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(writer),
            )
        }
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(writer)),
    };
    let discreet = filter_fn(|metadata| is_discreet(metadata.target(), *metadata.level()));
    tracing_subscriber::registry()
        .with(lines)
        .with(EnvFilter::new(&log.filter))
        .with(discreet)
}

/// Below a warning, dependencies tell of headers, bodies, statements and their values, whatever the configuration asks
/// for: of those levels only our own crates are heard. sqlx tells of slow statements at any level, and of each broken
/// connection of a pool: the metrics have the waits, and `db::availability` the outages.
fn is_discreet(target: &str, level: Level) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    let ours = ["clientele", "entity", "migration"].contains(&root);
    (ours || level <= Level::WARN)
        && !["sqlx::query", "sqlx::pool", "sqlx_core::pool"]
            .iter()
            .any(|quiet| target.starts_with(quiet))
}

/// Gives every request an id, answers it in `X-Request-Id`, and logs and measures it when the answer's head is ready.
pub fn with_request_lines(router: Router, metrics: ApiMetrics) -> Router {
    router.layer(middleware::from_fn_with_state(metrics, observe))
}

async fn observe(State(metrics): State<ApiMetrics>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let report = RequestReport::default();
    let mut line = Line {
        metrics,
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        id: id.clone(),
        report: report.clone(),
        start: Instant::now(),
        answer: None,
    };
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(report);
    let mut response = next.run(request).await;
    let errors = response.extensions_mut().remove::<ErrorReport>();
    line.answer = Some((response.status(), errors));
    line.id.write(&mut response);
    response
}

/// Logs and measures a request when it is dropped, because a request whose caller hangs up ends without an answer.
struct Line {
    metrics: ApiMetrics,
    method: Method,
    route: Option<MatchedPath>,
    id: RequestId,
    report: RequestReport,
    start: Instant,
    answer: Option<(StatusCode, Option<ErrorReport>)>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        let route = self.route.as_ref().map(MatchedPath::as_str);
        let status = self.answer.as_ref().map(|(status, _)| *status);
        self.metrics
            .request(&self.method, route, &self.report, status, duration);
        if let Some((status, errors)) = &self.answer {
            self.metrics.errors(&self.method, route, *status, errors.as_ref());
        }
        self.write(route.unwrap_or("none"), status, duration);
    }
}

impl Line {
    /// One event: at WARN where the server is at fault, with the cause; at DEBUG for the probes of load balancers.
    fn write(&self, route: &str, status: Option<StatusCode>, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (method, request_id) = (self.method.as_str(), &*self.id.0);
        let (caller, caller_key) = self.report.caller();
        let errors = self.answer.as_ref().and_then(|(_, errors)| errors.as_ref());
        let code = errors.and_then(|errors| errors.codes.first());
        let cause = errors.and_then(|errors| errors.cause.as_ref());
        let cause = cause.map(|cause| &*cause.text);
        let is_failure = cause.is_some() || status.is_some_and(|status| status.is_server_error());
        let status = status.map(|status| status.as_u16());
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    method,
                    route,
                    status,
                    microseconds,
                    request_id,
                    caller,
                    caller_key,
                    code,
                    cause,
                    $message
                )
            };
        }
        if status.is_none() {
            line!(info, "request given up by the caller");
        } else if route.starts_with("/health/") {
            line!(debug, "request");
        } else if is_failure {
            line!(warn, "request");
        } else {
            line!(info, "request");
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::is_discreet;

    #[test]
    fn below_a_warning_only_our_own_crates_are_heard() {
        for (target, level, heard) in [
            ("clientele", Level::TRACE, true),
            ("clientele::notify::lane", Level::TRACE, true),
            ("migration", Level::DEBUG, true),
            ("entity::client", Level::TRACE, true),
            ("clientele_of_another", Level::INFO, false),
            ("sqlx::query", Level::ERROR, false),
            ("sqlx::query", Level::WARN, false),
            ("sqlx::query", Level::TRACE, false),
            ("sqlx::pool::acquire", Level::WARN, false),
            ("sqlx_core::pool", Level::DEBUG, false),
            ("sea_orm::driver::sqlx_sqlite", Level::TRACE, false),
            ("sea_orm::driver::sqlx_sqlite", Level::WARN, true),
            ("sea_orm_migration::migrator", Level::INFO, false),
            ("hyper::proto::h1", Level::TRACE, false),
            ("h2::codec::framed_read", Level::DEBUG, false),
            ("rustls::server::hs", Level::INFO, false),
            ("lettre::transport::smtp", Level::DEBUG, false),
            ("reqwest::connect", Level::ERROR, true),
            ("log", Level::INFO, false),
            ("", Level::INFO, false),
        ] {
            assert_eq!(is_discreet(target, level), heard, "{target} {level}");
        }
    }
}
