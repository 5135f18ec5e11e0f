//! The errors this door sends: a closed list of codes, and which sentence a caller may see.
//!
//! Nothing is shown because it happens to have a text: only a [`Fault`], a domain [`Error`](clientele_core::error::Error) and errors
//! that carry one of our codes keep theirs. Whatever else comes out of a resolver leaves as INTERNAL, without its words.

use std::borrow::Cow;

use async_graphql::{
    PathSegment, Pos, ServerError, Value,
    parser::types::{Field, Selection, SelectionSet},
};

use crate::api::{authentication::Refusal, report::LogCause};
use clientele_core::{
    budget::Size,
    error::{Cause, Error},
};

/// Why a request, or a part of it, has no answer. Callers branch on these names, so the list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    ParseFailed,
    ValidationFailed,
    BadUserInput,
    BadRequest,
    Unauthenticated,
    Forbidden,
    QueryTooComplex,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    Conflict,
    RateLimited,
    Timeout,
    Unavailable,
    Internal,
}

impl Code {
    const ALL: [Self; 14] = [
        Self::ParseFailed,
        Self::ValidationFailed,
        Self::BadUserInput,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::QueryTooComplex,
        Self::PersistedQueryNotFound,
        Self::PersistedQueryNotSupported,
        Self::Conflict,
        Self::RateLimited,
        Self::Timeout,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name in `extensions.code`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::Conflict => "CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

/// Path of a value at fault, from the variable or the argument that the caller sent it in.
#[derive(Debug, Clone, PartialEq)]
pub struct InputPath(pub Vec<PathSegment>);

/// An error with a code and a sentence made for the caller. A resolver returns one with `?`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub code: Code,
    pub message: Cow<'static, str>,
    /// Where in the document, when it is about the document.
    pub locations: Vec<Pos>,
    /// None when it is about no value in the input. Boxed, as most faults have none.
    pub input_path: Option<Box<InputPath>>,
    /// What is wrong with the server, for the log.
    pub cause: Option<LogCause>,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            locations: Vec::new(),
            input_path: None,
            cause: None,
        }
    }

    /// The same, with a cause for the log, which callers don't see.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Option<LogCause>>) -> Self {
        self.cause = cause.into();
        self
    }

    /// The same, about a value in the input.
    #[must_use]
    pub fn of_input(mut self, path: Vec<PathSegment>) -> Self {
        self.input_path = (!path.is_empty()).then(|| Box::new(InputPath(path)));
        self
    }

    #[must_use]
    pub fn at(mut self, pos: Pos) -> Self {
        self.locations.push(pos);
        self
    }

    /// Names may be as long as the document.
    fn clipped(mut self) -> Self {
        if let Some((end, _)) = self.message.char_indices().nth(LONGEST_MESSAGE) {
            self.message = format!("{}…", &self.message[..end]).into();
        }
        self
    }
}

/// More than these nobody reads, and an answer must not be much larger than its request.
const MOST_FAULTS: usize = 20;
const LONGEST_MESSAGE: usize = 300;

/// Why a request wasn't executed at all: at least one fault, each once, in the order of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused(Vec<Fault>);

impl Refused {
    /// What spells out fragments, or looks at a document twice, tells some faults again and again, and the engine tells some
    /// in the order of a hash map: here the same refusal gets the same words.
    #[must_use]
    pub fn new(mut faults: Vec<Fault>) -> Self {
        let place = |fault: &Fault| fault.locations.first().map(|place| (place.line, place.column));
        faults.sort_by(|one, other| {
            place(one)
                .cmp(&place(other))
                .then_with(|| one.message.cmp(&other.message))
        });
        faults.dedup();
        faults.truncate(MOST_FAULTS);
        Self(faults.into_iter().map(Fault::clipped).collect())
    }

    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }

    /// The code that decides the HTTP status: the first fault's.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.first().map_or(Code::Internal, |fault| fault.code)
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(vec![fault.clipped()])
    }
}

pub(in crate::api) const INTERNAL: &str =
    "Something went wrong on the server. Its log has the cause under the request id.";

