//! Error responses of the legacy API: always one flat JSON object. The code and the wording follow from the code, the
//! path and the parameters of a problem.

pub mod codes;

use std::fmt::Write;

use axum::{
    http::{HeaderValue, header::RETRY_AFTER},
    response::Response,
};
use serde::Serialize;

use super::answer;
use crate::api::{
    RequestId,
    report::{ErrorReport, LogCause},
};
use clientele_core::{
    budget::Size,
    error::{
        Error,
        sentence::{BUSY, LIMITED_RIGHTS, TOO_MANY_ATTEMPTS, WRONG_CREDENTIALS},
    },
    problem::{Message, Part, Problem, ProblemCode, Section, Step},
};
use clientele_domain::upsert::NAMED;
use codes::Code;

/// The error that a request is answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct RestError {
    pub code: Code,
    /// The cause, for people. None when the code is sufficient; an internal error then shows the request's id.
    pub source: Option<String>,
    /// True if an immediate retry may succeed.
    is_transient: bool,
    /// Set when the server is at fault.
    cause: Option<LogCause>,
}

impl RestError {
    pub fn new(code: Code, source: impl Into<String>) -> Self {
        Self {
            source: Some(source.into()),
            ..code.into()
        }
    }

    pub fn into_response(self, request: Option<&RequestId>) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Status<'a> {
            return_code: u16,
            return_status: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            error_source: Option<&'a str>,
        }
        let id = request.filter(|_| self.code == codes::INTERNAL_ERROR);
        let status = Status {
            return_code: self.code.number,
            return_status: self.code.name,
            error_source: self.source.as_deref().or(id.map(|RequestId(id)| &**id)),
        };
        let mut response = answer::json(self.code.status, serde_json::to_vec(&status).unwrap_or_default());
        let report = ErrorReport {
            codes: vec![self.code.name],
            cause: self.cause,
            refused: None,
        };
        report.add_to(&mut response);
        if self.is_transient {
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Code> for RestError {
    fn from(code: Code) -> Self {
        Self {
            code,
            source: None,
            is_transient: false,
            cause: None,
        }
    }
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        let answer = match &error {
            Error::Unauthenticated => Self::new(codes::INVALID_CREDENTIALS, WRONG_CREDENTIALS),
            Error::TooManyAttempts(_) => Self::new(codes::RATE_LIMITED, TOO_MANY_ATTEMPTS),
            Error::Forbidden(permission) => {
                let source = format!("This needs the permission {permission}.");
                Self::new(codes::INVALID_PERMISSIONS, source)
            }
            Error::LimitedRights => Self::new(codes::INVALID_PERMISSIONS, LIMITED_RIGHTS),
            Error::Conflict => Self::new(codes::CONCURRENT_UPDATE, "concurrent update, retry"),
            Error::Unavailable(_) => codes::UNAVAILABLE.into(),
            Error::ReadOnly => codes::READ_ONLY_MODE.into(),
            Error::TimedOut => {
                let source = "This took longer than the server allows and was ended. Nothing of it has been stored.";
                Self::new(codes::TIMED_OUT, source)
            }
            Error::TooLarge { most } => {
                let limit = Size(*most);
                let source = format!("This takes more than the {limit} that one answer may take: ask for less.");
                Self::new(codes::INVALID_PARAMETERS, source)
            }
            Error::Busy => Self::new(codes::UNAVAILABLE, BUSY),
            Error::Internal(_) => codes::INTERNAL_ERROR.into(),
        };
        Self {
            is_transient: matches!(error, Error::Unavailable(_) | Error::Busy),
            cause: LogCause::of(&error),
            ..answer
        }
    }
}

