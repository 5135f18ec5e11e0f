//! Health checks for load balancers and orchestrators.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
    routing::get,
};
use tokio::sync::watch;

/// Checks that everything works that the server depends on; the error is the reason why it doesn't.
pub type Ping = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>> + Send + Sync>;

/// A line about a part that fails for some callers only, which `/health/ready` shows.
pub type Finding = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// The time limit of a ping. Probes usually end earlier.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// The reason while the database doesn't answer.
pub const NO_ANSWER: &str = "the database does not answer\n";
const NEVER_STORED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// `/health/live` answers 200 while the process runs. `/health/ready` answers 200, or 503 when `ping` fails or takes
/// over 2 s, and once `stopping` is true. A `finding` is added to the text of a 200.
pub fn routes(ping: Ping, finding: Finding, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/health/live", get(async || (NEVER_STORED, "live\n")))
        .route("/health/ready", get(move || ready(ping, finding, stopping)))
}

async fn ready(ping: Ping, finding: Finding, stopping: watch::Receiver<bool>) -> impl IntoResponse {
    let not_ready = |reason| (StatusCode::SERVICE_UNAVAILABLE, NEVER_STORED, String::from(reason));
    if *stopping.borrow() {
        return not_ready("stopping\n");
    }
    match tokio::time::timeout(PING_TIMEOUT, ping()).await {
        Ok(Ok(())) => {
            let text = format!("ready\n{}", finding().unwrap_or_default());
            (StatusCode::OK, NEVER_STORED, text)
        }
        Ok(Err(reason)) => not_ready(reason),
        Err(_) => not_ready(NO_ANSWER),
    }
}
