//! Carries the caller, operation and errors of a request to the log and the metrics.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::response::Response;

use clientele_core::error::Error;

/// The most bytes of the name of an operation in the log.
const LONGEST_NAME: usize = 64;
/// More digits in a row could be the number of an account, a document or a telephone.
const MOST_DIGITS: usize = 4;

/// The caller, operation and size of a request. In its extensions; cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct RequestReport(Arc<Report>);

#[derive(Debug, Default)]
struct Report {
    caller: OnceLock<(&'static str, Option<Arc<str>>)>,
    operation: OnceLock<(Operation, Option<Box<str>>)>,
    received_bytes: AtomicU64,
}

/// The kind of a request whose path and method don't show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads.
    Query,
    /// Changes something.
    Mutation,
    /// Reads what changes, until the caller ends it.
    Subscription,
}

impl RequestReport {
    /// Records the kind of the authenticated caller, and its key unless that is personal data.
    pub fn set_caller(&self, kind: &'static str, key: Option<Arc<str>>) {
        let _ = self.0.caller.set((kind, key));
    }

    /// Records the kind of the operation, and the name that the caller gave it. A name that isn't one of a program is
    /// left out: at most 64 letters, digits and underscores, and at most 4 digits in a row.
    pub fn set_operation(&self, operation: Operation, name: Option<&str>) {
        let name = name.filter(|name| is_of_program(name)).map(Box::from);
        let _ = self.0.operation.set((operation, name));
    }

    /// None until the application has set it.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation.get().map(|(operation, _)| *operation)
    }

    /// The name of the operation, if the caller gave it one.
    pub fn operation_name(&self) -> Option<&str> {
        self.0.operation.get()?.1.as_deref()
    }

    /// Counts bytes of the request's body.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The bytes of the request's body that were read.
    pub fn received_bytes(&self) -> u64 {
        self.0.received_bytes.load(Ordering::Relaxed)
    }

    /// The kind of the caller, and its key.
    pub fn caller(&self) -> (Option<&'static str>, Option<&str>) {
        match self.0.caller.get() {
            Some((kind, key)) => (Some(kind), key.as_deref()),
            None => (None, None),
        }
    }
}

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// Returns true for a name as programs have it, which is no personal data.
fn is_of_program(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let longest_number = name.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(is_plain)
        && longest_number.is_none_or(|digits| digits <= MOST_DIGITS)
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
            | Error::LimitedRights
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
    use super::{LONGEST_NAME, Operation, Reason, RequestReport};

    #[test]
    fn names_of_operations_are_logged_as_programs_have_them() {
        let (longest, too_long) = ("a".repeat(LONGEST_NAME), "a".repeat(LONGEST_NAME + 1));
        for (name, is_logged) in [
            ("GetClient", true),
            ("_report_2026v2", true),
            (&longest, true),
            (&too_long, false),
            ("Client12345", false),
            ("Client1234_5", true),
            ("Get Client", false),
            ("Größe", false),
            ("a-b", false),
            ("", false),
        ] {
            let report = RequestReport::default();
            report.set_operation(Operation::Query, Some(name));
            assert_eq!(report.operation_name(), is_logged.then_some(name), "{name}");
            assert_eq!(report.operation(), Some(Operation::Query));
        }
    }

    #[test]
    fn reasons_stand_at_their_numbers() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at, "{reason:?}");
        }
    }
}
