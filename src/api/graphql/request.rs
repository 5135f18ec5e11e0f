//! A GraphQL request as clientele knows it: its caller, its id, its permit and its reports.

use std::{future::pending, net::Ipv4Addr, pin::Pin, sync::Arc};

use async_graphql::{Data, parser::types::OperationType};
use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use graphql_server::{
    BudgetKind, Cause, Code, Ended, GraphqlError, LimitExceeded, Prepared, Report, RequestContext, RequestError,
    Restriction, SubscriptionPermit,
    http::{self, Media, media},
    object::FieldBudget,
};
use tokio::sync::watch;

use super::{
    capacity::SubscriptionCapacity,
    load::{Sources, loaders},
    permits,
};
use crate::api::{
    PeerAddress, RequestId, RequestPermit,
    authentication::{Access, Anonymous, MOST_ANONYMOUS_BYTES, SignInRefusal},
    metrics::ApiMetrics,
    report::{ErrorReport, GraphqlOperation, LogCause, Reason, RequestReport},
};
use clientele_core::flow::Flow;
use clientele_domain::{access::SignInError, caller::Caller};

/// The parts that all requests share.
#[derive(Clone)]
pub struct Shared {
    pub sources: Arc<Sources>,
    pub metrics: ApiMetrics,
    /// The most fields of an answer.
    pub answer_fields: usize,
    pub capacity: SubscriptionCapacity,
    /// True once the server stops. None if it never does.
    pub stop: Option<watch::Receiver<bool>>,
}

/// One request.
pub struct GraphqlRequest {
    shared: Shared,
    id: RequestId,
    caller: Option<Caller>,
    /// Present in a request without credentials, which may only sign in.
    anonymous: Option<Anonymous>,
    from: PeerAddress,
    /// Kept until the operation has ended: callers who hang up can't start more than the server can do.
    permit: Option<RequestPermit>,
    report: Option<RequestReport>,
    sign_in_refusal: Option<SignInRefusal>,
    is_trusted_origin: bool,
    /// The credentials of a caller who can open a subscription.
    access: Option<Access>,
}

impl GraphqlRequest {
    /// A subscription over a WebSocket, whose caller signed in when it was opened. It holds no permit: those are for
    /// short requests.
    pub fn of_socket(request: &Request, shared: Shared) -> Self {
        Self {
            permit: None,
            report: None,
            sign_in_refusal: None,
            ..Self::of(request, shared)
        }
    }

    /// The same, with the caller who has signed in since.
    pub fn signed_in(self, caller: Caller, access: Access) -> Self {
        Self {
            caller: Some(caller),
            access: Some(access),
            ..self
        }
    }

    pub fn of(request: &Request, shared: Shared) -> Self {
        let extensions = request.extensions();
        Self {
            shared,
            id: RequestId::of(request),
            caller: extensions.get().cloned(),
            anonymous: extensions.get().cloned(),
            from: extensions
                .get()
                .copied()
                .unwrap_or(PeerAddress(Ipv4Addr::LOCALHOST.into())),
            permit: extensions.get().cloned(),
            report: extensions.get().cloned(),
            sign_in_refusal: extensions.get().cloned(),
            is_trusted_origin: extensions.get::<http_server::origin::Allowed>().is_some(),
            access: extensions.get().cloned(),
        }
    }
}

impl RequestContext for GraphqlRequest {
    fn request_id(&self) -> &str {
        &self.id.0
    }

    fn role(&self) -> Option<&str> {
        self.caller.as_ref()?.role.as_deref()
    }

    fn is_authenticated(&self) -> bool {
        self.caller.is_some()
    }

    fn flow(&self) -> Option<Flow> {
        match &self.anonymous {
            Some(_) => Some(Flow::of_address(self.from.0)),
            None => self.caller.as_ref()?.flow(),
        }
    }

    fn restriction(&self) -> Option<Restriction> {
        self.anonymous.as_ref().map(|_| Restriction {
            mutations: permits::ALONE,
            body_bytes: MOST_ANONYMOUS_BYTES,
        })
    }

    fn on_admitted(&self) {
        if let Some(anonymous) = &self.anonymous {
            anonymous.admit();
        }
    }

    fn is_admitted(&self) -> bool {
        self.anonymous.as_ref().is_none_or(Anonymous::is_admitted)
    }

    fn is_trusted_origin(&self) -> bool {
        self.is_trusted_origin
    }

