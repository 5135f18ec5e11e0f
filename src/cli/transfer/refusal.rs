//! The reasons to refuse a line.

use clientele_core::{problem::ProblemCode, scalar::is_key};

/// The reason to refuse a line. Names members, never values.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub code: ProblemCode,
    pub path: String,
    pub message: String,
    /// The key of the client, or its id.
    pub id: Option<String>,
}

impl Refusal {
    pub fn new(code: ProblemCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            path: path.into(),
            message: message.into(),
            id: None,
        }
    }

    /// The same with the key of the client, if it has the form of one.
    pub fn of(self, client_key: &str) -> Self {
        let id = is_key(client_key).then(|| client_key.to_owned());
        Self { id, ..self }
    }

    pub fn malformed(path: impl Into<String>, message: &str) -> Self {
        Self::new(ProblemCode::Malformed, path, message)
    }
}

pub(super) fn unknown(path: &str) -> Refusal {
    Refusal::new(
        ProblemCode::Invalid,
        path,
        "The line has a member that doesn't exist: leave it out.",
    )
}
