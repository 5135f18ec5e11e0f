//! Notifications: what is written to a client when something happens to it, and how that gets there.
//!
//! Templates say what is sent. The message is written in the client's own transaction (the table is outbox and log in one);
//! a worker sends it over its channel and records what came of it. At least once, never twice on purpose.

pub mod channel;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod kinds;
pub mod placeholder;
pub mod render;
pub mod template;

pub use kinds::{Channel, Event, MessageState, Reason};
