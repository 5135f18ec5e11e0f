//! The interface between the server and the application behind it.

use std::{fmt, time::Duration};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};

use crate::{
    permit::RequestPermits,
    report::{ErrorReport, LogCause, Reason, RequestReport},
    request_id::RequestId,
};

/// The decisions that the server leaves to the application, and the events that it reports to it. Clones share their
/// state.
///
/// `()` is the application that refuses requests with a line of text and counts nothing.
pub trait Application: Clone + fmt::Debug + Send + Sync + 'static {
    /// The format of refusals that a caller understands, such as the API of a path and a media type.
    type Form: Copy + PartialEq + fmt::Debug + Send + Sync + 'static;

    /// All forms. An overloaded server refuses requests of these forms with responses that are written beforehand.
    const FORMS: &'static [Self::Form];

    /// The attributes of a request's span that hold the kind and the name of its operation.
    const OPERATION_ATTRIBUTES: [&'static str; 2] = ["operation.type", "operation.name"];

    /// The form for a request with this path and these headers.
    fn form(path: &str, headers: &HeaderMap) -> Self::Form;

    /// Writes a refusal. The server then adds `Retry-After` and `X-Request-Id`. An [`ErrorReport`] in the extensions of
    /// the response passes the error codes to the log and the metrics.
    fn refusal(form: Self::Form, refusal: Refusal, id: &RequestId) -> Response;

    /// The header that holds the credentials of a request. Requests with credentials that were accepted before are
    /// charged to their caller instead of their network, see [`RequestPermit::charge`](crate::RequestPermit::charge).
    fn credentials(headers: &HeaderMap) -> Option<(&HeaderName, &HeaderValue)> {
        Some((&AUTHORIZATION, headers.get(AUTHORIZATION)?))
    }

    /// Returns true for paths that answer with pages for browsers, which have a `Content-Security-Policy` of their own.
    fn is_page(_path: &str) -> bool {
        false
    }

    /// The server starts. Clones of `requests` show how many requests are in progress and waiting.
    fn started(&self, _requests: &RequestPermits) {}

    /// A request has ended.
    fn ended(&self, _request: &EndedRequest<'_>) {}

    /// A request was refused before it was routed.
    fn refused_early(&self, _form: Self::Form, _report: &ErrorReport) {}

    /// A connection, or a request that was not parsed, was refused.
    fn refused(&self, _reason: Reason) {}
}

/// The reason why the application has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body did not arrive in time.
    BodyTimeout,
    /// The server has as many requests as it can answer.
    Overload,
    /// The caller sends requests too fast.
    RateLimit { retry_after_seconds: u64 },
    /// The application panicked.
    Panic,
}

impl Refusal {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::RateLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) const fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::Overload => Some(1),
            Self::RateLimit { retry_after_seconds } => Some(retry_after_seconds),
            Self::BodyTimeout | Self::Panic => None,
        }
    }

    /// The entry for the log and the metrics, without the code, which depends on the form of the response.
    pub(crate) fn report(self) -> ErrorReport {
        let (refused, cause) = match self {
            Self::BodyTimeout => (Some(Reason::BodyTimeout), None),
            Self::Overload => (Some(Reason::Overload), Some(LogCause::new("overload"))),
            Self::RateLimit { .. } => (Some(Reason::RateLimit), None),
            Self::Panic => (None, Some(LogCause::new("panic"))),
        };
        ErrorReport {
            codes: Vec::new(),
            cause,
            refused,
        }
    }
}

/// A request that was answered, or abandoned by its caller.
#[derive(Clone, Copy, Debug)]
pub struct EndedRequest<'a> {
    pub method: &'a Method,
    /// The pattern of the route, without values of the path.
    pub route: Option<&'a str>,
    pub report: &'a RequestReport,
    /// None when the caller went away before there was a response.
    pub status: Option<StatusCode>,
    pub errors: Option<&'a ErrorReport>,
    pub duration: Duration,
}

impl<'a> EndedRequest<'a> {
    /// The code of the first error.
    pub(crate) fn code(&self) -> Option<&'static str> {
        self.errors.and_then(|errors| errors.codes.first()).copied()
    }

    /// The fault of the server.
    pub(crate) fn cause(&self) -> Option<&'a str> {
        let cause = self.errors.and_then(|errors| errors.cause.as_ref());
        cause.map(|cause| &*cause.text)
    }

    /// Returns true when the server is at fault.
    pub(crate) fn is_failure(&self) -> bool {
        self.cause().is_some() || self.status.is_some_and(|status| status.is_server_error())
    }
}

impl Application for () {
    type Form = ();

    const FORMS: &'static [()] = &[()];

    fn form(_path: &str, _headers: &HeaderMap) {}

    fn refusal((): (), refusal: Refusal, _id: &RequestId) -> Response {
        let status = refusal.status();
        (status, format!("{}\n", status.canonical_reason().unwrap_or_default())).into_response()
    }
}
