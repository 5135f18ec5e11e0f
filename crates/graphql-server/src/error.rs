//! Errors in answers: a closed list of codes, and the sentences that callers see.
//!
//! Only a [`GraphqlError`] and an [`Error`](clientele_core::error::Error) keep their text. Any other error of a
//! resolver is answered as INTERNAL, without its text.

use std::borrow::Cow;

use async_graphql::{
    PathSegment, Pos, ServerError,
    parser::types::{Field, Selection, SelectionSet},
};
use axum::http::StatusCode;

use crate::{engine_text, suggestion};
use clientele_core::{
    budget::Size,
    error::{self, Error, sentence},
};

/// The code of an error. Callers branch on these names, so the list is closed.
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
    Gone,
    TooSlow,
    RateLimited,
    Timeout,
    Unavailable,
    Internal,
}

impl Code {
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
            Self::Gone => "GONE",
            Self::TooSlow => "TOO_SLOW",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// The cause of an error that the server is at fault for, for the log. Holds nothing of requests or of stored data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub text: Cow<'static, str>,
    /// The budget of requests that was exceeded, if one was.
    pub budget: Option<BudgetKind>,
}

/// A budget that requests have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetKind {
    Time,
    Memory,
}

impl Cause {
    pub const fn new(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            budget: None,
        }
    }

    /// None for errors that the caller can correct.
    pub fn of(error: &Error) -> Option<Self> {
        let budget = match error {
            Error::Unauthenticated
            | Error::TooManyAttempts(_)
            | Error::Forbidden(_)
            | Error::LimitedRights
            | Error::Conflict
            | Error::TooLarge { .. } => return None,
            Error::TimedOut => Some(BudgetKind::Time),
            Error::Busy => Some(BudgetKind::Memory),
            Error::Unavailable(_) | Error::ReadOnly | Error::Internal(_) => None,
        };
        Some(Self {
            text: error.kind().into(),
            budget,
        })
    }
}

/// An error with a code and a sentence for the caller. A resolver returns one with `?`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct GraphqlError {
    pub code: Code,
    pub message: Cow<'static, str>,
    /// The message for callers who may not read the schema, if the other one has names from it.
    pub(crate) without_names: Option<Box<MessageWithoutNames>>,
    /// The positions in the document, if the error is about the document.
    pub locations: Vec<Pos>,
    /// The path of a wrong value, from the variable or the argument that contains it. Empty if there is none.
    pub input_path: Vec<PathSegment>,
    /// The cause for the log, if the server is at fault.
    pub cause: Option<Cause>,
}

/// A message that has no names of the schema but those of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageWithoutNames(pub String);

impl GraphqlError {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            without_names: None,
            locations: Vec::new(),
            input_path: Vec::new(),
            cause: None,
        }
    }

    /// Adds a cause for the log, which callers don't see.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Option<Cause>>) -> Self {
        self.cause = cause.into();
        self
    }

    /// Adds the path of a wrong value in the input.
    #[must_use]
    pub fn of_input(mut self, path: Vec<PathSegment>) -> Self {
        self.input_path = path;
        self
    }

    #[must_use]
    pub fn at(mut self, pos: Pos) -> Self {
        self.locations.push(pos);
        self
    }

    /// Removes the names of the schema that the document doesn't have.
    pub(crate) fn remove_names(&mut self) {
        match self.without_names.take() {
            Some(message) => self.message = message.0.into(),
            None => suggestion::remove(self.message.to_mut()),
        }
    }

    /// Shortens the message, which can contain names as long as the document.
    fn clipped(mut self) -> Self {
        if let Some((end, _)) = self.message.char_indices().nth(LONGEST_MESSAGE) {
            self.message = format!("{}…", &self.message[..end]).into();
        }
        self
    }
}

/// The most errors of one answer, which must not be much larger than its request.
const MOST_ERRORS: usize = 20;
const LONGEST_MESSAGE: usize = 300;

/// The errors of a request that isn't executed: at least one, each once, in the order of the document.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the request isn't executed")]
pub struct RequestError {
    pub(crate) errors: Vec<GraphqlError>,
    /// The cost of the operation. None when the request was refused before it was known.
    pub cost: Option<usize>,
    /// The status for every media type, if the request breaks the rules of HTTP, or of GraphQL over it.
    pub(crate) status: Option<StatusCode>,
}

impl RequestError {
    /// Sorts the errors and removes duplicates: a check that expands fragments finds some errors many times, and
    /// async-graphql reports some in the order of a hash map.
    #[must_use]
    pub fn new(mut errors: Vec<GraphqlError>) -> Self {
        let place = |error: &GraphqlError| error.locations.first().map(|place| (place.line, place.column));
        errors.sort_by(|one, other| {
            place(one)
                .cmp(&place(other))
                .then_with(|| one.message.cmp(&other.message))
        });
        errors.dedup();
        errors.truncate(MOST_ERRORS);
        Self {
            errors: errors.into_iter().map(GraphqlError::clipped).collect(),
            cost: None,
            status: None,
        }
    }

