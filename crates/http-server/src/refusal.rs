//! The reasons for responses in place of those of the application: limits of the server, and panics.

use axum::http::StatusCode;

use crate::report::{ErrorReport, LogCause, Reason};

/// The reason why the application has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body did not arrive in time.
    BodyTimeout,
    /// The server has as many requests as it can answer.
    Overload,
    /// The caller sends requests too fast.
    RateLimit { retry_after_seconds: u64 },
    /// The application panicked.
    Panic,
}

impl Refusal {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::RateLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) const fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::Overload => Some(1),
            Self::RateLimit { retry_after_seconds } => Some(retry_after_seconds),
            Self::BodyTimeout | Self::Panic => None,
        }
    }

    /// The entry for the log and the metrics, without the code, which depends on the form of the response.
    pub(crate) fn report(self) -> ErrorReport {
        let (refused, cause) = match self {
            Self::BodyTimeout => (Some(Reason::BodyTimeout), None),
            Self::Overload => (Some(Reason::Overload), Some(LogCause::new("overload"))),
            Self::RateLimit { .. } => (Some(Reason::RateLimit), None),
            Self::Panic => (None, Some(LogCause::new("panic"))),
        };
        ErrorReport {
            codes: Vec::new(),
            cause,
            refused,
        }
    }
}
