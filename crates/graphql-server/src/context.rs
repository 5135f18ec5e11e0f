//! The interface between a request and the application that answers it.

use std::{future::pending, pin::Pin};

use async_graphql::{Data, parser::types::OperationType};
use clientele_core::flow::Flow;
use serde_json::value::RawValue;

use crate::{
    error::{GraphqlError, RequestError},
    limits::LimitExceeded,
    prepare::Prepared,
};

/// The only requests that a caller may send.
#[derive(Clone, Copy, Debug)]
pub struct Restriction {
    /// Fields of the mutation root. An operation must have exactly one field of the root, which is one of these.
    pub mutations: &'static [&'static str],
    /// The limit of a request's body, in bytes.
    pub body_bytes: usize,
}

/// A request as the application knows it. It lives until the operation has ended, even if the caller hangs up before.
pub trait RequestContext: Send + Sync + 'static {
    /// The id of the request, in the extensions of every error.
    fn request_id(&self) -> &str;

    /// The role of the caller, whose limits apply.
    fn role(&self) -> Option<&str> {
        None
    }

    /// True if the caller is authenticated, which introspection can depend on.
    fn is_authenticated(&self) -> bool {
        false
    }

    /// The flow that the request's memory and connections are charged to.
    fn flow(&self) -> Option<Flow> {
        None
    }

    /// The only requests that this caller may send; none for all. Documents of a restricted caller are never kept.
    fn restriction(&self) -> Option<Restriction> {
        None
    }

    /// Called when the request of a restricted caller turns out to be an allowed one, before it is validated. The
    /// application answers any other request of such a caller.
    fn on_admitted(&self) {}

    /// True after [`Self::on_admitted`], and for callers without a restriction.
    fn is_admitted(&self) -> bool {
        true
    }

    /// True if pages of the request's origin may call this server without a preflight request.
    fn is_trusted_origin(&self) -> bool {
        false
    }

    /// The message to a page of another origin without a preflight request. An application that can trust origins says
    /// how.
    fn untrusted_origin_message(&self) -> &'static str {
        "A request from another site must carry the header GraphQL-Require-Preflight."
    }

    /// Called with the type and the name of a valid operation before it runs. The name is the caller's choice; a batch
    /// has none.
    fn on_operation(&self, _operation: OperationType, _name: Option<&str>) {}

    /// Called when the request exceeds a limit. `is_observed`: the limit is only observed, so the request runs all the
    /// same.
    fn on_limit_exceeded(&self, _excess: LimitExceeded, _is_observed: bool) {}

    /// Inserts the data that resolvers read from their context, before the operation runs.
    ///
    /// # Errors
    /// The reasons why this caller may not run the operation.
    fn provide(&self, _operation: &Prepared, _data: &mut Data) -> Result<(), RequestError> {
        Ok(())
    }

    /// Returns the permit of a subscription that begins now.
    ///
    /// # Errors
    /// The reason why the caller can't have another subscription.
    fn subscribe(&self) -> Result<SubscriptionPermit, GraphqlError> {
        Ok(Box::pin(pending()))
    }

    /// Completes when the caller's rights have changed or ended, and with them all subscriptions.
    fn ended(&self) -> Ended {
        Box::pin(pending())
    }

    /// Completes when the server stops, and the callers of subscriptions should continue at another one.
    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pending())
    }
}

/// Completes with the reason for an end.
pub type Ended = Pin<Box<dyn Future<Output = GraphqlError> + Send>>;

/// Held while a subscription is open. As a future, it completes when another caller needs it.
pub type SubscriptionPermit = Ended;

/// A WebSocket as the application knows it, before its caller is known.
pub trait SocketContext: Send + 'static {
    type Context: RequestContext;

    /// Accepts the caller, who has sent this payload in `connection_init`.
    ///
    /// # Errors
    /// The reason why the caller isn't accepted.
    fn connect(
        self,
        payload: Option<Box<RawValue>>,
    ) -> impl Future<Output = Result<Self::Context, GraphqlError>> + Send;

    /// True if pages of the request's origin may open sockets.
    fn is_trusted_origin(&self) -> bool;

    /// The id of the request that opens the socket.
    fn request_id(&self) -> &str;

    /// As [`RequestContext::stopping`].
    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
