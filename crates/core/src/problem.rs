//! Problems of an input: a code, a message and a path. They are expected outcomes, not errors.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::text_enum;

text_enum! {
    /// The kind of a problem with the input.
    #[graphql(name = "UserErrorCode")]
    ProblemCode {
        /// A required value is missing.
        Blank = "BLANK",
        /// The value doesn't have the required format.
        Malformed = "MALFORMED",
        /// The value isn't allowed here.
        Invalid = "INVALID",
        /// The text contains a control character. A line break counts as one where the text must be a single line.
        InvalidCharacter = "INVALID_CHARACTER",
        /// The text is longer than allowed.
        TooLong = "TOO_LONG",
        /// The list has more entries than allowed.
        TooMany = "TOO_MANY",
        /// Null isn't accepted here: omit the list to leave it unchanged, or send `[]` to empty it.
        NullList = "NULL_LIST",
        /// No object has this ID or key.
        NotFound = "NOT_FOUND",
        /// The key doesn't belong to an entry of this client.
        NotOwned = "NOT_OWNED",
        /// The list names the same entry twice.
        Duplicate = "DUPLICATE",
        /// The value must be unique, and is already used or reserved.
        Taken = "TAKEN",
        /// Another client has the same document, phone number, e-mail address or name: see the configured checks.
        DuplicateClient = "DUPLICATE_CLIENT",
        /// The value can no longer be changed.
        NotEditable = "NOT_EDITABLE",
        /// The client can't change from its state to this one.
        InvalidTransition = "INVALID_TRANSITION",
        /// The client is blacklisted: only its state can be changed.
        Blacklisted = "BLACKLISTED",
        /// Other clients link to the client, so it can't be deleted; or it links to the client that would be merged
        /// into it.
        StillLinked = "STILL_LINKED",
        /// The client has been merged into another one.
        AlreadyMerged = "ALREADY_MERGED",
        /// Two identifiers name two different clients.
        Mismatch = "MISMATCH",
        /// The text isn't one bare e-mail address.
        NotAnEmailAddress = "NOT_AN_EMAIL_ADDRESS",
        /// The value isn't a date of the form YYYY-MM-DD.
        NotADate = "NOT_A_DATE",
        /// The value isn't a decimal number of up to 30 digits.
        NotANumber = "NOT_A_NUMBER",
        /// The value is neither TRUE nor FALSE.
        NotACheckbox = "NOT_A_CHECKBOX",
        /// The value isn't one of the available options.
        NotAnOption = "NOT_AN_OPTION",
        /// The text doesn't match the field's pattern.
        PatternMismatch = "PATTERN_MISMATCH",
        /// The text has a placeholder that doesn't exist.
        UnknownPlaceholder = "UNKNOWN_PLACEHOLDER",
        /// The custom field takes no new values.
        Deactivated = "DEACTIVATED",
        /// The custom field or the address isn't available to clients of this role.
        NotAvailable = "NOT_AVAILABLE",
        /// The value depends on the value of another custom field, which has none.
        ParentRequired = "PARENT_REQUIRED",
        /// A required custom field has no value, or a required identification document is missing.
        Required = "REQUIRED",
        /// A group index is given in a set that isn't grouped, or missing in one that is.
        GroupIndex = "GROUP_INDEX",
        /// The group indexes of a set aren't 0, 1, 2 and so on.
        GroupGap = "GROUP_GAP",
        /// You lack a permission for this, or a right to a custom field set, a branch or a centre.
        Forbidden = "FORBIDDEN",
        /// The idempotency key was used for another request.
        IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED",
        /// The request with this idempotency key was carried out. Its result has been erased since, or the client no
        /// longer exists for you.
        OutcomeErased = "OUTCOME_ERASED",
        /// The request ended before it came to this client, of which nothing is stored: send it again.
        NotCarriedOut = "NOT_CARRIED_OUT",
        /// The database failed while it stored this client, which may be stored or not: read it, or repeat the request
        /// under its idempotency key.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
        /// The name or the password is wrong, or the refresh token is unknown, expired or revoked: sign in again.
        WrongCredentials = "WRONG_CREDENTIALS",
        /// Another request has replaced the refresh token a moment ago: use the tokens that it got.
        TokenReplaced = "TOKEN_REPLACED",
        /// The stored version isn't the expected one. Read the client again before you retry.
        VersionConflict = "VERSION_CONFLICT",
    }
}

