//! Clients: the rules of reading and writing them, the same for every API.
//!
//! Has no wire format. To add a member of a client: a migration, `entity::client`, [`ClientInput`] with its line in
//! `check`, and the objects of the APIs that show it; the compiler asks for the rest.

pub mod aggregate;
mod export;
pub(crate) mod search;
mod seed;
mod settings;
mod states;

pub use crate::id_pattern::IdPattern;
pub use aggregate::{Aggregate, ClientParts, Found};
pub use export::{ClientSnapshot, ExportLine};
pub use search::constraint;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use search::fuzzing;
pub use search::{
    ClientFilter, ClientOrder, ClientOrderField, ClientPage, CustomFieldCondition, CustomFieldFilter, DateRange,
    Exactly, LONGEST_SEARCH, Listing, MOST_FILTERS, MOST_LEVELS, MOST_RANKED, MOST_WORDS, NameFilter, NumberRange,
    OrderDirection, ValueFilter, fill_search_rows,
};
pub use settings::{CheckLevel, ClientSettings, DuplicateChecks};
pub use states::{DateEffect, TRANSITIONS, Transition};

use std::sync::Arc;

use crate::{
    audit::AuditLog, definitions::DefinitionsCache, idempotency::IdempotencySettings, message_guard::MessageGuard,
    outbox_signal::OutboxSignal,
};
use clientele_core::{fair_queue::Limits, flow::FlowQueue};
use clientele_storage::db::Database;

/// Limits of searches that examine clients one by one at the same time. Others wait, so that such searches together use
/// one connection; further ones are refused.
const SCANS: Limits = Limits {
    permits: 1,
    waiting: 100,
    waiting_per_key: 50,
};

/// Reads and writes clients. Clones share everything.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) db: Database,
    pub(crate) definitions: DefinitionsCache,
    pub(crate) audit: AuditLog,
    pub(crate) outbox: OutboxSignal,
    pub(crate) guard: MessageGuard,
    pub(crate) settings: Arc<ClientSettings>,
    pub(crate) idempotency: IdempotencySettings,
    /// Permits of searches that examine clients one by one, shared fairly by caller.
    scans: FlowQueue,
}

impl Clients {
    /// Clients by these definitions. The guard checks each message that a change raises, and the outbox gets a signal
    /// for those that it lets pass.
    pub fn new(
        db: Database,
        definitions: DefinitionsCache,
        audit: AuditLog,
        (outbox, guard): (OutboxSignal, MessageGuard),
        settings: ClientSettings,
        idempotency: IdempotencySettings,
    ) -> Self {
        Self {
            db,
            definitions,
            audit,
            outbox,
            guard,
            settings: Arc::new(settings),
            idempotency,
            scans: FlowQueue::new(SCANS),
        }
    }
}

/// The last version of a client. Exports, imports and both databases take it.
pub const LAST_VERSION: i32 = 2_000_000_000;
