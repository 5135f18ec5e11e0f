//! Notifications: renders and delivers the messages that clients get for events.
//!
//! Templates define the texts. A message is written in the transaction of the client's change (its table is outbox and
//! log in one); a worker sends it over its channel and records the result. Messages are sent at least once, and never
//! twice on purpose.

mod backlog;
pub mod event;
mod metrics;
pub mod receipt;
pub mod render;
mod resend;
mod search;
pub mod suppression;
pub mod template;

pub use crate::definitions::placeholder;
pub use backlog::Backlog;
pub use metrics::Metrics;
pub use render::{Content, content, shown_content};
pub use resend::{MOST_BY_FILTER, MOST_BY_KEY, Resend, Resent};
pub use search::{MessageFilter, MessageKey, MessagePage, NEWEST_FIRST, decode_columns};

use std::{fmt, sync::Arc};

use moka::sync::Cache;

use self::render::Compiled;
use crate::{
    message_guard::{MessageGuard, MessageSettings},
    outbox_signal::OutboxSignal,
};
use clientele_core::log_throttle::LogThrottle;
use clientele_storage::db::Database;

/// Limit of the cached variants: more than a bank uses at a time.
const CACHED_VARIANTS: u64 = 1_000;

/// Lists and resends messages, and records their receipts. Clones share everything.
#[derive(Clone)]
pub struct Messages {
    pub db: Database,
    /// Gets a signal for each message that is queued.
    pub outbox: OutboxSignal,
    pub metrics: Metrics,
    /// Checks the messages that changes raise.
    pub guard: MessageGuard,
    /// Of the lines about receipts of other systems.
    foreign_log: LogThrottle,
    /// Compiled variants by key.
    variants: Cache<String, Arc<Compiled>>,
}

impl fmt::Debug for Messages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Messages")
    }
}

impl Messages {
    pub fn new(db: Database, outbox: OutboxSignal, settings: MessageSettings) -> Self {
        let metrics = Metrics::default();
        Self {
            db,
            outbox,
            guard: MessageGuard::new(settings, metrics.suppressed.clone()),
            metrics,
            foreign_log: LogThrottle::default(),
            variants: Cache::new(CACHED_VARIANTS),
        }
    }
}
