//! `clientele serve`, from the port to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::{Failure, listening, print, store};
use crate::Clientele;
use crate::api::{self, health, origin, playground};
use crate::config::Config;
use crate::db::Database;
use crate::telemetry;

/// Starts in the order in which a mistake is cheapest to report, serves, and comes back when told to stop.
pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    telemetry::start(&config.log);
    let listener = listening::bind(config.listen).await?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let stop = listening::stop_signal()?;
    let database = store::open(config).await?;
    let router = router(database, config);
    print(&greeting(address))?;
    listening::serve_until(
        stop,
        listener,
        router,
        Duration::from_secs(config.shutdown_timeout_seconds),
    )
    .await
}

/// Everything that answers: both doors, the playground, and what an operator's machines ask.
fn router(database: Database, config: &Config) -> Router {
    let ping: health::Ping = Arc::new({
        let database = database.clone();
        move || {
            let database = database.clone();
            Box::pin(async move { database.ping().await.is_ok() })
        }
    });
    let clientele = Arc::new(Clientele::new(database, config.clients.clone()));
    let router = Router::new()
        .merge(health::routes(ping))
        .merge(playground::routes())
        .merge(api::router(clientele, config.graphql.clone(), config.legacy.clone()))
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
