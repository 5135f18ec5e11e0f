//! The HTTP shell: sockets, TLS, and the limits that hold whatever is served behind them.
//!
//! Everything a stranger can do before a door is asked ends here: slow, endless, malformed or simply too many
//! connections and requests. Knows no route; for what a refusal looks like it asks
//! [`api::refusal`](crate::api::refusal).
//!
//! A connection: [`accept`] gives it a place, [`tls`] its encryption, [`connection`] its HTTP and its end. A request:
//! [`proxy`] says where it came from, then the layers of [`shell`]. Most of what is too much is refused by
//! [`admission`] before that.

mod accept;
mod activity;
mod admission;
mod connection;
mod descriptors;
mod frames;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod host;
mod http1_framing;
mod panics;
mod pieces;
mod proxy;
mod seldom;
mod settings;
mod slow_body;
mod tls;
mod unsent;
mod watched;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Router, middleware::from_fn_with_state};
use tokio::net::TcpListener;

use self::{accept::Accepting, admission::Admission, connection::Connections, tls::Certificates};
pub use self::{
    panics::log_without_messages,
    settings::{ForwardedHeader, HttpSettings},
    tls::CertificateError,
};
use crate::{
    api::{
        cors::{self, CorsSettings},
        metrics::ApiMetrics,
    },
    telemetry,
};

/// A server that is configured and has read its certificate, but doesn't listen yet.
#[derive(Debug)]
pub struct Server {
    settings: Arc<HttpSettings>,
    certificates: Option<Certificates>,
    cors: CorsSettings,
    metrics: ApiMetrics,
}

impl Server {
    /// # Errors
    /// A certificate or key that can't be used, as one sentence that names the file.
    pub fn new(settings: &HttpSettings) -> Result<Self, CertificateError> {
        let certificates = match (&settings.certificate_file, &settings.key_file) {
            (Some(certificate), Some(key)) => Some(Certificates::load(certificate, key)?),
            _ => None,
        };
        Ok(Self {
            settings: Arc::new(settings.clone()),
            certificates,
            cors: CorsSettings::default(),
            metrics: ApiMetrics::default(),
        })
    }

    /// The same, with requests counted there.
    #[must_use]
    pub fn measured_by(self, metrics: &ApiMetrics) -> Self {
        Self {
            metrics: metrics.clone(),
            ..self
        }
    }

    /// The same, with answers that pages of the listed origins may read.
    #[must_use]
    pub fn for_pages_of(self, cors: &CorsSettings) -> Self {
        Self {
            cors: cors.clone(),
            ..self
        }
    }

    /// `https` with a certificate, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }

    /// Serves until `stop`, then lets the requests under way finish for at most `patience`. A write that is cut short
    /// by the end of that time leaves nothing: its transaction was never committed.
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
            metrics,
        } = self;
        let admission = Admission::new(&settings, &cors, metrics.clone());
        let router = shell(router, &settings, admission.clone(), &cors, &metrics);
        let places = descriptors::places(settings.connections);
        let reloading = certificates.as_ref().map(|all| all.watch(settings.certificate_poll));
        let connections = Connections::new(settings.clone(), certificates, admission, router, metrics);
        Accepting::new(listener, connections, places)
            .until(stop, patience)
            .await;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
    }
}

/// The layers that stand between every request and the routes, the outermost last.
fn shell(
    router: Router,
    settings: &HttpSettings,
    admission: Admission,
    cors: &CorsSettings,
    metrics: &ApiMetrics,
) -> Router {
    let refusing = router
        .layer(from_fn_with_state(admission, admission::admit))
        // Outside of it: the time that a complete body waits for a place doesn't count.
        .layer(from_fn_with_state(settings.body_timeout, slow_body::cut_off))
        .layer(axum::middleware::from_fn(panics::answer));
    // Whatever else is answered has its line, and an id by which it is found.
    let logged = telemetry::with_request_lines(refusing, metrics.clone());
    cors::answer(logged, cors).layer(from_fn_with_state(settings.is_secure(), headers::add))
}

#[cfg(test)]
mod tests;
