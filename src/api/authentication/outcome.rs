//! Classifies sign-ins by method and outcome, for the metrics.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::{
    Refusal,
    credentials::{self, Credentials},
};
use crate::api::metrics::{SignInMethod, SignInOutcome};
use clientele_domain::access::Account;

impl SignInMethod {
    /// Returns none also for credentials of an unknown form.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match credentials::read(headers) {
            Ok(Some(Credentials::Password(_))) => Self::Password,
            Ok(Some(Credentials::Token(_))) => Self::Token,
            Ok(Some(Credentials::Issued(_))) => Self::IssuedToken,
            Ok(None) | Err(_) => Self::None,
        }
    }
}

impl SignInOutcome {
    pub(super) fn of(account: &Result<Arc<Account>, Refusal>) -> Self {
        match account {
            Ok(_) => Self::Success,
            Err(Refusal::Missing(_)) => Self::Missing,
            Err(Refusal::Wrong) => Self::Wrong,
            Err(Refusal::TooMany(_)) => Self::Throttled,
            Err(Refusal::Busy) => Self::Busy,
            Err(Refusal::IssuerAway(_) | Refusal::Surprise(_)) => Self::Failed,
        }
    }
}