/// One step of a path in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Name(&'static str),
    Index(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Index(index) => write!(formatter, "{index}"),
        }
    }
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The parts of an input, in the order in which their problems are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Client,
    /// The permission to create or change clients.
    Permission,
    Role,
    Assignments,
    IdDocuments,
    Addresses,
    CustomInformation,
    /// The checks for duplicate clients.
    Duplicates,
    /// The constraints of a search.
    Constraints,
    Other,
}

/// An error in the input that the caller can correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: ProblemCode,
    /// One sentence that tells a person how to correct it. Never repeats personal data.
    pub message: Message,
    /// The path from the input's root, in the names of the GraphQL API.
    pub path: Vec<Step>,
    /// The id of the custom field that the problem concerns, if any.
    pub custom_field: Option<Arc<str>>,
    /// The stored client, when its version differs from the expected one.
    pub conflict: Option<Box<VersionConflict>>,
    /// The clients whose data the problem is about.
    pub clients: Option<Box<ConcernedClients>>,
}

/// A client whose version is not the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionConflict {
    /// 0 if there is no client.
    pub version: i64,
    pub client_key: Option<String>,
}

/// The clients whose data prevents a change, for example clients that link to a client to delete or that match a new
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcernedClients {
    pub count: i64,
    /// The ids of the first few; none if the caller may not view clients.
    pub ids: Vec<String>,
}

impl Problem {
    pub fn new(code: ProblemCode, path: impl IntoIterator<Item = Step>, message: impl Into<Message>) -> Self {
        Self {
            code,
            message: message.into(),
            path: path.into_iter().collect(),
            custom_field: None,
            conflict: None,
            clients: None,
        }
    }

    /// Returns the problem with the path that begins with these steps.
    #[must_use]
    pub fn below(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.path.splice(0..0, steps);
        self
    }

    /// The stored version, when it differs from the expected one. 0 if there is no client.
    pub fn stored_version(&self) -> Option<i64> {
        self.conflict.as_ref().map(|conflict| conflict.version)
    }

    pub fn section(&self) -> Section {
        match self.path.as_slice() {
            [] if self.code == ProblemCode::Forbidden => Section::Permission,
            _ if self.code == ProblemCode::DuplicateClient => Section::Duplicates,
            [Step::Name("client"), Step::Name("clientRole"), ..] => Section::Role,
            [
                Step::Name("client"),
                Step::Name("assignedBranchKey" | "assignedCentreKey" | "assignedUserKey"),
                ..,
            ] => Section::Assignments,
            [Step::Name("client"), ..] => Section::Client,
            [Step::Name("idDocuments"), ..] => Section::IdDocuments,
            [Step::Name("addresses"), ..] => Section::Addresses,
            [Step::Name("customInformation"), ..] => Section::CustomInformation,
            [Step::Name("filterConstraints"), ..] => Section::Constraints,
            _ => Section::Other,
        }
    }
}

/// A sentence whose parts an API can word in its own way. Its [`Display`](fmt::Display) is that of the GraphQL API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(pub Vec<Part>);

/// A part of a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(Cow<'static, str>),
    /// The name of a member of the input, as in the GraphQL API.
    Member(&'static str),
    /// The end of the sentence: names the GraphQL query that lists the possible values.
    ListedBy(&'static str),
    /// A further sentence about the GraphQL API, such as an argument to send instead.
    Hint(&'static str),
}

impl Message {
    /// A sentence that begins with the name of a member.
    pub fn of_member(name: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![Part::Member(name)]).text(text)
    }

    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.and(Part::Text(text.into()))
    }

    pub fn member(self, name: &'static str) -> Self {
        self.and(Part::Member(name))
    }

    pub fn listed_by(self, query: &'static str) -> Self {
        self.and(Part::ListedBy(query))
    }

    pub fn hint(self, sentence: &'static str) -> Self {
        self.and(Part::Hint(sentence))
    }

    fn and(mut self, part: Part) -> Self {
        self.0.push(part);
        self
    }
}

impl<T: Into<Cow<'static, str>>> From<T> for Message {
    fn from(text: T) -> Self {
        Self(vec![Part::Text(text.into())])
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => formatter.write_str(text),
            Part::Member(name) => formatter.write_str(name),
            Part::ListedBy(query) => write!(formatter, ". The query {query} lists them."),
            Part::Hint(sentence) => write!(formatter, " {sentence}"),
        })
    }
}

/// Builds the path of a problem from names and indexes: `path!["addresses", 0, "line1"]`.
#[macro_export]
macro_rules! path {
    ($($step:expr),* $(,)?) => { [$($crate::problem::Step::from($step)),*] };
}
