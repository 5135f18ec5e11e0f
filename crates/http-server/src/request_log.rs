//! Gives every request an id and a span, and logs and reports it when its response headers are ready.
//!
//! A log holds no personal data of clients: a request is known by its route's pattern and its id, never by its path,
//! query or body, and its caller by kind, key and network address, never by name.

use std::time::Instant;

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode, Version},
    response::Response,
};
use clientele_core::trace::{self, ActiveSpan, SpanContext, TraceId};
use tracing::field::display;

use crate::{
    application::{Application, EndedRequest},
    proxy::PeerAddress,
    report::{ErrorReport, Operation, RequestReport},
    request_id::RequestId,
    request_span::{self, RequestedTrace},
};

/// A request from its head to that of its response.
pub struct Observed<A: Application> {
    line: Line<A>,
    context: Option<SpanContext>,
}

impl<A: Application> Observed<A> {
    /// Puts the id and the report of a request into its extensions, and starts its span.
    pub fn begin(application: A, request: &mut Request) -> Self {
        let id = RequestId::of(request);
        let report = RequestReport::default();
        let caller = request_span::of_caller(request.headers());
        let route = request.extensions().get::<MatchedPath>().cloned();
        let span = match request_span::is_traced(route.as_ref().map(MatchedPath::as_str)) {
            true => trace::start_untrusted(caller),
            false => None,
        };
        let context = span.as_ref().map(ActiveSpan::context);
        let requested = RequestedTrace::new(caller, context);
        let line = Line {
            application,
            method: request.method().clone(),
            version: request.version(),
            route,
            address: request.extensions().get().copied(),
            id: id.clone(),
            report: report.clone(),
            trace: context.or(caller).map(|context| context.trace),
            span,
            asks_for_trace: requested.is_some(),
            start: Instant::now(),
            response: None,
        };
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(report);
        if let Some(requested) = requested {
            request.extensions_mut().insert(requested);
        }
        Self { line, context }
    }

    /// The span's context. None if the request has no span.
    pub const fn context(&self) -> Option<SpanContext> {
        self.context
    }

    /// Adds the id of the request to its response, and logs and reports both.
    pub fn end(mut self, mut response: Response) -> Response {
        let errors = response.extensions_mut().remove::<ErrorReport>();
        self.line.response = Some(Responded {
            status: response.status(),
            bytes: response.body().size_hint().exact(),
            errors,
        });
        self.line.id.write(&mut response);
        response
    }
}

struct Responded {
    status: StatusCode,
    /// The length of the body, if it is known at its beginning.
    bytes: Option<u64>,
    errors: Option<ErrorReport>,
}

/// Logs and reports a request when it is dropped, because a request whose caller hangs up ends without a response.
struct Line<A: Application> {
    application: A,
    method: Method,
    version: Version,
    route: Option<MatchedPath>,
    /// None for a request without a connection.
    address: Option<PeerAddress>,
    id: RequestId,
    report: RequestReport,
    /// The caller's trace, or the one that starts here.
    trace: Option<TraceId>,
    span: Option<ActiveSpan<'static>>,
    /// The caller asks for a recorded trace.
    asks_for_trace: bool,
    start: Instant,
    response: Option<Responded>,
}

impl<A: Application> Drop for Line<A> {
    /// Logs one event: at WARN where the server is at fault, with the cause; at DEBUG for the probes of load balancers.
    fn drop(&mut self) {
        let response = self.response.take();
        let status = response.as_ref().map(|response| response.status);
        let request = EndedRequest {
            method: &self.method,
            route: self.route.as_ref().map(MatchedPath::as_str),
            report: &self.report,
            status,
            errors: response.as_ref().and_then(|response| response.errors.as_ref()),
            duration: self.start.elapsed(),
        };
        self.application.ended(&request);
        let response_bytes = response.as_ref().and_then(|response| response.bytes);
        let mut span = self.span.take();
        let is_authenticated = self.report.caller().0.is_some();
        if let Some(span) = span.as_mut().filter(|_| self.asks_for_trace && is_authenticated) {
            span.sample();
        }
        trace::within_sync(span.as_ref().map(ActiveSpan::context), || {
            self.log(&request, response_bytes)
        });
        if let Some(span) = span {
            let details = || request_span::details::<A>(&request, self.version, &self.id, response_bytes);
            span.end_after(request.duration, details);
        }
    }
}

impl<A: Application> Line<A> {
    fn log(&self, request: &EndedRequest<'_>, response_bytes: Option<u64>) {
        let microseconds = u64::try_from(request.duration.as_micros()).unwrap_or(u64::MAX);
        let (method, request_id) = (self.method.as_str(), &*self.id.0);
        let route = request.route.unwrap_or("none");
        let (operation, operation_name) = (
            self.report.operation().map(Operation::as_str),
            self.report.operation_name(),
        );
        let (caller, caller_key) = self.report.caller();
        let address = self.address.map(|address| display(address.0));
        let request_bytes = self.report.received_bytes();
        let trace_id = self.trace.map(display);
        let code = request.code();
        let cause = request.cause();
        let status = request.status.map(|status| status.as_u16());
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    method,
                    route,
                    operation,
                    operation_name,
                    status,
                    microseconds,
                    request_bytes,
                    response_bytes,
                    request_id,
                    trace_id,
                    caller,
                    caller_key,
                    address,
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
        } else if request.is_failure() {
            line!(warn, "request");
        } else {
            line!(info, "request");
        }
    }
}
