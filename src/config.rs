//! All settings with their defaults. Each part of the server owns the struct of its settings; this module combines
//! them.
//!
//! `config.example.toml` documents the same settings for operators, and a test keeps both in step. This module only
//! checks that values are valid; it doesn't know their effect.

mod check;
mod environment;
mod known;
mod layer;
mod layers;
mod redact;
mod sentence;

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::api::authentication::AuthenticationSettings;
use crate::api::cors::CorsSettings;
use crate::api::playground::PlaygroundSettings;
use crate::api::rest::RestSettings;
use crate::telemetry::TelemetrySettings;
pub use crate::telemetry::{Log, LogFormat};
use clientele_core::budget::AnswerSettings;
use clientele_core::network::ListenAddress;
use clientele_delivery::settings::NotificationSettings;
use clientele_domain::audit::AuditSettings;
use clientele_domain::changes::ChangeSettings;
use clientele_domain::client::ClientSettings;
use clientele_domain::idempotency::IdempotencySettings;
use clientele_storage::db::DatabaseSettings;
use graphql_server::settings::GraphqlSettings;
use http_server::{HttpSettings, rate_limit::RateLimitSettings};
pub use layers::{Flags, Origins, load, load_with_origins};
pub use redact::{DatabaseUrl, is_path, redacted};

/// An invalid configuration, as one sentence for the operator. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The server's configuration. Its serialized form shows no secret.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen on: an IP address or a host name, and a port. For port 0, the system picks a free one.
    pub listen: ListenAddress,
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub database_url: DatabaseUrl,
    /// The time in seconds after SIGTERM in which requests are still accepted while `/health/ready` answers 503.
    pub shutdown_delay_seconds: u64,
    /// The time limit in seconds for requests in progress after that.
    pub shutdown_timeout_seconds: u64,
    pub http: HttpSettings,
    pub answers: AnswerSettings,
    pub rate_limit: RateLimitSettings,
    pub database: DatabaseSettings,
    pub clients: ClientSettings,
    pub legacy: RestSettings,
    pub graphql: GraphqlSettings,
    pub cors: CorsSettings,
    pub playground: PlaygroundSettings,
    pub authentication: AuthenticationSettings,
    pub idempotency: IdempotencySettings,
    pub notifications: NotificationSettings,
    pub audit: AuditSettings,
    pub changes: ChangeSettings,
    pub log: Log,
    pub telemetry: TelemetrySettings,
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
            playground: PlaygroundSettings::default(),
            authentication: AuthenticationSettings::default(),
            idempotency: IdempotencySettings::default(),
            notifications: NotificationSettings::default(),
            audit: AuditSettings::default(),
            changes: ChangeSettings::default(),
            log: Log::default(),
            telemetry: TelemetrySettings::default(),
        }
    }
}

#[cfg(test)]
mod tests;
