//! Searches clients by constraints, each of which compares one member or custom field. The statement depends on the
//! constraints, not on their values.

mod comparison;
pub(super) mod number;
mod term;

use entity::client;
use sea_orm::IdenStatic;

use self::{
    comparison::{Comparison, Kind, Test},
    term::Subject,
};
use super::other_table::IsCommon;
use crate::{
    caller::Rights,
    definitions::{self, Definitions},
    enums::{ClientState, Gender, Language},
    member::{NOTES_LIMIT, TEXT_LIMIT},
};
use chrono::NaiveDate;
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode},
    text_enum,
};
use clientele_storage::{db::Dialect, paging::Conditions};

/// Limit of the constraints of one search.
pub const MOST_CONSTRAINTS: usize = 25;
/// Limit of the values of one constraint.
pub const MOST_VALUES: usize = 1_000;
/// The list of constraints in the paths of problems.
pub const LIST: &str = "filterConstraints";

text_enum! {
    /// A member of a client that a constraint compares.
    Selection {
        /// The key.
        EncodedKey = "ENCODED_KEY",
        /// The id.
        Id = "ID",
        /// The first name.
        FirstName = "FIRST_NAME",
        /// The middle name.
        MiddleName = "MIDDLE_NAME",
        /// The last name.
        LastName = "LAST_NAME",
        /// First, middle and last name, with a space between.
        FullName = "FULL_NAME",
        /// The state.
        State = "CLIENT_STATE",
        /// The date of birth.
        BirthDate = "BIRTHDATE",
        /// The gender.
        Gender = "GENDER",
        /// The e-mail address.
        EmailAddress = "EMAIL_ADDRESS",
        /// The home phone number.
        HomePhone = "HOME_PHONE_NUMBER",
        /// The first mobile phone number.
        MobilePhone1 = "MOBILE_PHONE_NUMBER",
        /// The second mobile phone number.
        MobilePhone2 = "MOBILE_PHONE_NUMBER_2",
        /// The language of messages.
        PreferredLanguage = "PREFERRED_LANGUAGE",
        /// The bank's notes.
        Notes = "NOTES",
        /// Any text of the address.
        Address = "CLIENT_ADDRESS",
        /// The key of the role.
        Role = "CLIENT_ROLE_KEY",
        /// The key of the branch.
        Branch = "BRANCH_KEY",
        /// The key of the centre.
        Centre = "CENTRE_KEY",
        /// The key of the user in charge.
        User = "CREDIT_OFFICER_KEY",
        /// The time of creation.
        CreatedAt = "CREATION_DATE",
        /// The time of the last change.
        UpdatedAt = "LAST_MODIFIED_DATE",
        /// The time of approval.
        ApprovedAt = "APPROVED_DATE",
        /// The time of activation.
        ActivatedAt = "ACTIVATION_DATE",
        /// The time of closing.
        ClosedAt = "CLOSED_DATE",
        /// The number of loans. Always 0: loans are stored elsewhere.
        LoanCycle = "LOAN_CYCLE",
        /// The number of loans of the groups. Always 0.
        GroupLoanCycle = "GROUP_LOAN_CYCLE",
    }
}

text_enum! {
    /// The comparison of a constraint.
    Element {
        /// Equal, for texts without regard to case.
        Equals = "EQUALS",
        /// Equal, character by character.
        EqualsCaseSensitive = "EQUALS_CASE_SENSITIVE",
        /// The opposite of `EQUALS`: also without a value.
        DifferentThan = "DIFFERENT_THAN",
        /// Begins with the value, without regard to case.
        StartsWith = "STARTS_WITH",
        /// Equal to one of the values.
        In = "IN",
        /// Greater or later.
        MoreThan = "MORE_THAN",
        /// Less or earlier.
        LessThan = "LESS_THAN",
        /// Between two values or equal to one of them.
        Between = "BETWEEN",
        /// On this day.
        On = "ON",
        /// Before this day.
        Before = "BEFORE",
        /// After this day.
        After = "AFTER",
        /// On the current day.
        Today = "TODAY",
        /// In the current week, which begins on Monday.
        ThisWeek = "THIS_WEEK",
        /// In the current month.
        ThisMonth = "THIS_MONTH",
        /// In the current year.
        ThisYear = "THIS_YEAR",
        /// In the last days and on the current one.
        LastDays = "LAST_DAYS",
        /// Without a value.
        Empty = "EMPTY",
        /// With a value.
        NotEmpty = "NOT_EMPTY",
    }
}

