//! Sends messages: `clientele worker`, and the worker of the serving process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::listening::Signals;
use super::store::{self, OpenMode};
use super::{Failure, listening, print, service};
use crate::api::authentication::{Authentication, Guard, caller_flow};
use crate::api::metrics::ApiMetrics;
use crate::api::{self, health, unmatched};
use crate::config::{Config, LogFormat};
use crate::telemetry::Telemetry;
use crate::version;
use clientele_delivery::{Worker, channel::Channels};
use clientele_domain::notify::Messages;
use http_server::rate_limit::RateLimit;

/// The extra time in which a worker can release its messages after the shutdown timeout.
const TO_RELEASE: Duration = Duration::from_secs(2);

/// A worker in the background, which stops on request.
pub(super) struct Background {
    running: JoinHandle<()>,
    grace: Duration,
}

impl Background {
    pub(super) fn start(messages: Messages, channels: Channels, config: &Config, stop: watch::Receiver<bool>) -> Self {
        let grace = Duration::from_secs(config.shutdown_timeout_seconds);
        let settings = Arc::new(config.notifications.clone());
        let worker = Worker::new(messages, Arc::new(channels), settings, Arc::new(store::now));
        Self {
            running: tokio::spawn(worker.run(stop, grace)),
            grace,
        }
    }

    /// Returns when the worker has ended or its time is over. Messages that it still holds can be claimed again when
    /// their leases end.
    pub(super) async fn ended(self) {
        match timeout(self.grace + TO_RELEASE, self.running).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("the worker has panicked"),
            Err(_) => tracing::warn!("the worker was still sending"),
        }
    }
}

/// The channels as configured.
pub(super) fn channels(config: &Config) -> Result<Channels, Failure> {
    Channels::new(&config.notifications).map_err(|error| Failure::misconfigured(error.to_string()))
}

/// Sends messages until SIGTERM or Ctrl-C. Serves only health checks and metrics, if configured.
pub(super) async fn work(config: &Config, telemetry: &Telemetry) -> Result<(), Failure> {
    let channels = channels(config)?;
    let guard = Guard::new(config.authentication.clone()).map_err(Failure::misconfigured)?;
    let metrics = ApiMetrics::default();
    let server = listening::server(config, &metrics)?;
    let listener = match &config.notifications.worker_listen {
        Some(address) => {
            let remedy = "; choose another address with notifications.worker_listen";
            Some(listening::bind(listening::resolve(address).await?, remedy)?)
        }
        None => None,
    };
    let interrupted = listening::interrupted()?;
    // No delay: load balancers send no requests to a worker.
    let Signals { stop, .. } = listening::stop_on_signal(Duration::ZERO)?;
    store::with_services_until_stopped(config, OpenMode::Change, interrupted, async |services| {
        let closing = async {
            listening::stopped(stop.clone()).await;
            telemetry.closing();
        };
        let worker = Background::start(services.messages.clone(), channels, config, stop.clone());
        match listener {
            Some(listener) => {
                let address = listener.local_addr().map_err(Failure::internal)?;
                announce(config, Some(&format!("{}://{address}", server.scheme())))?;
                service::report_ready(stop.clone());
                let ping = store::ping(services.db.clone());
                let rate_limit = RateLimit::new(&config.rate_limit, caller_flow);
                let authentication = Authentication::Required(guard);
                let router = Router::new()
                    .merge(health::routes(ping, Arc::new(|| None), stop.clone()))
                    .merge(api::metrics::router(
                        &services,
                        metrics,
                        &authentication,
                        rate_limit.as_ref(),
                    ));
                let patience = Duration::from_secs(config.shutdown_timeout_seconds);
                let router = unmatched::answer(router, unmatched::NO_PATH_OF_WORKER);
                server.serve(listener, router, closing, patience).await;
            }
            None => {
                announce(config, None)?;
                service::report_ready(stop.clone());
                closing.await;
            }
        }
        worker.ended().await;
        Ok(())
    })
    .await
}

/// Announces that messages are being sent: to a person on standard output, or to machines as one log event.
fn announce(config: &Config, address: Option<&str>) -> Result<(), Failure> {
    if config.log.format == LogFormat::Text {
        let listening = address.map_or_else(String::new, |address| format!("listening on {address}\n"));
        return print(&format!("sending messages\n{listening}"));
    }
    tracing::info!(
        version = version::NUMBER,
        commit = version::COMMIT,
        address,
        database = store::kind(config),
        "sending messages"
    );
    Ok(())
}
