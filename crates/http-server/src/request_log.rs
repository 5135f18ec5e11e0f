//! Gives every request an id, and logs and reports it when the head of its response is ready.
//!
//! A log holds no personal data: a request is known by its route's pattern and its id, never by its path, query or
//! body, and its caller by kind and key, never by name.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};

use crate::{
    application::{Application, EndedRequest},
    report::{ErrorReport, RequestReport},
    request_id::RequestId,
};

pub async fn observe<A: Application>(State(application): State<A>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let report = RequestReport::default();
    let mut line = Line {
        application,
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        id: id.clone(),
        report: report.clone(),
        start: Instant::now(),
        response: None,
    };
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(report);
    let mut response = next.run(request).await;
    let errors = response.extensions_mut().remove::<ErrorReport>();
    line.response = Some((response.status(), errors));
    line.id.write(&mut response);
    response
}

/// Logs and reports a request when it is dropped, because a request whose caller hangs up ends without a response.
struct Line<A: Application> {
    application: A,
    method: Method,
    route: Option<MatchedPath>,
    id: RequestId,
    report: RequestReport,
    start: Instant,
    response: Option<(StatusCode, Option<ErrorReport>)>,
}

impl<A: Application> Drop for Line<A> {
    /// Logs one event: at WARN where the server is at fault, with the cause; at DEBUG for the probes of load balancers.
    fn drop(&mut self) {
        let (status, errors) = self.response.take().unzip();
        let errors = errors.flatten();
        let request = EndedRequest {
            method: &self.method,
            route: self.route.as_ref().map(MatchedPath::as_str),
            report: &self.report,
            status,
            errors: errors.as_ref(),
            duration: self.start.elapsed(),
        };
        self.application.ended(&request);
        let microseconds = u64::try_from(request.duration.as_micros()).unwrap_or(u64::MAX);
        let (method, request_id) = (self.method.as_str(), &*self.id.0);
        let route = request.route.unwrap_or("none");
        let (caller, caller_key) = self.report.caller();
        let code = request.errors.and_then(|errors| errors.codes.first());
        let cause = request.errors.and_then(|errors| errors.cause.as_ref());
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
