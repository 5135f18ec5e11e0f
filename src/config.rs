//! Every setting there is, with its default: the one place to look one up or to add one. A part of the house that has
//! settings owns their struct; here they are put together.
//!
//! `config.example.toml` shows the same settings to the person who runs the server, and a test keeps the two equal.
//! Knows nothing of what the settings are for beyond whether a value can be meant.

mod check;
mod database_url;
mod environment;
mod known;
mod layer;
mod layers;
mod origins;
mod redact;
mod sentence;

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::api::authentication::AuthenticationSettings;
use crate::api::cors::CorsSettings;
use crate::api::rate_limit::RateLimitSettings;
use crate::api::rest::RestSettings;
use crate::server::HttpSettings;
use clientele_core::budget::AnswerSettings;
use clientele_core::network::ListenAddress;
use clientele_delivery::settings::NotificationSettings;
use clientele_domain::audit::AuditSettings;
use clientele_domain::client::ClientSettings;
use clientele_domain::idempotency::IdempotencySettings;
use clientele_storage::db::DatabaseSettings;
pub use database_url::DatabaseUrl;
use graphql_server::settings::GraphqlSettings;
pub use layers::{Flags, load, load_with_origins};
pub use origins::Origins;
pub use redact::{is_path, redacted};

/// A configuration that can't be used, as one sentence for the person who wrote it. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// What the server runs by. Serialised, it shows no secret.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to accept connections: an address or a host name, and a port. Port 0 lets the system pick a free one.
    pub listen: ListenAddress,
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub database_url: DatabaseUrl,
    /// How long after SIGTERM requests are still taken while `/health/ready` says no, in seconds.
    pub shutdown_delay_seconds: u64,
    /// How long requests under way may take to finish after that, in seconds.
    pub shutdown_timeout_seconds: u64,
    pub http: HttpSettings,
    pub answers: AnswerSettings,
    pub rate_limit: RateLimitSettings,
    pub database: DatabaseSettings,
    pub clients: ClientSettings,
    pub legacy: RestSettings,
    pub graphql: GraphqlSettings,
    pub cors: CorsSettings,
    pub authentication: AuthenticationSettings,
    pub idempotency: IdempotencySettings,
    pub notifications: NotificationSettings,
    pub audit: AuditSettings,
    pub log: Log,
}

/// What is logged to standard error, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people, or one JSON object a line for machines.
    pub format: LogFormat,
    /// Least level, or levels by module: `info`, `warn,clientele=debug`. Below a warning only our own crates are heard.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into(),
            database_url: DatabaseUrl::new("sqlite:clientele.db"),
            shutdown_delay_seconds: 0,
            shutdown_timeout_seconds: 10,
            http: HttpSettings::default(),
            answers: AnswerSettings::default(),
            rate_limit: RateLimitSettings::default(),
            database: DatabaseSettings::default(),
            clients: ClientSettings::default(),
            legacy: RestSettings::default(),
            graphql: GraphqlSettings::default(),
            cors: CorsSettings::default(),
            authentication: AuthenticationSettings::default(),
            idempotency: IdempotencySettings::default(),
            notifications: NotificationSettings::default(),
            audit: AuditSettings::default(),
            log: Log::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

#[cfg(test)]
mod tests;