/// The compared member or custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    Member(Selection),
    /// The custom field with this id.
    CustomField(String),
}

impl Compared {
    /// Returns true if its values are days or times.
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Member(selection) if matches!(selection.kind(), Kind::Day | Kind::Instant))
    }
}

/// One condition of a search.
#[derive(Clone, Debug)]
pub struct Constraint {
    pub compared: Compared,
    pub element: Element,
    pub value: Option<String>,
    /// The second value of `BETWEEN`.
    pub second_value: Option<String>,
    /// The values of `IN`.
    pub values: Vec<String>,
}

/// The clients that a condition leaves to examine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Few clients, found by an index.
    Few,
    /// One range of an index.
    Range,
    /// All clients, one by one.
    All,
}

/// The checked constraints of a search.
#[derive(Debug)]
pub(super) struct Search {
    tests: Vec<(Comparison, Subject)>,
    /// True if clients must be examined one by one.
    pub is_scan: bool,
    /// True if an index finds the few clients that can match.
    pub is_decided: bool,
}

impl Search {
    pub fn conditions(&self, dialect: Dialect, is_common: &mut IsCommon<'_>) -> Conditions {
        let mut conditions = Conditions::new(dialect);
        for (test, subject) in &self.tests {
            subject.add(test, is_common, &mut conditions);
        }
        conditions
    }
}

