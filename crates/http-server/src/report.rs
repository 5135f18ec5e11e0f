//! Carries the caller, operation and errors of a request to the log and the metrics.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use axum::response::Response;

use clientele_core::error::Error;

/// The caller and operation of a request. In its extensions; cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct RequestReport(Arc<Report>);

#[derive(Debug, Default)]
struct Report {
    caller: OnceLock<(&'static str, Option<Arc<str>>)>,
    operation: OnceLock<Operation>,
}

/// The kind of a request whose path and method don't show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads.
    Query,
    /// Changes something.
    Mutation,
}

impl RequestReport {
    /// Records the kind of the authenticated caller, and its key unless that is personal data.
    pub fn set_caller(&self, kind: &'static str, key: Option<Arc<str>>) {
        let _ = self.0.caller.set((kind, key));
    }

    pub fn set_operation(&self, operation: Operation) {
        let _ = self.0.operation.set(operation);
    }

    /// None until the application has set it.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation.get().copied()
    }

    /// The kind of the caller, and its key.
    pub fn caller(&self) -> (Option<&'static str>, Option<&str>) {
        match self.0.caller.get() {
            Some((kind, key)) => (Some(kind), key.as_deref()),
            None => (None, None),
        }
    }
}

/// The errors of a response. In the response's extensions, which the caller doesn't see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorReport {
    /// The codes of the errors, each of a closed set.
    pub codes: Vec<&'static str>,
    /// Set when the server is at fault.
    pub cause: Option<LogCause>,
    /// The limit that refused the request, if one did.
    pub refused: Option<Reason>,
}

impl ErrorReport {
    /// Adds these errors to those of the response so far.
    pub fn add_to(self, response: &mut Response) {
        response.extensions_mut().get_or_insert_default::<Self>().add(self);
    }

    /// Adds the errors of another report.
    pub fn add(&mut self, other: Self) {
        self.codes.extend(other.codes);
        self.cause = self.cause.take().or(other.cause);
        self.refused = self.refused.or(other.refused);
    }
}

/// The fault of the server, for the log. Holds no data of requests or of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCause {
    pub text: Cow<'static, str>,
    pub refused: Option<Reason>,
}

impl LogCause {
    pub const fn new(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            refused: None,
        }
    }

    /// None for errors that the caller can correct.
    pub fn of(error: &Error) -> Option<Self> {
        let refused = match error {
            Error::TimedOut => Some(Reason::RequestTimeout),
            Error::Busy => Some(Reason::Memory),
            Error::Unavailable(_) | Error::ReadOnly | Error::Internal(_) => None,
            Error::Unauthenticated
            | Error::TooManyAttempts(_)
            | Error::Forbidden(_)
            | Error::Conflict
            | Error::TooLarge { .. } => return None,
        };
        Some(Self {
            text: error.kind().into(),
            refused,
        })
    }
}

/// The limit that refused a request or a connection. Its name in the metrics is the name here in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    Overload,
    RateLimit,
    SignInThrottle,
    SignInQueue,
    BodySize,
    BodyTimeout,
    RequestTimeout,
    Memory,
    Connections,
    HeaderSize,
    HeaderTimeout,
    SendTimeout,
    TlsHandshake,
    Malformed,
    Flood,
}

/// The error of a connection that must not be read further.
impl std::error::Error for Reason {}

impl Reason {
    /// All reasons, each at the position of its number.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_stand_at_their_numbers() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at, "{reason:?}");
        }
    }
}
