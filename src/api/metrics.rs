//! Serves `/metrics` in the formats of Prometheus.
//!
//! It answers without the database: metrics that are read from there are left out then, and `clientele_database_up` is
//! 0.

mod process;
mod requests;
mod text;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::Utc;
use http_server::rate_limit::{self, RateLimit};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric},
    metrics::{MetricType, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};
use tokio::time::timeout;

pub use self::requests::{ApiMetrics, SignInMethod, SignInOutcome};
use self::{process::Process, text::Format};
use super::{
    RequestId,
    authentication::{Authentication, Gate, PublishedKeys, protect},
    rest,
};
use crate::services::Services;
use crate::version;
use clientele_core::error::Error;
use clientele_domain::{
    caller::{Api, Caller},
    notify::Messages,
};

/// The time limit of the database for its part of a page.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);

/// The metrics page.
#[derive(Debug)]
struct Page {
    messages: Messages,
    registry: Registry,
    database_up: Gauge,
}

impl Page {
    fn new(services: &Services, metrics: &ApiMetrics, authentication: &Authentication) -> Self {
        let database_up = Gauge::default();
        let build = Family::<[(&str, &str); 2], Gauge>::default();
        let labels = [("version", version::NUMBER), ("commit", version::COMMIT)];
        build.get_or_create(&labels).set(1);
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("clientele");
        ours.register("build_info", "The version and the commit of this server", build);
        let help = "Whether the database answered within a second, 0 or 1";
        ours.register("database_up", help, database_up.clone());
        ours.register_collector(Box::new(services.db.metrics()));
        metrics.register(ours);
        services.messages.metrics.register(ours);
        services.audit.register_metrics(ours);
        if let Some(keys) = authentication.published_keys() {
            ours.register_collector(Box::new(IssuerKeys(keys.clone())));
        }
        registry.register_collector(Box::new(Process));
        Self {
            messages: services.messages.clone(),
            registry,
            database_up,
        }
    }
}

/// The metrics of the issuer's keys: the success of the last fetch, and their age. None before the first fetch.
#[derive(Debug)]
struct IssuerKeys(Arc<PublishedKeys>);

impl Collector for IssuerKeys {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(is_up) = self.0.is_up() {
            let help = "Whether the issuer's keys could be fetched the last time, 0 or 1.";
            gauge(&mut encoder, "issuer_up", help, i64::from(is_up))?;
        }
        if let Some(age) = self.0.age() {
            let help = "Time since the issuer's keys were fetched successfully.";
            gauge(&mut encoder, "issuer_keys_age_seconds", help, age.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Writes the present value of a gauge.
fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl EncodeGaugeValue,
) -> Result<(), fmt::Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

/// The route of `/metrics`, for callers with VIEW_METRICS, or for all callers if configured.
pub fn router(
    services: &Services,
    metrics: ApiMetrics,
    authentication: &Authentication,
    limit: Option<&RateLimit>,
) -> Router {
    let page = Page::new(services, &metrics, authentication);
    let router = Router::new().route("/metrics", get(answer)).with_state(Arc::new(page));
    // Each request reads the database.
    let router = rate_limit::before::<ApiMetrics>(router, limit);
    let authentication = match authentication {
        Authentication::Required(guard) if guard.shows_metrics_to_all() => Authentication::Off,
        authentication => authentication.clone(),
    };
    protect(
        router,
        Gate {
            accounts: Arc::new(services.accounts.clone()),
            authentication,
            api: Api::Rest,
            metrics,
            trusts_last_known: true,
        },
    )
}

#[expect(clippy::disallowed_methods, reason = "time enters here")]
async fn answer(
    State(page): State<Arc<Page>>,
    Extension(caller): Extension<Caller>,
    id: Option<Extension<RequestId>>,
    headers: HeaderMap,
) -> Response {
    let read = timeout(DATABASE_TIMEOUT, page.messages.read_outbox(&caller, Utc::now())).await;
    match read {
        Ok(Err(error @ Error::Forbidden(_))) => return rest::failed(error, id.as_deref()),
        Ok(Ok(())) => page.database_up.set(1),
        Ok(Err(_)) | Err(_) => {
            page.messages.metrics.forget_outbox();
            page.database_up.set(0)
        }
    };
    let format = Format::accepted(&headers);
    ([(CONTENT_TYPE, format.content_type())], format.write(&page.registry)).into_response()
}