/// # Errors
/// Every problem of the constraints, in their order.
pub(super) fn search(
    constraints: &[Constraint],
    definitions: &Definitions,
    rights: &Rights,
    today: NaiveDate,
) -> Result<Search, Vec<Problem>> {
    if constraints.len() > MOST_CONSTRAINTS {
        let message = format!("Send at most {MOST_CONSTRAINTS} {LIST}.");
        return Err(vec![Problem::new(ProblemCode::TooMany, path![LIST], message)]);
    }
    let (mut tests, mut problems) = (Vec::new(), Vec::new());
    for (index, constraint) in constraints.iter().enumerate() {
        let subject = Subject::of(&constraint.compared, definitions, rights);
        let test = subject.and_then(|subject| Ok((Comparison::of(constraint, subject.kind, today)?, subject)));
        match test {
            Ok(test) => tests.push(test),
            Err((code, member, message)) => problems.push(Problem::new(code, path![LIST, index, member], message)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let reaches: Vec<Reach> = tests.iter().map(|(test, subject)| subject.reach(test)).collect();
    let is_decided = reaches.contains(&Reach::Few);
    let is_scan = match reaches[..] {
        [] | [Reach::Range] => false,
        _ => !is_decided,
    };
    Ok(Search {
        tests,
        is_scan,
        is_decided,
    })
}

/// The reason to refuse a constraint: its code, the member at fault, and a message.
type Refusal = (ProblemCode, &'static str, Message);

impl Selection {
    fn kind(self) -> Kind {
        match self {
            Self::Id
            | Self::FirstName
            | Self::MiddleName
            | Self::LastName
            | Self::EmailAddress
            | Self::HomePhone
            | Self::MobilePhone1
            | Self::MobilePhone2
            | Self::Address => Kind::Text(TEXT_LIMIT),
            // Three names with spaces between.
            Self::FullName => Kind::Text(3 * TEXT_LIMIT + 2),
            Self::Notes => Kind::Text(NOTES_LIMIT),
            Self::EncodedKey | Self::Role | Self::Branch | Self::Centre | Self::User => Kind::Key,
            Self::State => Kind::Choice(|text| ClientState::parse(text).map(ClientState::as_str)),
            Self::Gender => Kind::Choice(|text| Gender::parse(text).map(Gender::as_str)),
            Self::PreferredLanguage => Kind::Choice(|text| Language::parse(text).map(Language::as_str)),
            Self::BirthDate => Kind::Day,
            Self::CreatedAt | Self::UpdatedAt | Self::ApprovedAt | Self::ActivatedAt | Self::ClosedAt => Kind::Instant,
            Self::LoanCycle | Self::GroupLoanCycle => Kind::Number,
        }
    }

    /// The column that it compares; none for the others.
    fn column(self) -> Option<client::Column> {
        use client::Column;
        Some(match self {
            Self::EncodedKey => Column::EncodedKey,
            Self::Id => Column::ClientId,
            Self::FirstName => Column::FirstName,
            Self::MiddleName => Column::MiddleName,
            Self::LastName => Column::LastName,
            Self::State => Column::State,
            Self::BirthDate => Column::BirthDate,
            Self::Gender => Column::Gender,
            Self::EmailAddress => Column::EmailAddress,
            Self::HomePhone => Column::HomePhone,
            Self::MobilePhone1 => Column::MobilePhone1,
            Self::MobilePhone2 => Column::MobilePhone2,
            Self::PreferredLanguage => Column::PreferredLanguage,
            Self::Notes => Column::Notes,
            Self::Role => Column::ClientRoleKey,
            Self::Branch => Column::AssignedBranchKey,
            Self::Centre => Column::AssignedCentreKey,
            Self::User => Column::AssignedUserKey,
            Self::CreatedAt => Column::CreatedAt,
            Self::UpdatedAt => Column::UpdatedAt,
            Self::ApprovedAt => Column::ApprovedAt,
            Self::ActivatedAt => Column::ActivatedAt,
            Self::ClosedAt => Column::ClosedAt,
            Self::FullName | Self::Address | Self::LoanCycle | Self::GroupLoanCycle => return None,
        })
    }

    /// The column with the folded text of the selection.
    fn folded_column(self) -> Option<&'static str> {
        match self {
            Self::FirstName => Some("first_name"),
            Self::LastName => Some("last_name"),
            Self::EmailAddress => Some("email"),
            _ => None,
        }
    }

    /// The reach of a comparison for which an index of its column serves.
    fn reach(self, test: &Test) -> Reach {
        match (self, test) {
            (
                Self::EncodedKey
                | Self::Id
                | Self::FirstName
                | Self::LastName
                | Self::EmailAddress
                | Self::HomePhone
                | Self::MobilePhone1
                | Self::MobilePhone2,
                Test::OneOf(_),
            ) => Reach::Few,
            (Self::FirstName | Self::LastName | Self::EmailAddress, Test::OneOfFolded(_)) => Reach::Few,
            (Self::FirstName | Self::LastName, Test::BeginsFolded(_)) if test.beginning().is_some() => Reach::Range,
            (Self::BirthDate, Test::Within(days)) if days.is_one_day() => Reach::Few,
            (Self::FirstName | Self::LastName, Test::Begins(_)) => Reach::Range,
            (Self::State | Self::Branch | Self::Centre | Self::User, Test::OneOf(_)) => Reach::Range,
            (Self::BirthDate | Self::CreatedAt | Self::UpdatedAt, Test::Within(_)) => Reach::Range,
            _ => Reach::All,
        }
    }
}

impl definitions::Field {
    fn compared_kind(&self) -> Kind {
        use definitions::Kind as Type;
        match self.kind {
            Type::Text | Type::LongText | Type::Selection => Kind::Text(self.kind.longest().unwrap_or(TEXT_LIMIT)),
            Type::Number => Kind::Number,
            Type::Checkbox => Kind::Choice(|text| match text {
                "TRUE" => Some("TRUE"),
                "FALSE" => Some("FALSE"),
                _ => None,
            }),
            Type::Date => Kind::Day,
            Type::ClientLink | Type::UserLink | Type::GroupLink => Kind::Key,
        }
    }
}

/// The expression of a column of the client `c`.
fn expression(column: client::Column) -> String {
    format!("c.{}", column.as_str())
}
