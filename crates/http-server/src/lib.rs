//! Serves an axum router over TCP or TLS, and bounds what callers can take: connections, requests in progress, heads,
//! bodies, unread responses, HTTP/2 floods. It knows no route; [`Application`] writes refusals and counts events.
//!
//! A connection passes through `accept` (its permit), `tls` and `connection` (HTTP and the end). A request passes
//! through `proxy` (its address), `admission`, which refuses most of the excess, and the layers of [`Server::serve`].
//!
//! tower-http provides CORS only. Its other layers don't fit: they write no response in the form of the application,
//! accept any request id, and limit the time between two parts of a body instead of that of the whole body.
//!
//! Paths with a meaning: requests for `/health/…` and `/metrics` are admitted beyond the limit of requests, and those
//! for `/health/…` are logged at DEBUG. Neither has a span.

mod accept;
mod activity;
mod admission;
mod application;
mod connection;
pub mod content_encoding;
mod headers;
mod host;
mod http1_framing;
mod http2_flood;
pub mod origin;
mod panics;
mod permit;
mod proxy;
pub mod rate_limit;
mod refusal;
pub mod report;
mod request_body;
mod request_id;
mod request_log;
mod request_span;
mod send_backlog;
mod settings;
#[cfg(any(test, feature = "fuzzing"))]
mod tests;
mod tls;
mod tracked_body;
mod unread_body;
mod watched;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use clientele_core::trace;
use hyper_util::service::TowerToHyperService;
use tokio::{net::TcpListener, sync::watch};
use tower_http::cors::CorsLayer;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use self::tests::fuzzing;
use self::{
    admission::Admission, connection::Connections, refusal::Refusable, request_log::Observed, tls::Certificates,
};
pub use self::{
    application::{Application, EndedRequest, Refusal},
    panics::log_without_messages,
    permit::{RequestOrigin, RequestPermit, RequestPermits},
    proxy::PeerAddress,
    refusal::refuse,
    request_id::RequestId,
    request_span::RequestedTrace,
    settings::{ForwardedHeader, HttpSettings},
    tls::{CertificateError, Validity},
};

/// A server that is configured and has read its certificate, but doesn't listen yet.
#[derive(Debug)]
pub struct Server<A> {
    settings: Arc<HttpSettings>,
    certificates: Option<Certificates>,
    cors: Option<CorsLayer>,
    ending: Option<watch::Receiver<bool>>,
    application: A,
}

impl<A: Application> Server<A> {
    /// # Errors
    /// A certificate or key that can't be used, as one sentence that names the file.
    pub fn new(settings: &HttpSettings, application: A) -> Result<Self, CertificateError> {
        let certificates = match (&settings.certificate_file, &settings.key_file) {
            (Some(certificate), Some(key)) => Some(Certificates::load(certificate, key)?),
            _ => None,
        };
        Ok(Self {
            settings: Arc::new(settings.clone()),
            certificates,
            cors: None,
            ending: None,
            application,
        })
    }

    /// Ends HTTP/1.1 connections with their next responses once `ending` is true, while the server still serves:
    /// callers open their next connections elsewhere, before idle ones are closed.
    #[must_use]
    pub fn with_ending(self, ending: watch::Receiver<bool>) -> Self {
        Self {
            ending: Some(ending),
            ..self
        }
    }

    /// Lets pages of other origins read responses. A browser needs this for refusals of the server as well, so this
    /// layer must be here and not around the router.
    #[must_use]
    pub fn with_cors(self, cors: Option<CorsLayer>) -> Self {
        Self { cors, ..self }
    }

    /// `https` with a certificate, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }

    /// The time in which the certificate and its chain are valid. None without a certificate, or if one of the chain
    /// can't be parsed.
    pub fn certificate_validity(&self) -> Option<Validity> {
        self.certificates.as_ref()?.validity()
    }

    /// Serves until `stop`, then lets the requests in progress finish for at most `patience`, and drops the others.
    pub async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        stop: impl Future<Output = ()> + Send,
        patience: Duration,
    ) {
        let Self {
            settings,
            certificates,
            cors,
            ending,
            application,
        } = self;
        let admission = Admission::new(&settings, cors.is_some(), application.clone());
        let router = router.layer(from_fn_with_state(admission.clone(), answer::<A>));
        let router = match cors {
            Some(cors) => router.layer(cors),
            None => router,
        };
        let reloading = certificates.as_ref().map(|all| all.watch(settings.certificate_poll));
        let connections = Connections {
            builder: connection::builder(&settings),
            router: TowerToHyperService::new(router),
            settings,
            certificates,
            admission,
            ending,
            application,
        };
        accept::accept(listener, Arc::new(connections), stop, patience).await;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
    }
}

/// Answers a request: observed, safe from panics, and with a permit. One function, because each layer of axum moves and
/// boxes the rest of the request.
async fn answer<A: Application>(State(admission): State<Admission<A>>, mut request: Request, next: Next) -> Response {
    let observed = Observed::begin(admission.application().clone(), &mut request);
    let refusable = Refusable::<A>::of(&request);
    let answer = panics::caught(refusable, admission.admit(request, next));
    let response = trace::within(observed.context(), answer).await;
    observed.end(response)
}
