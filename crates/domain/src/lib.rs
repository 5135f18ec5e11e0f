//! Clients and everything that belongs to them: custom fields, roles, message templates and the outbox, users and their
//! permissions, idempotent requests, the audit log. Contains all business rules and no HTTP.

pub mod access;
pub mod audit;
pub mod caller;
pub mod client;
pub mod client_by;
pub mod custom_field;
pub mod definitions;
pub mod enums;
pub mod idempotency;
pub mod member;
pub mod notify;
pub mod upsert;

use clientele_storage::db::Database;

/// The domain: the database, caches and settings that serve a bank's clients. One instance serves every API of a
/// process.
#[derive(Debug)]
pub struct Clientele {
    pub db: Database,
    pub definitions: definitions::DefinitionsCache,
    pub settings: client::ClientSettings,
    pub variants: notify::Variants,
    pub bell: notify::Bell,
    pub metrics: notify::Metrics,
    pub history: audit::History,
    pub idempotency: idempotency::IdempotencySettings,
    pub accounts: access::Accounts,
}

impl Clientele {
    pub fn new(db: Database, settings: client::ClientSettings) -> Self {
        Self {
            db,
            definitions: definitions::DefinitionsCache::default(),
            settings,
            variants: notify::Variants::default(),
            bell: notify::Bell::default(),
            metrics: notify::Metrics::default(),
            history: audit::History::default(),
            idempotency: idempotency::IdempotencySettings::default(),
            accounts: access::Accounts::default(),
        }
    }

    /// Sets the settings of the audit log.
    pub fn with_audit(mut self, settings: audit::AuditSettings) -> Self {
        self.history = audit::History::new(settings);
        self
    }
}
