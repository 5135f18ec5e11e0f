//! Limits the requests that are in progress. Others wait in a queue that is fair to callers, and are refused when it is
//! full.
//!
//! A request waits with its head only, and refusing costs next to nothing: otherwise the refusals would take the place
//! of answers. A burst waits until it is served, for seconds if need be. Requests of a caller who sends more than can
//! be served wait a moment only, so that the answers are timely and the refusals immediate. Callers are known by their
//! credentials where these were valid before, and by their network otherwise.
//!
//! A request leaves its place while its body has to be waited for, while a password waits to be hashed, and when its
//! caller turns out to have a share already. A change that goes on after its caller has gone keeps its place, see
//! [`Place`].

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

use super::{HttpSettings, headers};
use crate::api::{
    PeerAddress, Place, Places, RequestOrigin,
    cors::CorsSettings,
    metrics::ApiMetrics,
    refusal::{Asked, Ready, Refusal},
};
use clientele_core::fair_queue::Patience;

const SOON: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// How many health checks, and how many requests for metrics, are answered at once without a place.
const PROBES: usize = 32;
const SCRAPES: usize = 2;

/// Decides which requests get a place, and answers the others. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Places,
    /// Whether pages of other sites may read answers, which is told in a layer outside of [`admit`].
    has_pages: bool,
    ready: Arc<Ready>,
    refused: Arc<Refused>,
    /// Permits for requests that need no place, because their answers matter most when there is none.
    probes: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    metrics: ApiMetrics,
}

impl Admission {
    /// As many places as configured.
    pub fn new(settings: &HttpSettings, cors: &CorsSettings, metrics: ApiMetrics) -> Self {
        let patience = Patience {
            draining: settings.burst_timeout,
            standing: settings.queue_timeout,
        };
        let places = Places::new(settings.requests, settings.queue, patience);
        metrics.watch(&places);
        Self {
            places,
            probes: Arc::new(Semaphore::new(PROBES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            metrics,
            has_pages: !cors.allowed_origins.is_empty(),
            ready: Arc::new(Ready::new(Refusal::Overloaded, |headers| {
                headers::add_to(headers, false, settings.is_secure());
            })),
            refused: Arc::default(),
        }
    }

    /// The complete answer to a request for which there is no room even to wait, before anything else is done for it:
    /// when most are refused, what refusing costs is lost to the others. None for all requests that [`admit`] decides
    /// about.
    pub fn refuse_at_once<B>(&self, request: &mut Request<B>, from: PeerAddress) -> Option<Response> {
        let is_exempt = self
            .exempt(request)
            .is_some_and(|permits| permits.available_permits() > 0);
        if is_exempt {
            return None;
        }
        let origin = self.places.origin(request.headers(), from);
        let is_of_page = self.has_pages && request.headers().contains_key(ORIGIN);
        if is_of_page || !self.places.refuses(&origin) {
            request.extensions_mut().insert(origin);
            return None;
        }
        self.refused.count();
        let asked = Asked::by(request);
        let (answer, report) = self.ready.answer(&asked)?;
        self.metrics.refused_early(asked.api(), report);
        Some(answer)
    }

    /// The permits for requests of this kind that need no place. A server with much to do is a healthy one.
    fn exempt<B>(&self, request: &Request<B>) -> Option<&Semaphore> {
        match request.uri().path() {
            "/metrics" => Some(&self.scrapes),
            path if path.starts_with("/health/") => Some(&self.probes),
            _ => None,
        }
    }

    fn refuse(&self, asked: &Asked) -> Response {
        self.refused.count();
        asked.refused(Refusal::Overloaded)
    }
}

/// How many were refused, for the log: a line for each would be one more thing to do.
#[derive(Debug, Default)]
struct Refused {
    untold: AtomicU64,
    is_telling: AtomicBool,
}

impl Refused {
    fn count(self: &Arc<Self>) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        if !self.is_telling.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().tell());
        }
    }

    /// A line soon, and then one a minute for as long as there are more.
    async fn tell(self: Arc<Self>) {
        sleep(SOON).await;
        loop {
            match self.untold.swap(0, Ordering::Relaxed) {
                0 => break,
                requests => tracing::warn!(requests, "requests refused: server overloaded"),
            }
            sleep(BETWEEN_LINES).await;
        }
        self.is_telling.store(false, Ordering::Relaxed);
    }
}

pub async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    if let Some(Ok(_permit)) = admission.exempt(&request).map(Semaphore::try_acquire) {
        return next.run(request).await;
    }
    let origin = request.extensions_mut().remove::<RequestOrigin>();
    let origin = origin.unwrap_or_else(|| {
        let from = request.extensions().get::<PeerAddress>().copied();
        let from = from.unwrap_or(PeerAddress(Ipv4Addr::LOCALHOST.into()));
        admission.places.origin(request.headers(), from)
    });
    let Some(place) = admission.places.take(origin).await else {
        return admission.refuse(&Asked::by(&request));
    };
    let asked = Asked::by(&request);
    request.extensions_mut().insert(place.clone());
    // A GET has no body to wait for.
    let request = match request.body().is_end_stream() {
        true => request,
        false => request.map(|body| {
            Body::new(Awaited {
                body,
                place: place.clone(),
                coming_back: None,
            })
        }),
    };
    let response = next.run(request).await;
    match place.is_refused() {
        true => admission.refuse(&asked),
        false => response,
    }
}

type ComingBack = Pin<Box<dyn Future<Output = bool> + Send>>;
type Polled = Option<Result<Frame<Bytes>, Error>>;

/// A body whose request gives its place up while nothing comes, and asks for another when everything is there.
struct Awaited {
    body: Body,
    place: Place,
    /// The end of the body, which is handed on when there is a place.
    coming_back: Option<(ComingBack, Polled)>,
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
            self.coming_back = Some((Box::pin(self.place.clone().come_back()), frame));
        }
        let Some((coming_back, _)) = &mut self.coming_back else {
            return Poll::Ready(None);
        };
        let is_back = ready!(coming_back.as_mut().poll(cx));
        let frame = self.coming_back.take().and_then(|(_, frame)| frame);
        Poll::Ready(if is_back {
            frame
        } else {
            Some(Err(Error::new(BoxError::from("the server has too much to do"))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.coming_back.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
