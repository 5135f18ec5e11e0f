//! Begins subscriptions, for every transport.

use std::sync::Arc;

use async_graphql::{Data, ObjectType, SubscriptionType, parser::types::OperationType};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{
    answer::Answer,
    context::{RequestContext, SubscriptionPlace},
    error::{Code, GraphqlError, RequestError},
    prepare::Prepared,
    server::GraphqlServer,
};

/// What happens in a subscription. All but the first end it.
pub(crate) enum Event {
    Next(Answer),
    Complete,
    /// It was given up with this error.
    Failed(RequestError),
    /// Its place was taken away.
    Ended(GraphqlError),
}

/// The events of a subscription, which gives its place back when this ends or is dropped.
pub(crate) type Events = BoxStream<'static, Event>;

/// The events of an operation with one answer.
pub(crate) fn one(answer: Answer) -> Events {
    stream::iter([Event::Next(answer), Event::Complete]).boxed()
}

/// Begins a subscription that was prepared.
///
/// # Errors
/// It isn't one subscription, or the caller can't have it.
pub(crate) fn begin<Q, M, S>(
    server: &Arc<GraphqlServer<Q, M, S>>,
    context: &impl RequestContext,
    prepared: Prepared,
) -> Result<Events, RequestError>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    if let Some((_, other)) = prepared.root_fields().nth(1) {
        let message = "A subscription must have exactly one field.";
        return Err(GraphqlError::new(Code::ValidationFailed, message).at(other).into());
    }
    if let Some(("__typename", pos)) = prepared.root_fields().next() {
        let message = "A subscription must not have a field of introspection.";
        return Err(GraphqlError::new(Code::ValidationFailed, message).at(pos).into());
    }
    context.on_operation(OperationType::Subscription, prepared.name());
    let place = context.subscribe()?;
    let mut data = Data::default();
    context.provide(&prepared, &mut data)?;
    let answers = server.clone().subscribe(prepared, data, context.request_id()).boxed();
    Ok(stream::unfold(Some((answers, place)), next).boxed())
}

type Open = (BoxStream<'static, Result<Answer, RequestError>>, SubscriptionPlace);

/// Waits for the next event. Without an open subscription, there is none.
async fn next(open: Option<Open>) -> Option<(Event, Option<Open>)> {
    let (mut answers, mut place) = open?;
    let event = tokio::select! {
        biased;
        error = &mut place => Event::Ended(error),
        answer = answers.next() => match answer {
            Some(Ok(answer)) => return Some((Event::Next(answer), Some((answers, place)))),
            Some(Err(error)) => Event::Failed(error),
            None => Event::Complete,
        },
    };
    Some((event, None))
}
