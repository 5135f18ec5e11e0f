//! The ways a message can take. Each says what came of an attempt; whether and when to try again is the worker's business.

use std::time::Duration;

use super::Reason;

/// A message as it goes out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message's key, the same at every attempt, so that whoever receives it can drop repeats.
    pub key: String,
    /// As the client's row has it: an e-mail address, or a phone number in anybody's spelling.
    pub recipient: String,
    pub content: Content,
}

/// What is written in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Empty where the channel knows none.
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// What came of an attempt at sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it; with the name it gave it.
    Sent { provider_id: Option<String> },
    /// Another attempt may succeed.
    Deferred {
        failure: Failure,
        /// When the provider asked to be tried again.
        after: Option<Duration>,
        /// Whether the next message would most likely meet the same.
        provider_down: bool,
    },
    /// No attempt will succeed.
    Refused(Failure),
    /// Nothing is wrong with the message: the channel's settings are not what the provider accepts.
    Unusable(Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The provider's own words, for whoever may see messages. May hold the recipient: not for logs.
    pub detail: Option<String>,
}
