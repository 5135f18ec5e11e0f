//! The span of a request: its parent from the header `traceparent`, and its attributes by OpenTelemetry's semantic
//! conventions for HTTP.
//!
//! The header `tracestate` is ignored: callers choose its text freely.

use axum::http::{HeaderMap, Method, Version};
use clientele_core::trace::{Details, SpanContext, SpanKind, TRACEPARENT};

use crate::{
    application::{Application, EndedRequest},
    report::Operation,
    request_id::RequestId,
};

/// The span of the caller. None without one valid header.
pub fn of_caller(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    match (given.next(), given.next()) {
        (Some(header), None) => SpanContext::parse(header.as_bytes()),
        _ => None,
    }
}

/// A trace that the caller asks to be recorded. In the extensions of a request; it applies once the caller is
/// authenticated, because anonymous callers must not cause exports.
#[derive(Clone, Copy, Debug)]
pub struct RequestedTrace(SpanContext);

impl RequestedTrace {
    /// None unless the caller asks for it.
    pub(crate) fn new(caller: Option<SpanContext>, span: Option<SpanContext>) -> Option<Self> {
        let is_sampled = caller?.is_sampled;
        is_sampled.then_some(Self(SpanContext { is_sampled, ..span? }))
    }

    /// The context for the work for an authenticated caller.
    pub fn context(self) -> SpanContext {
        self.0
    }
}

/// Returns false for probes and scrapes, which are frequent and come from unauthenticated callers.
pub fn is_traced(route: Option<&str>) -> bool {
    route.is_none_or(|route| !route.starts_with("/health/") && route != "/metrics")
}

/// The span of a request that has ended.
pub fn details<A: Application>(
    request: &EndedRequest<'_>,
    version: Version,
    id: &RequestId,
    response_bytes: Option<u64>,
) -> Details {
    let method = method_name(request.method);
    let name = match request.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let report = request.report;
    let mut attributes = vec![
        ("http.request.method", method.into()),
        ("network.protocol.version", protocol(version).into()),
        ("http.request.body.size", report.received_bytes().into()),
        ("request.id", id.0.to_string().into()),
    ];
    attributes.extend(request.route.map(|route| ("http.route", route.to_owned().into())));
    attributes.extend(
        request
            .status
            .map(|status| ("http.response.status_code", status.as_u16().into())),
    );
    attributes.extend(response_bytes.map(|bytes| ("http.response.body.size", bytes.into())));
    attributes.extend(report.caller().0.map(|kind| ("caller.kind", kind.into())));
    let [operation, operation_name] = A::OPERATION_ATTRIBUTES;
    attributes.extend(
        report
            .operation()
            .map(|kind| (operation, Operation::as_str(kind).into())),
    );
    let given = report.operation_name();
    attributes.extend(given.map(|given| (operation_name, given.to_owned().into())));
    attributes.extend(request.code().map(|code| ("error.type", code.into())));
    Details {
        name: name.into(),
        kind: SpanKind::Server,
        attributes,
        is_failed: request.is_failure(),
    }
}

/// The name of a known method: callers can invent others.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("_OTHER")
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_11 => "1.1",
        _ => "1.0",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{is_traced, of_caller};
    use crate::tests::fuzzing::traceparent;

    #[test]
    fn only_one_valid_header_names_the_caller() {
        let one = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";
        for (given, is_valid) in [
            (&[][..], false),
            (&[one], true),
            (&[one, one], false),
            (&[one, other], false),
            (&["00-trevor-linden-01"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for header in given {
                headers.append("traceparent", HeaderValue::from_static(header));
            }
            assert_eq!(of_caller(&headers).is_some(), is_valid, "{given:?}");
        }
    }

    #[test]
    fn probes_and_scrapes_have_no_span() {
        for (route, has_span) in [
            (Some("/health/live"), false),
            (Some("/health/ready"), false),
            (Some("/metrics"), false),
            (Some("/graphql"), true),
            (Some("/api/clients/{id}"), true),
            (None, true),
        ] {
            assert_eq!(is_traced(route), has_span, "{route:?}");
        }
    }

    proptest! {
        #[test]
        fn header_of_a_span_is_read_as_it_is_written(
            header in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,9})?",
            other in "[0-9a-fA-F-]{50,60}",
        ) {
            traceparent(header.as_bytes());
            traceparent(other.as_bytes());
        }
    }
}