impl From<Problem> for RestError {
    fn from(problem: Problem) -> Self {
        let linking = problem.clients.iter().find_map(|clients| clients.ids.first());
        let source = match (problem.code, &problem.custom_field, linking) {
            // Callers match on the bare id of the missing field.
            (ProblemCode::Required, Some(id), _) => id.to_string(),
            // Likewise on the id of a client that links to this one.
            (ProblemCode::StillLinked, _, Some(id)) => id.clone(),
            // A problem of the URL or of the whole request has no member to name.
            _ if problem.section() == Section::Other || problem.path.is_empty() => sentence(&problem.message),
            _ => match (path(&problem.path), sentence(&problem.message)) {
                // The sentence begins with the path already.
                (path, sentence) if sentence.starts_with(&path) => sentence,
                (path, sentence) => format!("{path}: {sentence}"),
            },
        };
        Self::new(code_of(&problem), source)
    }
}

/// Uses the first of the domain's problems, which are ordered for reporting.
impl From<Vec<Problem>> for RestError {
    fn from(problems: Vec<Problem>) -> Self {
        match problems.into_iter().next() {
            Some(problem) => problem.into(),
            None => Error::defect("a submission was refused without a problem").into(),
        }
    }
}

/// The members whose legacy names differ from the domain's names: the domain's name and the legacy name.
const NAMES: [(&str, &str); 5] = [
    ("clientId", "id"),
    ("fieldId", "customFieldID"),
    ("groupIndex", "customFieldSetGroupIndex"),
    ("linkedKey", "linkedEntityKeyValue"),
    ("templateKey", "identificationDocumentTemplateKey"),
];

/// The legacy name of a member.
pub fn legacy(name: &str) -> &str {
    let known = NAMES.iter().find(|(domain, _)| *domain == name);
    known.map_or(name, |(_, legacy)| legacy)
}

/// A message in legacy names.
fn sentence(message: &Message) -> String {
    let Message(parts) = message;
    let words = parts.iter().map(|part| match part {
        Part::Text(text) => text,
        Part::Member(name) => legacy(name),
        // Callers of this API have no use for a GraphQL query or argument.
        Part::ListedBy(_) => ".",
        Part::Hint(_) => "",
    });
    words.collect()
}

/// A path in legacy names, such as `customInformation[0].customFieldID`.
fn path(steps: &[Step]) -> String {
    // This API names a role by its id in a member of its own.
    if let [client, Step::Name("clientRole"), Step::Name("roleId")] = steps {
        return path(&[client.clone(), Step::Name("clientRoleId")]);
    }
    let mut text = String::new();
    for step in steps {
        let _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Name(name) if text.is_empty() => write!(text, "{}", legacy(name)),
            Step::Name(name) => write!(text, ".{}", legacy(name)),
        };
    }
    text
}

