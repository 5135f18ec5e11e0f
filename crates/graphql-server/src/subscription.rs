//! Begins subscriptions, for every transport.

use std::sync::Arc;

use async_graphql::{Data, ObjectType, Pos, SubscriptionType, parser::types::OperationType};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    answer::Answer,
    context::{Ended, RequestContext},
    error::{Code, GraphqlError, RequestError},
    prepare::Prepared,
    server::GraphqlServer,
};

/// An event of a subscription. All but the first kind end it.
pub(crate) enum Event {
    Next(Answer),
    Complete,
    /// It has failed.
    Failed(RequestError),
    /// It had to end early.
    Ended(GraphqlError),
}

/// The events of a subscription. Dropping this ends it.
pub(crate) type Events = BoxStream<'static, Event>;

/// The events of an operation with one answer.
pub(crate) fn one(answer: Answer) -> Events {
    stream::iter([Event::Next(answer), Event::Complete]).boxed()
}

/// Begins a subscription that was prepared. It ends early when `ended` completes.
///
/// # Errors
/// It isn't one subscription, or the caller can't have it.
pub(crate) fn begin<Q, M, S>(
    server: &Arc<GraphqlServer<Q, M, S>>,
    context: &impl RequestContext,
    prepared: Prepared,
    ended: Ended,
) -> Result<Events, RequestError>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let fields: Vec<_> = prepared.root_fields().collect();
    // A field with a condition that doesn't hold leaves `__typename` in its place.
    let other = match fields[..] {
        [(name, _)] if name != "__typename" => None,
        [(_, only)] => Some(only),
        [_, (_, other), ..] => Some(other),
        [] => Some(Pos::default()),
    };
    if let Some(other) = other {
        let message = "A subscription must have exactly one field.";
        return Err(GraphqlError::new(Code::ValidationFailed, message).at(other).into());
    }
    context.on_operation(OperationType::Subscription, prepared.name());
    let permit = context.subscribe()?;
    let mut data = Data::default();
    context.provide(&prepared, &mut data)?;
    let request_id = context.request_id().to_owned();
    let answers = server.clone().subscribe(prepared, data, &request_id).boxed();
    let running = Running {
        answers,
        early: [permit, ended],
        request_id,
    };
    // A caller that doesn't read must not suspend it: it may hold a connection to the database then.
    let (sender, events) = mpsc::channel(1);
    let task = AbortOnDropHandle::new(tokio::spawn(running.run(sender)));
    let events = stream::unfold((events, task), async |(mut events, task)| {
        let event = events.recv().await?;
        Some((event, (events, task)))
    });
    Ok(events.boxed())
}

struct Running {
    answers: BoxStream<'static, Result<Answer, RequestError>>,
    /// The reasons to end early.
    early: [Ended; 2],
    request_id: String,
}

impl Running {
    async fn run(mut self, events: mpsc::Sender<Event>) {
        let [permit, ended] = &mut self.early;
        let early = async {
            tokio::select! {
                error = permit => error,
                error = ended => error,
            }
        };
        let answers = async {
            loop {
                let event = match self.answers.next().await {
                    Some(Ok(answer)) => Event::Next(answer),
                    Some(Err(error)) => Event::Failed(error),
                    None => Event::Complete,
                };
                log(&event, &self.request_id);
                let is_last = !matches!(event, Event::Next(_));
                if events.send(event).await.is_err() || is_last {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            error = early => drop(events.send(Event::Ended(error)).await),
            () = answers => {}
        }
    }
}

/// Logs the fault of the server, if there is one.
fn log(event: &Event, request_id: &str) {
    let cause = match event {
        Event::Next(answer) => answer.errors.as_ref().and_then(|report| report.cause.as_ref()),
        Event::Failed(error) => error.errors().iter().find_map(|error| error.cause.as_ref()),
        Event::Complete | Event::Ended(_) => None,
    };
    if let Some(cause) = cause {
        tracing::warn!(request_id, cause = &*cause.text, "subscription");
    }
}
