//! The answer to a request.

use serde_json::Value;

/// An answer, with placeholders in place of keys and times.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// The body as JSON; null when it isn't JSON.
    pub body: Value,
    /// The body as it was sent, with the real keys and times.
    pub text: String,
    pub content_type: String,
}

impl Answer {
    /// Asserts the whole answer.
    #[track_caller]
    pub fn is(&self, status: u16, body: Value) -> &Self {
        assert!(
            self.status == status && self.body == body,
            "expected {status} {body:#}\n\nbut got {} {:#}\n{}",
            self.status,
            self.body,
            if self.body.is_null() { &self.text } else { "" },
        );
        self
    }

    /// Asserts the data of a GraphQL answer without errors.
    #[track_caller]
    pub fn data(&self, data: Value) -> &Self {
        self.is(200, serde_json::json!({ "data": data }))
    }
}
