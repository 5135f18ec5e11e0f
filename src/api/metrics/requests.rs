//! Metrics of requests and sign-ins: their number, duration and outcome by kind.
//!
//! Labels have values of closed sets, which callers can't extend.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use axum::http::{Method, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::gauge;
use clientele_core::{
    histogram::{Buckets, Histogram},
    problem::Problem,
};
use http_server::{
    EndedRequest, RequestPermits,
    report::{ErrorReport, Operation as RequestOperation, Reason},
};

const SECONDS: Buckets = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Other statuses are counted as 0.
const STATUSES: [u16; 19] = [
    0, 200, 307, 400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 429, 431, 500, 503, 504,
];

/// The method of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    None,
    Password,
    Token,
    IssuedToken,
    AccessToken,
    RefreshToken,
}

/// The labels of the methods, in their order.
const SIGN_IN_METHODS: [&str; 6] = [
    "none",
    "password",
    "token",
    "issued_token",
    "access_token",
    "refresh_token",
];

/// The result of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    Success,
    Missing,
    Wrong,
    Throttled,
    Busy,
    Failed,
}

/// The labels of the outcomes, in their order.
const SIGN_IN_OUTCOMES: [&str; 6] = ["success", "missing", "wrong", "throttled", "busy", "failed"];

/// Names and values.
type Labels<const N: usize, V = &'static str> = [(&'static str, V); N];

/// The metrics of the server and its APIs. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ApiMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    operations: OnceLock<Operations>,
    requests: Family<Labels<3, String>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<2>, Counter>,
    user_errors: Family<Labels<1>, Counter>,
    refusals: Family<Labels<1>, Counter>,
    refused: [Counter; Reason::ALL.len()],
    sign_ins: Family<Labels<2>, Counter>,
    signed_in: [[Counter; SIGN_IN_OUTCOMES.len()]; SIGN_IN_METHODS.len()],
    exceeded: Family<Labels<2>, Counter>,
    permits: OnceLock<RequestPermits>,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        let refusals = Family::<Labels<1>, Counter>::default();
        let sign_ins = Family::<Labels<2>, Counter>::default();
        Self(Arc::new(Inner {
            requests: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            operations: OnceLock::new(),
            errors: Family::default(),
            user_errors: Family::default(),
            refused: std::array::from_fn(|index| {
                refusals.get_or_create_owned(&[("reason", Reason::ALL[index].into())])
            }),
            refusals,
            signed_in: SIGN_IN_METHODS.map(|method| {
                SIGN_IN_OUTCOMES
                    .map(|outcome| sign_ins.get_or_create_owned(&[("method", method), ("outcome", outcome)]))
            }),
            sign_ins,
            exceeded: Family::default(),
            permits: OnceLock::new(),
        }))
    }
}

