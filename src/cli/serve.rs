//! `clientele serve`, from the port to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::{Failure, listening, print, store, worker};
use crate::Clientele;
use crate::api::authentication::Authentication;
use crate::api::{self, health, metrics, origin, playground};
use crate::config::Config;
use crate::telemetry;

/// Starts in the order in which a mistake is cheapest to report, serves, and comes back when told to stop.
pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    telemetry::start(&config.log);
    let server = listening::server(config)?;
    let listener = listening::bind(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let channels = worker::channels(config)?;
    let stop = listening::stop_on_signal()?;
    let clientele = Arc::new(Clientele::new(store::open(config).await?, config.clients.clone()));
    let sending = config.notifications.worker;
    let worker = sending.then(|| worker::Background::start(clientele.clone(), channels, config, stop.clone()));
    let router = router(clientele, config);
    print(&greeting(address).replace("http://", &format!("{}://", server.scheme())))?;
    let patience = Duration::from_secs(config.shutdown_timeout_seconds);
    server.serve(listener, router, listening::stopped(stop), patience).await;
    if let Some(worker) = worker {
        worker.ended().await;
    }
    Ok(())
}

/// Everything that answers: both doors, the playground, and what an operator's machines ask.
fn router(clientele: Arc<Clientele>, config: &Config) -> Router {
    let router = Router::new()
        .merge(health::routes(store::ping(clientele.db.clone())))
        .merge(metrics::routes(clientele.clone()))
        .merge(playground::routes())
        .merge(api::router(
            clientele,
            api::Settings {
                graphql: config.graphql.clone(),
                legacy: config.legacy.clone(),
                authentication: Authentication::Off,
                rate_limit: config.rate_limit.clone(),
            },
        ))
        .layer(axum::middleware::from_fn(origin::only_local));
    telemetry::with_request_lines(router)
}

/// The last line is for programs that wait for it: it says that requests are answered from now on.
fn greeting(address: SocketAddr) -> String {
    let offline = if playground::is_embedded() {
        ""
    } else {
        "  (loads its editor from cdn.jsdelivr.net)"
    };
    format!(
        r#"GraphQL     http://{address}/graphql
playground  http://{address}/playground{offline}
legacy      http://{address}/api/clients

try:
curl http://{address}/graphql -H 'content-type: application/json' -d '{{"query":"{{ clients(first: 3) {{ nodes {{ clientId fullName }} }} }}"}}'

listening on http://{address}
"#
    )
}