/// The return code of a problem. The first line that fits decides.
fn code_of(problem: &Problem) -> Code {
    use ProblemCode::*;
    let member = problem.path.iter().rev().find_map(|step| match step {
        Step::Name(name) => Some(*name),
        Step::Index(_) => None,
    });
    match (problem.section(), problem.code, member.unwrap_or_default()) {
        (_, Forbidden, _) => codes::INVALID_PERMISSIONS,
        (_, IdempotencyKeyReused | OutcomeErased, _) => codes::IDEMPOTENCY_KEY_USED,
        (_, Malformed | TooMany | NullList, _) => codes::INVALID_PARAMETERS,
        (Section::Duplicates, ..) => codes::DUPLICATE_CLIENT,

        (Section::Client, NotFound, "encodedKey") => codes::INVALID_CLIENT_KEY,
        (Section::Client, Mismatch, _) => codes::INCONSISTENT_IDENTIFIER_WITH_JSON,
        (Section::Client, NotEditable | NotAnOption, "state") => codes::INVALID_CLIENT_STATE,
        (Section::Client, InvalidTransition, _) => codes::INVALID_CLIENT_STATE_TRANSITION,
        (Section::Client, Blacklisted, _) => codes::BLACKLISTED_CLIENT_NOT_EDITABLE,
        (Section::Client, NotEditable, _) => codes::FIELD_IS_NOT_EDITABLE,
        (Section::Client, Taken, _) => codes::CLIENT_ID_ALREADY_IN_USE,
        (Section::Client, NotAnEmailAddress, _) => codes::EMAIL_ADDRESS_FORMAT_IS_INVALID,
        (Section::Client, NotADate, _) | (Section::Client, Invalid, "birthDate") => codes::INVALID_BIRTH_DATE,
        (Section::Client, NotAnOption, "preferredLanguage") => codes::INVALID_LANGUAGE,
        (Section::Client, Invalid, "clientId") => codes::INVALID_STRING_VALUE,
        (Section::Client | Section::Assignments, TooLong | InvalidCharacter, _) => codes::INVALID_STRING_VALUE,

        (Section::Role, ..) => codes::INVALID_CLIENT_ROLE_KEY,
        (Section::IdDocuments, NotFound, "templateKey") => codes::INVALID_ID_DOCUMENT_TEMPLATE_KEY,
        (Section::IdDocuments, Blank, "templateKey") => codes::ADDING_OTHER_ID_DOCUMENTS_IS_DISABLED,
        (Section::IdDocuments, Required, _) => codes::REQUIRED_ID_DOCUMENT_MISSING,
        (Section::IdDocuments, ..) => codes::INVALID_ID_DOCUMENT,
        (Section::Addresses, NotAvailable, _) => codes::CLIENT_ROLE_DOES_NOT_ALLOW_ADDRESS,
        (Section::Addresses, ..) => codes::INVALID_ADDRESS,

        (Section::CustomInformation, Blank, "fieldId") => codes::EMPTY_CUSTOM_FIELD_ID,
        (Section::CustomInformation, NotFound, "fieldId") => codes::INVALID_CUSTOM_FIELD_ID,
        (Section::CustomInformation, NotFound, _) => codes::INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY,
        (
            Section::CustomInformation,
            Blank | Invalid | NotANumber | NotADate | NotACheckbox | NotAnOption | NotAnEmailAddress,
            _,
        ) => codes::INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE,
        (Section::CustomInformation, TooLong, _) => codes::MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED,
        (Section::CustomInformation, PatternMismatch, _) => codes::INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN,
        (Section::CustomInformation, Deactivated, _) => codes::CUSTOM_FIELD_DEACTIVATED,
        (Section::CustomInformation, NotAvailable, _) => codes::CUSTOM_FIELD_NOT_AVAILABLE_FOR_ENTITY,
        (Section::CustomInformation, ParentRequired, _) => codes::DEPENDENT_CUSTOM_FIELD_VALUE_REQUIRED,
        (Section::CustomInformation, GroupIndex, _) => codes::INCONSISTENT_VALUE_WITH_SET_TYPE,
        (Section::CustomInformation, GroupGap, _) => codes::GROUPED_INDEXES_NOT_CONSECUTIVE,
        (Section::CustomInformation, Duplicate, _) => codes::DUPLICATE_CUSTOM_FIELD_VALUES,
        (Section::CustomInformation, Taken, _) => codes::DUPLICATE_UNIQUE_VALUE,
        (Section::CustomInformation, Required, _) => codes::REQUIRED_CUSTOM_FIELD_MISSING,
        (Section::CustomInformation, InvalidCharacter, _) => codes::INVALID_STRING_VALUE,

        (Section::Other, NotFound, NAMED) => codes::INVALID_CLIENT_ID,
        (Section::Other, StillLinked, _) => codes::LINKED_BY_CUSTOM_FIELD,
        _ => codes::INVALID_PARAMETERS,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::header::RETRY_AFTER;

    use super::{RestError, code_of};
    use crate::api::RequestId;
    use clientele_core::{
        error::{Cause, Error},
        path,
        problem::{Message, Problem, ProblemCode::*},
    };

    #[tokio::test]
    async fn an_unexpected_error_says_nothing_of_its_cause() {
        let request = RequestId(Arc::from("the-request"));
        for (error, status, retry, body) in [
            (
                Error::Conflict,
                409,
                false,
                r#"{"returnCode":4,"returnStatus":"INVALID_PARAMETERS","errorSource":"concurrent update, retry"}"#,
            ),
            (
                Error::Unavailable(Cause::Lost),
                503,
                true,
                r#"{"returnCode":6,"returnStatus":"INTERNAL_ERROR"}"#,
            ),
            (
                Error::ReadOnly,
                503,
                false,
                r#"{"returnCode":32,"returnStatus":"READ_ONLY_MODE"}"#,
            ),
            (
                Error::internal("a secret"),
                500,
                false,
                r#"{"returnCode":6,"returnStatus":"INTERNAL_ERROR","errorSource":"the-request"}"#,
            ),
        ] {
            let response = RestError::from(error).into_response(Some(&request));
            assert_eq!(
                (response.status().as_u16(), response.headers().contains_key(RETRY_AFTER)),
                (status, retry)
            );
            let found = axum::body::to_bytes(response.into_body(), usize::MAX)
                .await
                .expect("a body");
            assert_eq!(found, body);
        }
    }

    #[test]
    fn a_refusal_names_the_member_as_the_caller_knows_it() {
        let problem = Problem::new(
            GroupIndex,
            path!["customInformation", 2, "groupIndex"],
            Message::from("Leave ").member("groupIndex").text(" out."),
        );
        let source = RestError::from(problem).source;
        let expected = "customInformation[2].customFieldSetGroupIndex: Leave customFieldSetGroupIndex out.";
        assert_eq!(source.as_deref(), Some(expected));
    }

    #[test]
    fn a_missing_value_is_reported_by_the_bare_id_of_its_field() {
        let problem = Problem::new(Required, path!["customInformation"], "A sentence.");
        let problem = Problem {
            custom_field: Some("risk_band".into()),
            ..problem
        };
        assert_eq!(RestError::from(problem).source.as_deref(), Some("risk_band"));
    }

    #[test]
    fn sentences_have_the_names_of_legacy_members() {
        for (domain, expected) in [
            (
                Message::of_member("clientId", " can't be changed."),
                "id can't be changed.",
            ),
            (
                Message::from("send value, not ").member("linkedKey").text("."),
                "send value, not linkedEntityKeyValue.",
            ),
            (
                Message::from("The field clientId: send ").member("linkedKey").text("."),
                "The field clientId: send linkedEntityKeyValue.",
            ),
            (
                Message::from("There is none").listed_by("customFieldSets"),
                "There is none.",
            ),
            (
                Message::from("clientIdentity — ").member("clientId"),
                "clientIdentity — id",
            ),
        ] {
            assert_eq!(super::sentence(&domain), expected);
        }
    }

    #[test]
    fn each_problem_has_the_number_of_the_contract() {
        let cases = [
            (Forbidden, path![].to_vec(), 403, 15),
            (Forbidden, path!["customInformation", 0, "fieldId"].to_vec(), 403, 15),
            (IdempotencyKeyReused, path!["idempotencyKey"].to_vec(), 422, 4),
            (OutcomeErased, path!["idempotencyKey"].to_vec(), 422, 4),
            (NotFound, path!["id"].to_vec(), 404, 301),
            (NotFound, path!["client", "encodedKey"].to_vec(), 404, 302),
            (Mismatch, path!["client", "encodedKey"].to_vec(), 400, 25),
            (Blank, path!["client", "firstName"].to_vec(), 400, 4),
            (TooLong, path!["client", "notes"].to_vec(), 400, 3742),
            (InvalidCharacter, path!["client", "lastName"].to_vec(), 400, 3742),
            (NotEditable, path!["client", "clientId"].to_vec(), 400, 1906),
            (NotEditable, path!["client", "state"].to_vec(), 400, 305),
            (NotAnOption, path!["client", "state"].to_vec(), 400, 305),
            (InvalidTransition, path!["client", "state"].to_vec(), 400, 312),
            (Blacklisted, path!["client"].to_vec(), 400, 3741),
            (StillLinked, path!["by"].to_vec(), 400, 927),
            (Taken, path!["client", "clientId"].to_vec(), 400, 316),
            (NotAnEmailAddress, path!["client", "emailAddress"].to_vec(), 400, 711),
            (NotADate, path!["client", "birthDate"].to_vec(), 400, 309),
            (Malformed, path!["client", "birthDate"].to_vec(), 400, 4),
            (NotAnOption, path!["client", "gender"].to_vec(), 400, 4),
            (NotAnOption, path!["client", "preferredLanguage"].to_vec(), 400, 2427),
            (NotFound, path!["client", "clientRole", "encodedKey"].to_vec(), 400, 306),
            (Malformed, path!["client", "clientRole"].to_vec(), 400, 4),
            (Malformed, path!["client", "assignedUserKey"].to_vec(), 400, 4),
            (TooMany, path!["idDocuments"].to_vec(), 400, 4),
            (Blank, path!["idDocuments", 0, "documentId"].to_vec(), 400, 950),
            (NotOwned, path!["idDocuments", 0, "encodedKey"].to_vec(), 400, 950),
            (NotADate, path!["idDocuments", 0, "validUntil"].to_vec(), 400, 950),
            (NotFound, path!["idDocuments", 0, "templateKey"].to_vec(), 400, 953),
            (Required, path!["idDocuments"].to_vec(), 400, 951),
            (Blank, path!["idDocuments", 0, "templateKey"].to_vec(), 400, 952),
            (NotAvailable, path!["addresses"].to_vec(), 400, 1151),
            (Malformed, path!["addresses", 0].to_vec(), 400, 4),
            (NotOwned, path!["addresses", 0, "encodedKey"].to_vec(), 400, 1150),
            (NotANumber, path!["addresses", 0, "latitude"].to_vec(), 400, 1150),
            (NotFound, path!["customInformation", 0, "fieldId"].to_vec(), 400, 903),
            (Blank, path!["customInformation", 0, "fieldId"].to_vec(), 400, 3600),
            (Blank, path!["customInformation", 0, "value"].to_vec(), 400, 901),
            (NotADate, path!["customInformation", 0, "value"].to_vec(), 400, 901),
            (TooLong, path!["customInformation", 0, "value"].to_vec(), 400, 904),
            (
                PatternMismatch,
                path!["customInformation", 0, "value"].to_vec(),
                400,
                917,
            ),
            (Deactivated, path!["customInformation", 0, "value"].to_vec(), 400, 908),
            (NotAvailable, path!["customInformation", 0, "value"].to_vec(), 400, 910),
            (
                ParentRequired,
                path!["customInformation", 0, "value"].to_vec(),
                400,
                912,
            ),
            (NotFound, path!["customInformation", 0, "linkedKey"].to_vec(), 400, 911),
            (
                GroupIndex,
                path!["customInformation", 0, "groupIndex"].to_vec(),
                400,
                913,
            ),
            (GroupGap, path!["customInformation", 0, "groupIndex"].to_vec(), 400, 914),
            (Duplicate, path!["customInformation", 0, "fieldId"].to_vec(), 400, 918),
            (Taken, path!["customInformation", 0, "value"].to_vec(), 400, 926),
            (Required, path!["customInformation"].to_vec(), 400, 902),
            (
                InvalidCharacter,
                path!["customInformation", 0, "value"].to_vec(),
                400,
                3742,
            ),
        ];
        for (code, path, status, number) in cases {
            let problem = Problem::new(code, path, "");
            let found = code_of(&problem);
            assert_eq!((found.status.as_u16(), found.number), (status, number), "{problem:?}");
        }
    }
}
