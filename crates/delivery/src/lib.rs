//! Sends the messages of the outbox as e-mail and SMS: claims due messages, makes attempts, records their outcomes and
//! removes old bodies.

mod attempt;
mod backoff;
mod breaker;
pub mod channel;
mod gate;
mod lane;
pub mod mask;
mod outbox;
pub mod retention;
pub mod settings;
mod verdict;
mod worker;

pub use lane::Clock;
pub use settings::NotificationSettings;
pub use worker::Worker;
