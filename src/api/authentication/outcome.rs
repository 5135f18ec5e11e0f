//! How callers sign in and what comes of it, as the metrics tell them apart.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::{
    Refusal,
    credentials::{self, Credentials},
};
use crate::access::Account;

/// By what a caller signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    None,
    Password,
    Token,
    IssuedToken,
}

impl Method {
    pub const ALL: [Self; 4] = [Self::None, Self::Password, Self::Token, Self::IssuedToken];

    /// None, too, when the credentials have no known form.
    pub fn of(headers: &HeaderMap) -> Self {
        match credentials::read(headers) {
            Ok(Some(Credentials::Password(_))) => Self::Password,
            Ok(Some(Credentials::Token(_))) => Self::Token,
            Ok(Some(Credentials::Issued(_))) => Self::IssuedToken,
            Ok(None) | Err(_) => Self::None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Token => "token",
            Self::IssuedToken => "issued_token",
        }
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Missing,
    Wrong,
    Throttled,
    Busy,
    Failed,
}

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::Success,
        Self::Missing,
        Self::Wrong,
        Self::Throttled,
        Self::Busy,
        Self::Failed,
    ];

    pub fn of(account: &Result<Arc<Account>, Refusal>) -> Self {
        match account {
            Ok(_) => Self::Success,
            Err(Refusal::Missing(_)) => Self::Missing,
            Err(Refusal::Wrong) => Self::Wrong,
            Err(Refusal::TooMany(_)) => Self::Throttled,
            Err(Refusal::Busy) => Self::Busy,
            Err(Refusal::Surprise(_)) => Self::Failed,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}