    /// The error of a request that breaks the rules of HTTP, or of GraphQL over it.
    pub(crate) fn http(status: StatusCode, message: &'static str) -> Self {
        let code = match status {
            StatusCode::FORBIDDEN => Code::Forbidden,
            _ => Code::BadRequest,
        };
        Self {
            status: Some(status),
            ..GraphqlError::new(code, message).into()
        }
    }

    /// The error of a request that can't be read, for every media type.
    pub(crate) fn bad_request(error: GraphqlError) -> Self {
        Self {
            status: Some(StatusCode::BAD_REQUEST),
            ..error.into()
        }
    }

    /// The errors that end a subscription, of fields in this selection.
    pub(crate) fn of_subscription(errors: &[ServerError], selection: &SelectionSet) -> Self {
        let shown = |error: &ServerError| GraphqlError {
            locations: error.locations.clone(),
            ..shown(error, selection)
        };
        Self::new(errors.iter().map(shown).collect())
    }

    #[must_use]
    pub fn errors(&self) -> &[GraphqlError] {
        &self.errors
    }

    /// The code of the first error, which decides the HTTP status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.errors.first().map_or(Code::Internal, |error| error.code)
    }
}

impl From<GraphqlError> for RequestError {
    fn from(error: GraphqlError) -> Self {
        Self {
            errors: vec![error.clipped()],
            cost: None,
            status: None,
        }
    }
}

/// The error that the caller sees for a failed field in this selection.
pub(crate) fn shown(error: &ServerError, selection: &SelectionSet) -> GraphqlError {
    if let Some(error) = error.source::<GraphqlError>() {
        return error.clone();
    }
    if let Some(cause) = error.source::<Error>() {
        return cause.into();
    }
    if error.source.is_none() && engine_text::is_unparsable_value(&error.message) {
        let message = "An argument of this field has a value that its type does not accept.";
        return GraphqlError::new(Code::BadUserInput, message);
    }
    let field = field(&error.path, selection);
    GraphqlError::new(Code::Internal, sentence::INTERNAL).because(Cause {
        text: format!("an error of no known kind in the field {field}").into(),
        budget: None,
    })
}

/// The path to an error in the schema's names, for the log. The answer's own path has the caller's response keys.
fn field(path: &[PathSegment], mut selection: &SelectionSet) -> String {
    let mut names = Vec::new();
    for segment in path {
        let PathSegment::Field(key) = segment else { continue };
        let Some(field) = find(selection, key) else { break };
        names.push(field.name.node.as_str());
        selection = &field.selection_set.node;
    }
    names.join(".")
}

/// The field with this response key in a prepared selection. If several types have one, the first.
fn find<'a>(selection: &'a SelectionSet, key: &str) -> Option<&'a Field> {
    selection.items.iter().find_map(|item| match &item.node {
        Selection::Field(field) => (field.node.response_key().node == key).then_some(&field.node),
        Selection::InlineFragment(part) => find(&part.node.selection_set.node, key),
        Selection::FragmentSpread(_) => None,
    })
}

impl From<&Error> for GraphqlError {
    fn from(error: &Error) -> Self {
        let (code, message): (_, Cow<'static, str>) = match error {
            Error::Unauthenticated => (Code::Unauthenticated, sentence::WRONG_CREDENTIALS.into()),
            Error::TooManyAttempts(_) => (Code::RateLimited, sentence::TOO_MANY_ATTEMPTS.into()),
            Error::Forbidden(permission) => (
                Code::Forbidden,
                format!("This needs the permission {}.", permission).into(),
            ),
            Error::LimitedRights => (Code::Forbidden, sentence::LIMITED_RIGHTS.into()),
            Error::Conflict => (
                Code::Conflict,
                "Other changes to the same data kept getting in between. Try again.".into(),
            ),
            Error::Unavailable(error::Cause::HashingQueue) => (
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
                    "This takes more than the {most} that one answer may take: ask for fewer entries, or for fewer \
                     fields."
                );
                (Code::QueryTooComplex, message.into())
            }
            Error::Busy => (Code::Unavailable, sentence::BUSY.into()),
            Error::Internal(_) => (Code::Internal, sentence::INTERNAL.into()),
        };
        Self::new(code, message).because(Cause::of(error))
    }
}

const TIMED_OUT: &str = "This took longer than the server allows and was ended. Nothing of it has been stored.";

/// The error of a request whose time is over.
pub(crate) fn timed_out() -> GraphqlError {
    (&Error::TimedOut).into()
}

/// The error of a defect of the server that isn't about one field, such as a panic.
pub(crate) fn internal() -> GraphqlError {
    GraphqlError::new(Code::Internal, sentence::INTERNAL).because(Cause::new("panic"))
}
