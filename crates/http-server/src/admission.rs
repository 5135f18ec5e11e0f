//! Limits the requests in progress. Others wait in a queue that is fair to callers, and are refused when it is full.
//!
//! A request waits with its head only, and a refusal costs almost nothing, so that refusals leave the processor to
//! answers. A burst waits until it is served, for seconds if necessary. Requests of a caller that sends more than can
//! be served wait only briefly, so that answers are timely and refusals immediate. Callers are known by their
//! credentials where these were valid before, and by their network otherwise.
//!
//! A request releases its permit while it waits for its body, while the application waits for something slow, and when
//! its caller has a share already. Work that continues after its caller has hung up keeps its permit, see
//! [`RequestPermit`].

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Error,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::header::ORIGIN,
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    HttpSettings,
    application::Application,
    headers,
    permit::{RequestOrigin, RequestPermit, RequestPermits},
    proxy::PeerAddress,
    refusal::{PreparedRefusal, Refusable, Refusal},
};
use clientele_core::fair_queue::Patience;

const SOON: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// The health checks, and the requests for metrics, that are answered concurrently without a permit.
const PROBES: usize = 32;
const SCRAPES: usize = 2;

/// Gives permits to requests and refuses the others. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Admission<A: Application> {
    permits: RequestPermits,
    /// True when pages of other origins may read responses: a layer outside of [`admit`] adds headers for them.
    has_cors: bool,
    prepared: Arc<PreparedRefusal<A>>,
    refused: Arc<Refused>,
    /// Permits of requests that matter most under overload and so need no ordinary one.
    probes: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    application: A,
}

impl<A: Application> Admission<A> {
    pub fn new(settings: &HttpSettings, has_cors: bool, application: A) -> Self {
        let patience = Patience {
            draining: settings.burst_timeout,
            standing: settings.queue_timeout,
        };
        let permits = RequestPermits::new(settings.requests, settings.queue, patience);
        application.started(&permits);
        Self {
            permits,
            probes: Arc::new(Semaphore::new(PROBES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            application,
            has_cors,
            prepared: Arc::new(PreparedRefusal::new(Refusal::Overload, |headers| {
                headers::add_to(headers, false, settings.is_secure());
            })),
            refused: Arc::default(),
        }
    }

    /// Refuses a request that can't even wait, before anything else is done for it: under overload, the cost of
    /// refusals is lost to the other requests. None for requests that [`admit`] decides about.
    pub fn refuse_at_once<B>(&self, request: &mut Request<B>, from: PeerAddress) -> Option<Response> {
        let is_exempt = self
            .exempt(request)
            .is_some_and(|permits| permits.available_permits() > 0);
        if is_exempt {
            return None;
        }
        let origin = self.permits.origin(A::credentials(request.headers()), from);
        let is_of_page = self.has_cors && request.headers().contains_key(ORIGIN);
        if is_of_page || !self.permits.refuses(&origin) {
            request.extensions_mut().insert(origin);
            return None;
        }
        self.refused.count();
        let refusable = Refusable::of(request);
        let (response, report) = self.prepared.refuse(&refusable)?;
        self.application.refused_early(refusable.form, report);
        Some(response)
    }

    /// The permits of health checks and requests for metrics: an overloaded server is a healthy one.
    fn exempt<B>(&self, request: &Request<B>) -> Option<&Semaphore> {
        match request.uri().path() {
            "/metrics" => Some(&self.scrapes),
            path if path.starts_with("/health/") => Some(&self.probes),
            _ => None,
        }
    }

    fn refuse(&self, request: &Refusable<A>) -> Response {
        self.refused.count();
        request.refuse(Refusal::Overload)
    }
}

/// Counts refusals for the log: a line for each would cost too much.
#[derive(Debug, Default)]
struct Refused {
    unreported: AtomicU64,
    is_reporting: AtomicBool,
}

impl Refused {
    fn count(self: &Arc<Self>) {
        self.unreported.fetch_add(1, Ordering::Relaxed);
        if !self.is_reporting.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().report());
        }
    }

    /// Logs the number of refusals after a second, and then every minute until there are none.
    async fn report(self: Arc<Self>) {
        sleep(SOON).await;
        loop {
            match self.unreported.swap(0, Ordering::Relaxed) {
                0 => break,
                requests => tracing::warn!(requests, "requests refused: server overloaded"),
            }
            sleep(BETWEEN_LINES).await;
        }
        self.is_reporting.store(false, Ordering::Relaxed);
    }
}

pub async fn admit<A: Application>(
    State(admission): State<Admission<A>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(Ok(_permit)) = admission.exempt(&request).map(Semaphore::try_acquire) {
        return next.run(request).await;
    }
    let origin = request.extensions_mut().remove::<RequestOrigin>();
    let origin = origin.unwrap_or_else(|| {
        let from = request.extensions().get::<PeerAddress>().copied();
        let from = from.unwrap_or(PeerAddress(Ipv4Addr::LOCALHOST.into()));
        admission.permits.origin(A::credentials(request.headers()), from)
    });
    let Some(permit) = admission.permits.acquire(origin).await else {
        return admission.refuse(&Refusable::of(&request));
    };
    let refusable = Refusable::of(&request);
    request.extensions_mut().insert(permit.clone());
    // A GET has no body to wait for.
    let request = match request.body().is_end_stream() {
        true => request,
        false => request.map(|body| {
            Body::new(Awaited {
                body,
                permit: permit.clone(),
                reacquiring: None,
            })
        }),
    };
    let response = next.run(request).await;
    match permit.is_refused() {
        true => admission.refuse(&refusable),
        false => response,
    }
}

type Reacquiring = Pin<Box<dyn Future<Output = bool> + Send>>;
type Polled = Option<Result<Frame<Bytes>, Error>>;

/// A body that releases the permit of its request while it waits for data, and acquires one again at its end.
struct Awaited {
    body: Body,
    permit: RequestPermit,
    /// The end of the body, which is passed on when there is a permit.
    reacquiring: Option<(Reacquiring, Polled)>,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        if self.reacquiring.is_none() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                self.permit.leave();
                return Poll::Pending;
            };
            let last = frame.is_none() || self.body.is_end_stream();
            if !last || self.permit.is_held() {
                return Poll::Ready(frame);
            }
            self.reacquiring = Some((Box::pin(self.permit.clone().reacquire()), frame));
        }
        let Some((reacquiring, _)) = &mut self.reacquiring else {
            return Poll::Ready(None);
        };
        let is_held = ready!(reacquiring.as_mut().poll(cx));
        let frame = self.reacquiring.take().and_then(|(_, frame)| frame);
        Poll::Ready(if is_held {
            frame
        } else {
            Some(Err(Error::new(BoxError::from("the server is overloaded"))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.reacquiring.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
