//! How many requests are under way at once. Beyond that a few wait a moment, and the others are told to come back.
//!
//! A request counts from its head on: refusing must cost next to nothing, or the refusals themselves would take the place of
//! answers. Waiting is short, so that whoever is answered is answered in time, and whoever isn't knows it at once. While its
//! body has to be waited for it doesn't count, or a few callers that send nothing would shut all others out; and a change
//! that goes on when its caller has gone still does, see [`Place`].

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
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::HttpSettings;
use crate::api::{
    Place,
    refusal::{Asked, Refusal},
};

#[derive(Clone, Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    longest_wait: Duration,
}

impl Admission {
    pub fn new(settings: &HttpSettings) -> Self {
        Self {
            running: Arc::new(Semaphore::new(settings.requests)),
            waiting: Arc::new(Semaphore::new(settings.queue)),
            longest_wait: settings.queue_timeout,
        }
    }

    async fn permit(self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        timeout(self.longest_wait, self.running.acquire_owned())
            .await
            .ok()?
            .ok()
    }
}

pub async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    // A server with much to do is a healthy one.
    if request.uri().path().starts_with("/health/") {
        return next.run(request).await;
    }
    let Some(permit) = admission.clone().permit().await else {
        return Asked::by(&request).refused(Refusal::Overloaded);
    };
    let place = Place::default();
    place.take(permit);
    request.extensions_mut().insert(place.clone());
    // Nothing to wait for, as in every GET.
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let asked = Asked::by(&request);
    let refused = Arc::new(AtomicBool::new(false));
    let is_refused = refused.clone();
    let request = request.map(|body| {
        Body::new(Awaited {
            body,
            place,
            admission,
            coming_back: None,
            refused,
        })
    });
    let response = next.run(request).await;
    match is_refused.load(Ordering::Relaxed) {
        true => asked.refused(Refusal::Overloaded),
        false => response,
    }
}

type Permit = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;
type Polled = Option<Result<Frame<Bytes>, Error>>;

/// A body whose request gives its place up while nothing comes, and asks for another when everything is there.
struct Awaited {
    body: Body,
    place: Place,
    admission: Admission,
    /// The end of the body, which is handed on when there is a place.
    coming_back: Option<(Permit, Polled)>,
    refused: Arc<AtomicBool>,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        if self.coming_back.is_none() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                self.place.leave();
                return Poll::Pending;
            };
            let last = frame.is_none() || self.body.is_end_stream();
            if !last || self.place.is_taken() {
                return Poll::Ready(frame);
            }
            self.coming_back = Some((Box::pin(self.admission.clone().permit()), frame));
        }
        let Some((permit, _)) = &mut self.coming_back else {
            return Poll::Ready(None);
        };
        let permit = ready!(permit.as_mut().poll(cx));
        let frame = self.coming_back.take().and_then(|(_, frame)| frame);
        Poll::Ready(match permit {
            Some(permit) => {
                self.place.take(permit);
                frame
            }
            None => {
                self.refused.store(true, Ordering::Relaxed);
                Some(Err(Error::new(BoxError::from("the server has too much to do"))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.coming_back.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
