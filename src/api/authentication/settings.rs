//! Settings of authentication.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use clientele_core::secret::Secret;
use clientele_domain::{access::SessionSettings, caller::throttle::Allowance};

/// The settings of passwords, tokens and the throttle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationSettings {
    /// The time that a server uses a cached user or token before it reads it again, at most 10 s.
    pub freshness_seconds: u64,
    /// The failures of one user from one address that are allowed in the window.
    pub failures_per_user: u32,
    /// The failures of all users from one address that are allowed in the window.
    pub failures_per_address: u32,
    pub failure_window_seconds: u64,
    /// True if /metrics needs no authentication.
    pub public_metrics: bool,
    pub sessions: SessionSettings,
    pub jwt: JwtSettings,
}

/// The issuer whose tokens are accepted in addition to API tokens. None without an issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtSettings {
    /// The expected claim `iss`.
    pub issuer: String,
    /// A value that the claim `aud` must contain.
    pub audience: String,
    /// The accepted algorithms, such as RS256.
    pub algorithms: Vec<String>,
    /// The URL at which the issuer publishes its keys.
    pub jwks_url: String,
    /// In place of the URL: a public key in PEM, or the secret of an HS algorithm.
    pub key: Secret,
    /// The claim with the permissions.
    pub permissions_claim: String,
    /// The claims with the branches and the centres to which the bearer is limited. Empty: issued tokens have no limit.
    pub branches_claim: String,
    pub centres_claim: String,
    /// The claim with the role. Empty: issued tokens have no role.
    pub role_claim: String,
    /// The allowed difference between the issuer's clock and the server's.
    pub leeway_seconds: u64,
    /// The interval of fetching the keys.
    pub jwks_refresh_seconds: u64,
    /// The shortest time between two fetches, for an unknown key or after a failure.
    pub jwks_pause_seconds: u64,
    /// Keys that could not be renewed for this long verify no tokens.
    pub jwks_max_age_seconds: u64,
}

impl AuthenticationSettings {
    pub(super) fn freshness(&self) -> Duration {
        Duration::from_secs(self.freshness_seconds)
    }

    pub(super) fn allowance(&self, failures: u32) -> Allowance {
        Allowance {
            failures,
            window: Duration::from_secs(self.failure_window_seconds),
        }
    }
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        Self {
            freshness_seconds: 5,
            failures_per_user: 10,
            failures_per_address: 100,
            failure_window_seconds: 300,
            public_metrics: false,
            sessions: SessionSettings::default(),
            jwt: JwtSettings::default(),
        }
    }
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            algorithms: ["RS256", "PS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
            jwks_url: String::new(),
            key: Secret::default(),
            permissions_claim: "permissions".to_owned(),
            branches_claim: String::new(),
            centres_claim: String::new(),
            role_claim: String::new(),
            leeway_seconds: 30,
            jwks_refresh_seconds: 600,
            jwks_pause_seconds: 5,
            jwks_max_age_seconds: 86_400,
        }
    }
}
