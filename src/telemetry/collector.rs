//! Sends the body of one export to the collector, and distinguishes failures that can be repeated from others.

use std::{error::Error, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect::Policy};

use super::{protobuf::rejected_records, settings::TelemetrySettings};

/// A longer Retry-After is taken for a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The most bytes read of an answer.
const LARGEST_ANSWER: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
}

/// The collector's receiver of one signal.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    http: Client,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
}

/// The reason why an export failed, as a sentence's end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// Another attempt may succeed, after the wait that the collector asked for.
    #[error("{0}")]
    Temporary(String, Option<Duration>),
    #[error("{0}")]
    Permanent(String),
}

impl Signal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

impl Collector {
    /// # Errors
    /// A sentence about a setting, or about a machine without certificates.
    pub fn new(settings: &TelemetrySettings, signal: Signal) -> Result<Self, &'static str> {
        let url = settings.url(&format!("v1/{}", signal.as_str()))?;
        // Without this, the client would have no cryptography before the server has started.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect would send the headers to a host that the settings don't name.
        let mut http = Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("clientele/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|_| "telemetry: no encryption is possible, as the system has no certificates")?;
        let mut headers = settings.headers()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self {
            http,
            url,
            headers,
            timeout: Duration::from_secs(settings.timeout_seconds),
        })
    }

    /// Replaces the time limit of an export.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one export. An empty body exports nothing. Returns the number of records that the collector rejected
    /// although it accepted the export.
    pub async fn export(&self, body: Vec<u8>) -> Result<u64, ExportError> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone());
        let response = request.timeout(self.timeout).body(body).send().await;
        let mut response = response.map_err(|error| ExportError::Temporary(self.cause(&error), None))?;
        // Read to its end, so that the connection can be used again.
        let mut answer = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            answer.extend_from_slice(&chunk);
            if answer.len() > LARGEST_ANSWER {
                break;
            }
        }
        outcome(&response)?;
        Ok(rejected_records(&answer))
    }

    /// The innermost cause, without the address.
    fn cause(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no answer within {} s", self.timeout.as_secs());
        }
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    }
}

/// The specification names the statuses after which an export can be repeated.
fn outcome(response: &Response) -> Result<(), ExportError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let cause = format!("it answers with the status {}", status.as_u16());
    let can_repeat = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !can_repeat {
        return Err(ExportError::Permanent(cause));
    }
    let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
    let wait = wait.and_then(|wait| wait.parse().ok()).map(Duration::from_secs);
    Err(ExportError::Temporary(cause, wait.filter(|wait| *wait <= LONGEST_WAIT)))
}