impl ApiMetrics {
    /// Names the routes of the REST API, whose requests are counted by route. Must be called before the first request.
    pub(in crate::api) fn set_rest_routes(&self, routes: impl IntoIterator<Item = (Method, &'static str)>) {
        let _ = self.0.operations.set(Operations::new(routes));
    }

    fn operations(&self) -> &Operations {
        self.0.operations.get_or_init(|| Operations::new([]))
    }

    /// Counts a request that has ended, and its errors.
    pub fn request(&self, request: &EndedRequest<'_>) {
        let operations = self.operations();
        let operation = operations.of(request.method, request.route, request.report.operation());
        let status = request.status.map_or(0, |status| status.as_u16());
        let status_at = STATUSES.iter().position(|known| *known == status).unwrap_or(0);
        let create = || {
            self.0.requests.get_or_create_owned(&[
                ("api", operation.api.to_owned()),
                ("operation", operation.name.clone()),
                ("status", STATUSES[status_at].to_string()),
            ])
        };
        operation.durations[status_at]
            .get_or_init(create)
            .observe(request.duration);
        if let Some(report) = request.errors {
            let api = operations.of(request.method, request.route, None).api;
            self.codes(api, report);
        }
        let by_status = || (request.status == Some(StatusCode::PAYLOAD_TOO_LARGE)).then_some(Reason::BodySize);
        let of_cause = |report: &ErrorReport| report.cause.as_ref().and_then(|cause| cause.refused);
        let reason = request
            .errors
            .and_then(|report| report.refused.or_else(|| of_cause(report)));
        if let Some(reason) = reason.or_else(by_status) {
            self.refused(reason);
        }
    }

    /// Counts a response to a request that was refused before its route was known.
    pub fn refused_early(&self, api: &'static str, report: &ErrorReport) {
        self.codes(api, report);
        if let Some(reason) = report.refused {
            self.refused(reason);
        }
    }

    fn codes(&self, api: &'static str, report: &ErrorReport) {
        for code in &report.codes {
            self.0.errors.get_or_create(&[("api", api), ("code", code)]).inc();
        }
    }

    pub fn refused(&self, reason: Reason) {
        self.0.refused[reason as usize].inc();
    }

    /// Counts the `userErrors` of a mutation, even if the caller doesn't select them.
    pub fn user_errors(&self, problems: &[Problem]) {
        for problem in problems {
            let labels = [("code", problem.code.as_str())];
            self.0.user_errors.get_or_create(&labels).inc();
        }
    }

    pub(in crate::api) fn signed_in(&self, method: SignInMethod, outcome: SignInOutcome) {
        self.0.signed_in[method as usize][outcome as usize].inc();
    }

    /// Counts a request over a limit of the GraphQL API: refused, or only observed.
    pub fn limit_exceeded(&self, limit: &'static str, observed: bool) {
        let outcome = if observed { "observed" } else { "refused" };
        let labels = [("limit", limit), ("outcome", outcome)];
        self.0.exceeded.get_or_create(&labels).inc();
    }

    /// Shows the number of requests in progress and waiting.
    pub fn watch(&self, permits: &RequestPermits) {
        let _ = self.0.permits.set(permits.clone());
    }

    /// The metrics as a page of their own.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(registry.sub_registry_with_prefix("clientele"));
        super::text::Format::Prometheus.write(&registry)
    }

    /// Adds these metrics to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let all = &self.0;
        let help =
            "How long requests took, by API, operation and HTTP status (0: given up by the caller, or another one)";
        registry.register("request_seconds", help, all.requests.clone());
        let help = "Errors in responses, by extensions.code in GraphQL and by returnStatus in REST";
        registry.register("errors", help, all.errors.clone());
        let help = "Problems that GraphQL mutations answered in userErrors, by their code";
        registry.register("user_errors", help, all.user_errors.clone());
        let help = "Requests and connections refused by a limit";
        registry.register("refused", help, all.refusals.clone());
        let help = "Requests by how their callers signed in";
        registry.register("sign_ins", help, all.sign_ins.clone());
        let help = "Requests over a limit of the GraphQL API";
        registry.register("graphql_limit_exceeded", help, all.exceeded.clone());
        registry.register_collector(Box::new(UnderWay(self.clone())));
    }
}

/// Requests in progress and waiting, as counted by admission.
#[derive(Debug)]
struct UnderWay(ApiMetrics);

