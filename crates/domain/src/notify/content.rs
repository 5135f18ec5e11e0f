//! The rendered texts of a message.

/// The texts of a message, as they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Empty if the channel has no subjects.
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}
