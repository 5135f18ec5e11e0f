//! Error responses of the legacy API: always one flat JSON object.

pub mod codes;
mod table;

use std::fmt::Write;

use axum::{
    http::{HeaderValue, header::RETRY_AFTER},
    response::Response,
};
use serde::Serialize;

use super::{
    answer,
    names::{legacy, legacy_sentence},
};
use crate::api::{
    RequestId,
    report::{ErrorReport, LogCause},
};
use clientele_core::{
    budget::Size,
    error::{Error, sentence::BUSY},
    problem::{Problem, ProblemCode, Section, Step},
};
use codes::Code;

/// An error that the caller can correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// The cause, for people. None when the code is sufficient.
    pub source: Option<String>,
}

impl Refusal {
    pub fn new(code: Code, source: impl Into<String>) -> Self {
        Self {
            code,
            source: Some(source.into()),
        }
    }
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        let about = problem.about.as_deref();
        // Callers match on the bare id of the missing field.
        let source = match (problem.code, about) {
            (ProblemCode::Required, Some(id)) => id.to_owned(),
            _ => {
                let sentence = legacy_sentence(&problem.message, about);
                // A problem of the URL or of the whole request has no member to name.
                if problem.section() == Section::Other || problem.path.is_empty() {
                    sentence
                } else {
                    format!("{}: {sentence}", place(&problem.path))
                }
            }
        };
        Self::new(table::code_of(problem), source)
    }
}

/// A path in legacy names, such as `customInformation[0].customFieldID`.
fn place(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        let _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Name(name) if text.is_empty() => write!(text, "{}", legacy(name)),
            Step::Name(name) => write!(text, ".{}", legacy(name)),
        };
    }
    text
}

/// The reason why a request failed.
#[derive(Debug)]
pub enum Failure {
    Refused(Refusal),
    Surprise(Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Surprise(error)
    }
}

/// Uses the first of the domain's problems, which are ordered for reporting.
impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        match problems.first() {
            Some(problem) => Self::Refused(problem.into()),
            None => Self::Surprise(Error::defect("a submission was refused without a problem")),
        }
    }
}

impl Failure {
    pub fn into_response(self, request: Option<&RequestId>) -> Response {
        let (refusal, retry, cause) = match self {
            Self::Refused(refusal) => (refusal, false, None),
            Self::Surprise(error) => {
                let (refusal, retry) = surprise(&error, request);
                (refusal, retry, LogCause::of(&error))
            }
        };
        let mut response = write(&refusal);
        let report = ErrorReport {
            codes: vec![refusal.code.name],
            cause,
            refused: None,
        };
        report.add_to(&mut response);
        if retry {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The response to an unexpected error, and true if an immediate retry may succeed.
fn surprise(error: &Error, request: Option<&RequestId>) -> (Refusal, bool) {
    match error {
        Error::Unauthenticated => {
            let refusal = crate::api::authentication::Refusal::Wrong;
            (Refusal::new(codes::INVALID_CREDENTIALS, refusal.sentence()), false)
        }
        Error::TooManyAttempts(wait) => {
            let refusal = crate::api::authentication::Refusal::TooMany(*wait);
            (Refusal::new(codes::TOO_MANY_ATTEMPTS, refusal.sentence()), false)
        }
        Error::Forbidden(permission) => {
            let source = format!("This needs the permission {}.", permission);
            (Refusal::new(codes::INVALID_PERMISSIONS, source), false)
        }
        Error::Conflict => (
            Refusal::new(codes::CONCURRENT_UPDATE, "concurrent update, retry"),
            false,
        ),
        Error::Unavailable(_) => (
            Refusal {
                code: codes::UNAVAILABLE,
                source: None,
            },
            true,
        ),
        Error::ReadOnly => (
            Refusal {
                code: codes::READ_ONLY_MODE,
                source: None,
            },
            false,
        ),
        Error::TimedOut => {
            let source = "This took longer than the server allows and was ended. Nothing of it has been stored.";
            (Refusal::new(codes::TIMED_OUT, source), false)
        }
        Error::TooLarge { most } => {
            let source = format!(
                "This takes more than the {} that one answer may take: ask for less.",
                Size(*most)
            );
            (Refusal::new(codes::INVALID_PARAMETERS, source), false)
        }
        Error::Busy => (Refusal::new(codes::UNAVAILABLE, BUSY), true),
        Error::Internal(_) => {
            let refusal = Refusal {
                code: codes::INTERNAL_ERROR,
                source: request.map(|RequestId(id)| id.to_string()),
            };
            (refusal, false)
        }
    }
}

fn write(Refusal { code, source }: &Refusal) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Status<'a> {
        return_code: u16,
        return_status: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_source: Option<&'a str>,
    }
    let status = Status {
        return_code: code.number,
        return_status: code.name,
        error_source: source.as_deref(),
    };
    answer::json(code.status, serde_json::to_vec(&status).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::header::RETRY_AFTER;

    use super::{Failure, Refusal};
    use crate::api::RequestId;
    use clientele_core::{
        error::{Cause, Error},
        path,
        problem::{Problem, ProblemCode},
    };

    #[tokio::test]
    async fn a_surprise_says_nothing_of_its_cause() {
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
            let response = Failure::from(error).into_response(Some(&request));
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
            ProblemCode::GroupIndex,
            path!["customInformation", 2, "groupIndex"],
            "Leave groupIndex out.",
        );
        let source = Refusal::from(&problem).source;
        let expected = "customInformation[2].customFieldSetGroupIndex: Leave customFieldSetGroupIndex out.";
        assert_eq!(source.as_deref(), Some(expected));
    }

    #[test]
    fn a_missing_value_is_told_by_the_bare_id_of_its_field() {
        let problem = Problem::new(ProblemCode::Required, path!["customInformation"], "A sentence.");
        let problem = Problem {
            about: Some("risk_band".into()),
            ..problem
        };
        assert_eq!(Refusal::from(&problem).source.as_deref(), Some("risk_band"));
    }
}
