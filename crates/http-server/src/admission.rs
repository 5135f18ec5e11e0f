//! Limits the requests in progress. Others wait in a queue that is fair to callers, and are refused when it is full.
//!
//! A request waits with its head only, and a refusal costs almost nothing, so that refusals leave the processor to
//! answers. A burst waits until it is served, for seconds if necessary. Requests of a caller that sends more than can
//! be served wait only briefly, so that answers are timely and refusals immediate. Callers are known by their
//! credentials where these were valid before, and by their network otherwise.
//!
//! A request releases its permit while it waits for its body, while the application waits for something slow, and when
//! its caller has a share already. Work that continues after its caller has hung up keeps its permit, see
//! [`RequestPermit`](crate::RequestPermit).

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{
        HeaderValue, Version,
        header::{CONNECTION, ORIGIN},
    },
    middleware::Next,
    response::Response,
};
use tokio::{sync::Semaphore, time::sleep};

use crate::{
    HttpSettings,
    application::{Application, Refusal},
    headers,
    permit::{RequestOrigin, RequestPermits},
    proxy::PeerAddress,
    refusal::{PreparedRefusal, Refusable},
    request_body::RequestBody,
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
    body_timeout: Duration,
    /// True when pages of other origins may read responses: a layer outside of [`Self::admit`] adds headers for them.
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
            body_timeout: settings.body_timeout,
            probes: Arc::new(Semaphore::new(PROBES)),
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
            application,
            has_cors,
            prepared: Arc::new(PreparedRefusal::new(Refusal::Overload, |headers| {
                headers::add(headers, false, settings.is_secure());
            })),
            refused: Arc::default(),
        }
    }

    /// Refuses a request that can't even wait, before anything else is done for it: under overload, the cost of
    /// refusals is lost to the other requests. None for requests that [`Self::admit`] decides about.
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

    /// The origin that [`Self::refuse_at_once`] has determined. Computes it for requests without a connection.
    fn origin(&self, request: &mut Request) -> RequestOrigin {
        let origin = request.extensions_mut().remove::<RequestOrigin>();
        origin.unwrap_or_else(|| {
            let from = request.extensions().get::<PeerAddress>().copied();
            let from = from.unwrap_or(PeerAddress(Ipv4Addr::LOCALHOST.into()));
            self.permits.origin(A::credentials(request.headers()), from)
        })
    }

    /// Passes a request on when it has a permit. Answers 408 in place of an application whose request body was late.
    pub async fn admit(&self, mut request: Request, next: Next) -> Response {
        let exempt = self.exempt(&request).and_then(|permits| permits.try_acquire().ok());
        let permit = match exempt {
            Some(_) => None,
            None => {
                let origin = self.origin(&mut request);
                let Some(permit) = self.permits.acquire(origin).await else {
                    return self.refuse(&Refusable::of(&request));
                };
                request.extensions_mut().insert(permit.clone());
                Some(permit)
            }
        };
        let (refusable, version) = (Refusable::of(&request), request.version());
        let mut is_late = None;
        // A GET has no body to wait for.
        if !request.body().is_end_stream() {
            let (late, permit) = (is_late.insert(Arc::<AtomicBool>::default()).clone(), permit.clone());
            let report = request.extensions().get().cloned();
            let patience = self.body_timeout;
            request = request.map(|body| Body::new(RequestBody::new(body, patience, late, permit, report)));
        }
        let response = next.run(request).await;
        if is_late.is_some_and(|late| late.load(Ordering::Relaxed)) {
            let mut response = refusable.refuse(Refusal::BodyTimeout);
            if version < Version::HTTP_2 {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            return response;
        }
        match permit.is_some_and(|permit| permit.is_refused()) {
            true => self.refuse(&refusable),
            false => response,
        }
    }

    pub const fn application(&self) -> &A {
        &self.application
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
