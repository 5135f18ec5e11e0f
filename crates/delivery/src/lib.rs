//! Sends the messages of the outbox as e-mail and SMS: claims due messages, makes attempts, records their outcomes and
//! removes old bodies.

use std::sync::Arc;

use chrono::{DateTime, Utc};

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

pub use settings::NotificationSettings;
pub use worker::Worker;

/// The source of the current time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
