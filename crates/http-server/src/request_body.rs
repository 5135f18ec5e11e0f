//! The body of a request: releases the permit of the request while it waits for data, limits the time of the body, and
//! counts its bytes.
//!
//! A late body is answered 408 and ends its connection. tower-http's `TimeoutBody` limits only the time between two
//! parts of a body.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Error,
    body::{Body, Bytes, HttpBody},
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{permit::RequestPermit, report::RequestReport};

type Reacquiring = Pin<Box<dyn Future<Output = bool> + Send>>;
type Polled = Option<Result<Frame<Bytes>, Error>>;

/// A body that ends in an error when it is late, or when there is no permit at its end.
pub struct RequestBody {
    body: Body,
    patience: Duration,
    /// Set when the body has to be waited for at all, which most are not.
    end: Option<Pin<Box<Sleep>>>,
    is_late: Arc<AtomicBool>,
    /// None for requests that need no permit.
    permit: Option<RequestPermit>,
    report: Option<RequestReport>,
    /// The end of the body, which is passed on when there is a permit.
    reacquiring: Option<(Reacquiring, Polled)>,
}

impl RequestBody {
    /// `is_late` becomes true when the body has not arrived within `patience`.
    pub fn new(
        body: Body,
        patience: Duration,
        is_late: Arc<AtomicBool>,
        permit: Option<RequestPermit>,
        report: Option<RequestReport>,
    ) -> Self {
        Self {
            body,
            patience,
            end: None,
            is_late,
            permit,
            report,
            reacquiring: None,
        }
    }

    /// Polls the body and its time limit.
    fn poll_in_time(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending() || self.end.is_some() {
            // A body that never stops sending is as late as one that never starts.
            let end = self.end.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            if end.as_mut().poll(cx).is_ready() {
                self.is_late.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(Error::new(BoxError::from("the body took too long")))));
            }
        }
        if polled.is_ready() && self.body.is_end_stream() {
            self.end = None;
        }
        if let (Poll::Ready(Some(Ok(frame))), Some(report)) = (&polled, &self.report) {
            report.received(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        if self.reacquiring.is_none() {
            let Poll::Ready(frame) = self.poll_in_time(cx) else {
                if let Some(permit) = &self.permit {
                    permit.leave();
                }
                return Poll::Pending;
            };
            let is_last = frame.is_none() || self.body.is_end_stream();
            let Some(permit) = self.permit.as_ref().filter(|permit| is_last && !permit.is_held()) else {
                return Poll::Ready(frame);
            };
            self.reacquiring = Some((Box::pin(permit.clone().reacquire()), frame));
        }
        let Some((reacquiring, _)) = &mut self.reacquiring else {
            return Poll::Ready(None);
        };
        let is_held = ready!(reacquiring.as_mut().poll(cx));
        let frame = self.reacquiring.take().and_then(|(_, frame)| frame);
        Poll::Ready(match is_held {
            true => frame,
            false => Some(Err(Error::new(BoxError::from("the server is overloaded")))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.reacquiring.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
