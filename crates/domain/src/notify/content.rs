//! The written part of a message.

/// The texts of a message, as they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Empty where the channel knows none.
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}
