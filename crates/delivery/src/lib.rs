//! Sends the messages of the outbox as e-mail and SMS: claims due messages, makes attempts, records their outcomes and
//! removes old bodies.

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub mod channel;
mod channel_worker;
mod circuit_breaker;
mod outbox;
pub mod quiet_hours;
mod rate;
pub mod report;
mod retry;
mod route;
pub mod settings;
mod worker;

pub use outbox::{remove_bodies, remove_messages};
pub use settings::NotificationSettings;
pub use worker::Worker;

/// The source of the current time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
