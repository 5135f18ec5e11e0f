//! Settings of signing in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use clientele_core::secret::Secret;
use clientele_domain::caller::throttle::Allowance;

/// How callers sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationSettings {
    /// How long a server goes on with what it knows of a user or token before it looks again, at most 10 s.
    pub freshness_seconds: u64,
    /// So many failures of one user from one address are looked at in the course of the window.
    pub failures_per_user: u32,
    /// The same of all users from one address.
    pub failures_per_address: u32,
    pub failure_window_seconds: u64,
    /// Whether /metrics answers everybody.
    pub public_metrics: bool,
    pub jwt: JwtSettings,
}

/// Whose tokens are taken beside our own. None as long as there is no issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtSettings {
    /// The claim `iss`.
    pub issuer: String,
    /// What must be in the claim `aud`.
    pub audience: String,
    /// The algorithms that are taken, as RS256.
    pub algorithms: Vec<String>,
    /// Where the issuer publishes its keys.
    pub jwks_url: String,
    /// Instead of that, one public key in PEM, or the secret of an HS algorithm.
    pub key: Secret,
    /// The claim with the permissions.
    pub permissions_claim: String,
    /// The claim with the role. Empty: no issued token has one.
    pub role_claim: String,
    /// How far the issuer's clock may be from ours.
    pub leeway_seconds: u64,
    /// Keys are fetched again after this many seconds.
    pub jwks_refresh_seconds: u64,
    /// Shortest time between two fetches, for an unknown key or after a failure.
    pub jwks_pause_seconds: u64,
    /// Keys that could not be fetched again for this long check no token any more.
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
            role_claim: String::new(),
            leeway_seconds: 30,
            jwks_refresh_seconds: 600,
            jwks_pause_seconds: 5,
            jwks_max_age_seconds: 86_400,
        }
    }
}
