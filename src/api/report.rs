//! Carries a request's caller, operation and errors to logging and metrics.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use axum::response::Response;

use clientele_core::error::Error;
use clientele_domain::caller::{Caller, CallerKind};

/// Reports what is known of a request before its response. In the request's extensions; cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct RequestReport(Arc<Report>);

#[derive(Debug, Default)]
struct Report {
    caller: OnceLock<(CallerKind, Arc<str>)>,
    operation: OnceLock<GraphqlOperation>,
}

/// The kind of a GraphQL operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphqlOperation {
    Query,
    Mutation,
}

impl RequestReport {
    pub(super) fn set_caller(&self, caller: &Caller) {
        let _ = self.0.caller.set((caller.kind, caller.id.clone()));
    }

    pub(super) fn set_operation(&self, operation: GraphqlOperation) {
        let _ = self.0.operation.set(operation);
    }

    /// None before the document of the request has been validated.
    pub fn operation(&self) -> Option<GraphqlOperation> {
        self.0.operation.get().copied()
    }

    /// The kind of the caller, and the key of a user or token of ours. Their names are personal data, and so may be
    /// what an issuer calls its subjects.
    pub fn caller(&self) -> (Option<&'static str>, Option<&str>) {
        let caller = self.0.caller.get();
        let key = caller.filter(|(kind, _)| matches!(kind, CallerKind::User | CallerKind::Token));
        (caller.map(|(kind, _)| kind.as_str()), key.map(|(_, key)| &**key))
    }
}

/// Why a response has errors. In the response's extensions, which no caller sees.
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
    /// Adds to what is known of the response so far.
    pub(super) fn add_to(self, response: &mut Response) {
        response.extensions_mut().get_or_insert_default::<Self>().add(self);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.codes.extend(other.codes);
        self.cause = self.cause.take().or(other.cause);
        self.refused = self.refused.or(other.refused);
    }
}

/// What is wrong with the server, for a line of the log. Holds nothing of requests or of what is stored.
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

    /// None for errors that the caller can mend.
    pub fn of(error: &Error) -> Option<Self> {
        let refused = match error {
            Error::Unauthenticated
            | Error::TooManyAttempts(_)
            | Error::Forbidden(_)
            | Error::Conflict
            | Error::TooLarge { .. } => return None,
            Error::TimedOut => Some(Reason::RequestTimeout),
            Error::Busy => Some(Reason::Memory),
            Error::Unavailable(_) | Error::ReadOnly | Error::Internal(_) => None,
        };
        Some(Self {
            text: error.kind().into(),
            refused,
        })
    }
}

/// The limit that refused a request or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Reason {
    pub const ALL: [Self; 15] = [
        Self::Overload,
        Self::RateLimit,
        Self::SignInThrottle,
        Self::SignInQueue,
        Self::BodySize,
        Self::BodyTimeout,
        Self::RequestTimeout,
        Self::Memory,
        Self::Connections,
        Self::HeaderSize,
        Self::HeaderTimeout,
        Self::SendTimeout,
        Self::TlsHandshake,
        Self::Malformed,
        Self::Flood,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::RateLimit => "rate_limit",
            Self::SignInThrottle => "sign_in_throttle",
            Self::SignInQueue => "sign_in_queue",
            Self::BodySize => "body_size",
            Self::BodyTimeout => "body_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::Memory => "memory",
            Self::Connections => "connections",
            Self::HeaderSize => "header_size",
            Self::HeaderTimeout => "header_timeout",
            Self::SendTimeout => "send_timeout",
            Self::TlsHandshake => "tls_handshake",
            Self::Malformed => "malformed",
            Self::Flood => "flood",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_stand_at_their_numbers() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{reason:?}");
        }
    }
}