    fn untrusted_origin_message(&self) -> &'static str {
        "A request from another site must carry the header GraphQL-Require-Preflight, or come from an origin in the \
         setting cors.allowed_origins."
    }

    fn on_operation(&self, operation: OperationType, name: Option<&str>) {
        if let Some(report) = &self.report {
            let operation = match operation {
                OperationType::Mutation => GraphqlOperation::Mutation,
                OperationType::Query => GraphqlOperation::Query,
                OperationType::Subscription => GraphqlOperation::Subscription,
            };
            report.set_operation(operation, name);
        }
    }

    fn on_limit_exceeded(&self, excess: LimitExceeded, is_observed: bool) {
        let LimitExceeded { limit, found, allowed } = excess;
        self.shared.metrics.limit_exceeded(limit, is_observed);
        if is_observed {
            let request_id = self.request_id();
            tracing::warn!(request_id, limit, found, allowed, "over a limit that is only observed");
        }
    }

    fn subscribe(&self) -> Result<SubscriptionPermit, GraphqlError> {
        // The permit of the request is for short ones.
        if let Some(permit) = &self.permit {
            permit.leave();
        }
        let flow = self.flow().unwrap_or_else(|| Flow::of_address(self.from.0));
        Ok(Box::pin(self.shared.capacity.acquire(flow)?))
    }

    fn ended(&self) -> Ended {
        match self.access.clone() {
            Some(access) => Box::pin(access.ended()),
            None => Box::pin(pending()),
        }
    }

    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let stop = self.shared.stop.clone();
        Box::pin(async move {
            let stops = async { stop?.wait_for(|stop| *stop).await.ok().map(|_| ()) };
            if stops.await.is_none() {
                pending().await
            }
        })
    }

    fn provide(&self, operation: &Prepared, data: &mut Data) -> Result<(), RequestError> {
        data.insert(FieldBudget::new(self.shared.answer_fields));
        permits::admit_alone(operation)?;
        data.insert(self.from);
        data.insert(self.id.clone());
        if let Some(anonymous) = &self.anonymous {
            data.insert(anonymous.clone());
        }
        if let Some(refusal) = &self.sign_in_refusal {
            data.insert(refusal.clone());
        }
        if let Some(report) = &self.report {
            data.insert(report.clone());
        }
        // Without a caller, every field that needs one is refused.
        if let Some(caller) = &self.caller {
            permits::admit(operation, caller)?;
            data.insert(loaders(self.shared.sources.clone(), caller.rights.clone()));
            data.insert(caller.clone());
        }
        if let Some(permit) = &self.permit {
            data.insert(permit.clone());
        }
        Ok(())
    }
}

/// The answer to a caller who isn't authenticated.
pub(in crate::api) fn refuse_caller(refused: &SignInError, headers: &HeaderMap, id: &RequestId) -> Response {
    reported(http::refuse(sign_in_error(refused), None, media(headers), &id.0))
}

/// The error of a caller who isn't authenticated.
pub(super) fn sign_in_error(refused: &SignInError) -> GraphqlError {
    let code = match refused {
        SignInError::Missing(_) | SignInError::Wrong => Code::Unauthenticated,
        SignInError::TooMany(_) => Code::RateLimited,
        SignInError::Busy | SignInError::IssuerUnreachable(_) => Code::Unavailable,
        SignInError::Failed(error) => return error.into(),
    };
    GraphqlError::new(code, refused.to_string())
}

/// The answer to a request that never reached this API. Its status doesn't depend on the media type.
pub(in crate::api) fn refused(
    media: Media,
    status: StatusCode,
    code: Code,
    message: &'static str,
    id: &RequestId,
) -> Response {
    reported(http::refuse(
        GraphqlError::new(code, message),
        Some(status),
        media,
        &id.0,
    ))
}

/// Turns the report in a response's extensions into the one that logs and metrics read.
pub(super) fn reported(mut response: Response) -> Response {
    if let Some(Report { codes, cause }) = response.extensions_mut().remove() {
        let report = ErrorReport {
            codes,
            cause: cause.map(log_cause),
            refused: None,
        };
        report.add_to(&mut response);
    }
    response
}

fn log_cause(Cause { text, budget }: Cause) -> LogCause {
    let refused = budget.map(|budget| match budget {
        BudgetKind::Time => Reason::RequestTimeout,
        BudgetKind::Memory => Reason::Memory,
    });
    LogCause { text, refused }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use clientele_core::error::Error;

    use super::{ErrorReport, LogCause, Reason, SignInError, refuse_caller};
    use crate::api::{RequestId, metrics::ApiMetrics};

    #[test]
    fn report_of_refused_caller_reaches_logs_and_metrics() {
        let cause = |text: &'static str, refused| {
            Some(LogCause {
                text: text.into(),
                refused,
            })
        };
        for (refusal, code, cause) in [
            (SignInError::Wrong, "UNAUTHENTICATED", None),
            (SignInError::Busy, "UNAVAILABLE", None),
            (
                SignInError::Failed(Error::TimedOut),
                "TIMEOUT",
                cause("the request took too long", Some(Reason::RequestTimeout)),
            ),
            (
                SignInError::Failed(Error::Busy),
                "UNAVAILABLE",
                cause("the memory for answers is used up", Some(Reason::Memory)),
            ),
            (
                SignInError::Failed(Error::ReadOnly),
                "UNAVAILABLE",
                cause("the database is read-only", None),
            ),
        ] {
            let response = refuse_caller(&refusal, &HeaderMap::new(), &RequestId("a".into()));
            let expected = ErrorReport {
                codes: vec![code],
                cause,
                refused: None,
            };
            assert_eq!(response.extensions().get(), Some(&expected), "{refusal:?}");
        }
    }

    #[test]
    fn exceeded_limits_are_counted_by_outcome() {
        let metrics = ApiMetrics::default();
        metrics.limit_exceeded("batch", false);
        metrics.limit_exceeded("depth", true);
        metrics.limit_exceeded("depth", true);
        let text = metrics.text();
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("_limit_exceeded_total{"))
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"clientele_graphql_limit_exceeded_total{limit="batch",outcome="refused"} 1"#,
                r#"clientele_graphql_limit_exceeded_total{limit="depth",outcome="observed"} 2"#,
            ]
        );
    }
}
