//! Limits the time that a request's body may take: a late one is answered 408 and ends its connection. tower-http's
//! `TimeoutBody` limits only the time between two parts of a body.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError, Error,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderValue, Version, header::CONNECTION},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{
    application::Application,
    refusal::{Refusable, Refusal},
};

/// Answers 408 in place of an application that has waited for a body for `patience`.
pub async fn cut_off<A: Application>(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    // Nothing to wait for, as in every GET.
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let refusable = Refusable::<A>::of(&request);
    let version = request.version();
    let late = Arc::new(AtomicBool::new(false));
    let is_late = late.clone();
    let request = request.map(|body| {
        Body::new(Timed {
            body,
            patience,
            end: None,
            late,
        })
    });
    let response = next.run(request).await;
    if !is_late.load(Ordering::Relaxed) {
        return response;
    }
    let mut response = refusable.refuse(Refusal::BodyTimeout);
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// A body that ends in an error when it takes too long.
struct Timed {
    body: Body,
    patience: Duration,
    /// Set when the body has to be waited for at all, which most are not.
    end: Option<Pin<Box<Sleep>>>,
    late: Arc<AtomicBool>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let late = |this: &mut Self, cx: &mut Context<'_>| {
            let patience = this.patience;
            let end = this.end.get_or_insert_with(|| Box::pin(sleep(patience)));
            end.as_mut().poll(cx).is_ready()
        };
        match Pin::new(&mut self.body).poll_frame(cx) {
            // One that never stops sending is as late as one that never starts.
            Poll::Ready(frame) if self.end.is_none() || !late(&mut self, cx) => {
                if self.body.is_end_stream() {
                    self.end = None;
                }
                Poll::Ready(frame)
            }
            Poll::Pending if !late(&mut self, cx) => Poll::Pending,
            _ => {
                self.late.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Error::new(BoxError::from("the body took too long")))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