impl Collector for UnderWay {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let UnderWay(ApiMetrics(metrics)) = self;
        let (in_progress, waiting) = metrics.permits.get().map_or((0, 0), RequestPermits::in_use);
        for (name, help, value) in [
            ("requests_in_progress", "Requests that are being answered.", in_progress),
            ("requests_waiting", "Requests that wait to be answered.", waiting),
        ] {
            gauge(&mut encoder, name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }
}

/// A kind of request.
#[derive(Debug)]
struct Operation {
    api: &'static str,
    /// Its name in the metrics.
    name: String,
    /// The requests that belong to it. None when the route alone doesn't decide.
    route: Option<(Option<Method>, &'static str)>,
    /// One for each status, so that counting takes no lock.
    durations: [OnceLock<Histogram>; STATUSES.len()],
}

/// All kinds of requests. Those that the route alone doesn't decide come first.
#[derive(Debug)]
struct Operations(Vec<Operation>);

const OTHER: usize = 0;
const QUERY: usize = 2;
const MUTATION: usize = 3;
const SUBSCRIPTION: usize = 4;
const REST: usize = 5;

impl Operations {
    fn new(rest_routes: impl IntoIterator<Item = (Method, &'static str)>) -> Self {
        let operation = |api, name: &str, route| Operation {
            api,
            name: name.to_owned(),
            route,
            durations: Default::default(),
        };
        let mut all = vec![
            operation("none", "none", None),
            operation("graphql", "none", Some((None, "/graphql"))),
            operation("graphql", "query", None),
            operation("graphql", "mutation", None),
            operation("graphql", "subscription", None),
            operation("rest", "none", None),
        ];
        for (method, path) in rest_routes {
            let name = format!("{method} {path}");
            all.push(operation("rest", &name, Some((Some(method), path))));
        }
        for (api, route) in [
            ("health", "/health/live"),
            ("health", "/health/ready"),
            ("metrics", "/metrics"),
            ("playground", "/"),
            ("playground", "/playground"),
            ("playground", "/playground/assets/{file}"),
        ] {
            all.push(operation(api, route, Some((None, route))));
        }
        Self(all)
    }

    fn of(&self, method: &Method, route: Option<&str>, operation: Option<RequestOperation>) -> &Operation {
        let at = match operation {
            Some(RequestOperation::Query) => QUERY,
            Some(RequestOperation::Mutation) => MUTATION,
            Some(RequestOperation::Subscription) => SUBSCRIPTION,
            None => self.of_route(method, route),
        };
        self.0.get(at).unwrap_or(&self.0[OTHER])
    }

    fn of_route(&self, method: &Method, route: Option<&str>) -> usize {
        let Some(route) = route else { return OTHER };
        let path = match route {
            "/" => route,
            _ => route.strip_suffix('/').unwrap_or(route),
        };
        let fits = |operation: &Operation| match &operation.route {
            Some((of, known)) => *known == path && of.as_ref().is_none_or(|of| of == method),
            None => false,
        };
        match self.0.iter().position(fits) {
            Some(at) => at,
            None if path == "/api" || path.starts_with("/api/") => REST,
            None => OTHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::{Operations, RequestOperation};

    #[test]
    fn every_request_belongs_to_one_operation_of_a_closed_set() {
        let routes = [(Method::GET, "/api/clients"), (Method::POST, "/api/clients/{id}")];
        let operations = Operations::new(routes);
        for (method, route, operation, expected) in [
            (
                Method::POST,
                Some("/graphql"),
                Some(RequestOperation::Query),
                ("graphql", "query"),
            ),
            (
                Method::POST,
                Some("/graphql"),
                Some(RequestOperation::Mutation),
                ("graphql", "mutation"),
            ),
            (Method::DELETE, Some("/graphql"), None, ("graphql", "none")),
            (Method::GET, Some("/api/clients"), None, ("rest", "GET /api/clients")),
            (
                Method::POST,
                Some("/api/clients/{id}/"),
                None,
                ("rest", "POST /api/clients/{id}"),
            ),
            (Method::PUT, Some("/api/clients/{id}"), None, ("rest", "none")),
            (Method::GET, Some("/api/{*path}"), None, ("rest", "none")),
            (Method::HEAD, Some("/health/live"), None, ("health", "/health/live")),
            (Method::GET, Some("/"), None, ("playground", "/")),
            (Method::GET, None, None, ("none", "none")),
        ] {
            let found = operations.of(&method, route, operation);
            assert_eq!((found.api, found.name.as_str()), expected, "{method} {route:?}");
        }
    }
}