/// What the caller learns of a failed field, which `asked` leads to.
pub(super) fn shown(error: &ServerError, asked: &SelectionSet) -> Fault {
    if let Some(fault) = error.source::<Fault>() {
        return fault.clone();
    }
    if let Some(cause) = error.source::<Error>() {
        return of_domain(cause);
    }
    if let Some(Value::String(name)) = error.extensions.as_ref().and_then(|all| all.get("code"))
        && let Some(code) = Code::from_name(name)
    {
        return Fault::new(code, error.message.clone());
    }
    // A value that passed preparation but not the type's own `parse`. The engine's text repeats the value, so it isn't used.
    if error.source.is_none()
        && (error.message.starts_with("Failed to parse \"") || error.message.starts_with("Expected input type \""))
    {
        let message = "An argument of this field has a value that its type does not accept.";
        return Fault::new(Code::BadUserInput, message);
    }
    let field = field(&error.path, asked);
    Fault::new(Code::Internal, INTERNAL).because(LogCause {
        text: format!("an error of no known kind in the field {field}").into(),
        refused: None,
    })
}

/// The schema's names of the fields on the way to an error, for the log: the answer's own path holds what the caller calls them.
fn field(path: &[PathSegment], mut asked: &SelectionSet) -> String {
    let mut names = Vec::new();
    for segment in path {
        let PathSegment::Field(key) = segment else { continue };
        let Some(field) = find(asked, key) else { break };
        names.push(field.name.node.as_str());
        asked = &field.selection_set.node;
    }
    names.join(".")
}

/// The field of a prepared selection that is answered under `key`; of several types' the first.
fn find<'a>(asked: &'a SelectionSet, key: &str) -> Option<&'a Field> {
    asked.items.iter().find_map(|item| match &item.node {
        Selection::Field(field) => (field.node.response_key().node == key).then_some(&field.node),
        Selection::InlineFragment(part) => find(&part.node.selection_set.node, key),
        Selection::FragmentSpread(_) => None,
    })
}

/// A domain surprise as this API tells it.
pub(super) fn of_domain(error: &Error) -> Fault {
    let (code, message): (_, Cow<'static, str>) = match error {
        Error::Unauthenticated => (Code::Unauthenticated, Refusal::Wrong.sentence().into()),
        Error::TooManyAttempts(wait) => (Code::RateLimited, Refusal::TooMany(*wait).sentence().into()),
        Error::Forbidden(permission) => (
            Code::Forbidden,
            format!("This needs the permission {}.", permission).into(),
        ),
        Error::Conflict => (
            Code::Conflict,
            "Other changes to the same data kept getting in between. Try again.".into(),
        ),
        Error::Unavailable(Cause::HashingQueue) => (
            Code::Unavailable,
            "The server has more passwords to hash than it can. Try again shortly.".into(),
        ),
        Error::Unavailable(_) => (
            Code::Unavailable,
            "The database can't be reached at the moment. Try again shortly.".into(),
        ),
        Error::ReadOnly => (
            Code::Unavailable,
            "The database accepts no changes at the moment. Try again later.".into(),
        ),
        Error::TimedOut => (Code::Timeout, TIMED_OUT.into()),
        Error::TooLarge { most } => {
            let most = Size(*most);
            let message = format!(
                "This takes more than the {most} that one answer may take: ask for fewer entries, or for fewer fields."
            );
            (Code::QueryTooComplex, message.into())
        }
        Error::Busy => (Code::Unavailable, BUSY.into()),
        Error::Internal(_) => (Code::Internal, INTERNAL.into()),
    };
    Fault::new(code, message).because(LogCause::of(error))
}

pub(in crate::api) const BUSY: &str = "The server has more to do than it can. Try again shortly.";
const TIMED_OUT: &str = "This took longer than the server allows and was ended. Nothing of it has been stored.";

/// The fault for a request whose time is over.
pub(super) fn timed_out() -> Fault {
    of_domain(&Error::TimedOut)
}

/// The fault for a defect of ours that has nothing to do with one field, such as a panic.
pub(super) fn internal() -> Fault {
    Fault::new(Code::Internal, INTERNAL).because(LogCause::new("panic"))
}
