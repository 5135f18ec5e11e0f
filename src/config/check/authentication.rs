//! Validates the settings of authentication.

use std::ops::RangeInclusive;

use reqwest::Url;

use super::super::ConfigError;
use super::require;
use crate::api::authentication::{AuthenticationSettings, Guard, JwtSettings};

const HOUR: u64 = 60 * 60;
/// A change on one server takes effect on all others within this time.
const STALEST_SECONDS: u64 = 10;

pub(super) fn check(settings: &AuthenticationSettings) -> Result<(), ConfigError> {
    let AuthenticationSettings {
        freshness_seconds,
        failures_per_user,
        failures_per_address,
        failure_window_seconds,
        public_metrics: _,
        jwt,
    } = settings;
    between("freshness_seconds", *freshness_seconds, 0..=STALEST_SECONDS)?;
    between("failures_per_user", (*failures_per_user).into(), 1..=1_000)?;
    between("failures_per_address", (*failures_per_address).into(), 1..=100_000)?;
    between("failure_window_seconds", *failure_window_seconds, 1..=24 * HOUR)?;
    let JwtSettings {
        issuer: _,
        audience: _,
        algorithms: _,
        jwks_url,
        key: _,
        permissions_claim: _,
        role_claim: _,
        leeway_seconds,
        jwks_refresh_seconds,
        jwks_pause_seconds,
        jwks_max_age_seconds,
    } = jwt;
    between("jwt.leeway_seconds", *leeway_seconds, 0..=300)?;
    between("jwt.jwks_refresh_seconds", *jwks_refresh_seconds, 1..=24 * HOUR)?;
    between("jwt.jwks_pause_seconds", *jwks_pause_seconds, 1..=HOUR)?;
    between("jwt.jwks_max_age_seconds", *jwks_max_age_seconds, 60..=30 * 24 * HOUR)?;
    // The keys must outlive a failed fetch and its retry.
    require(*jwks_max_age_seconds >= jwks_refresh_seconds.saturating_mul(2), || {
        "authentication.jwt.jwks_max_age_seconds must be at least twice jwks_refresh_seconds".to_owned()
    })?;
    check_address(jwks_url)?;
    // The guard validates the issuer's keys and algorithms itself.
    Guard::new(settings.clone()).map(|_| ()).map_err(ConfigError)
}

/// Published keys are public. The address is printed with the configuration. The error doesn't repeat it: it may
/// contain a password.
fn check_address(text: &str) -> Result<(), ConfigError> {
    let named = Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
    require(!named, || {
        "authentication.jwt.jwks_url must not hold credentials: published keys are fetched without".to_owned()
    })
}

fn between(key: &str, number: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    require(range.contains(&number), || {
        format!(
            "authentication.{key} must be between {} and {}",
            range.start(),
            range.end()
        )
    })
}
