//! Subscriptions as Server-Sent Events, by "GraphQL over Server-Sent Events" in the mode of distinct connections: each
//! request gets one stream. Queries and mutations get a stream with one result.

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::headers::accepted;
use crate::{
    answer::Answer,
    context::RequestContext,
    error::RequestError,
    subscription::{Event, Events, one},
};

/// The interval of comments in an idle stream, which keep proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(12);
/// A line without a name is a comment.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// Returns true if the caller accepts the media type of event streams by its name.
pub fn is_accepted(headers: &HeaderMap) -> bool {
    accepted(headers).any(|(name, quality)| name == "text/event-stream" && quality > 0)
}

/// The response with the events of a subscription. It ends without the last event when the server stops, so that the
/// caller connects again.
pub(super) fn respond(events: Events, context: &impl RequestContext) -> Response {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let comments = stream::unfold(heartbeat, async |mut heartbeat| {
        heartbeat.tick().await;
        Some((Some(COMMENT), heartbeat))
    });
    let request_id = context.request_id().to_owned();
    // None at the end, after which the comments must end, too.
    let events = events
        .map(move |event| Some(text(event, &request_id)))
        .chain(stream::iter([None]));
    let texts = stream::select(events, comments.boxed()).take_while(|text| ready(text.is_some()));
    let texts = texts.filter_map(ready).take_until(context.stopping());
    // The first comment sends the head of the response at once.
    let body = stream::iter([COMMENT]).chain(texts).map(Ok::<_, Infallible>);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx would collect events before it passes them on.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}

/// The response with the answer to a query or a mutation.
pub(super) fn once(answer: Answer, context: &impl RequestContext) -> Response {
    respond(one(answer), context)
}

fn text(event: Event, request_id: &str) -> Bytes {
    let error = match event {
        Event::Next(answer) => return next(&answer).into(),
        Event::Complete => None,
        Event::Failed(error) => Some(error),
        Event::Ended(error) => Some(error.into()),
    };
    let mut bytes = error.map_or_else(Vec::new, |error: RequestError| {
        next(&Answer::refused(&error, request_id))
    });
    bytes.extend_from_slice(COMPLETE);
    bytes.into()
}

/// An event with an answer, whose JSON has no line breaks.
fn next(answer: &Answer) -> Vec<u8> {
    let json = answer.body.to_vec();
    [b"event: next\ndata: ", &*json, b"\n\n"].concat()
}
