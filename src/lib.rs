//! clientele keeps a bank's clients: one GraphQL API for new applications and, on the same data and the same rules, the
//! legacy REST route for callers that can't move yet.
//!
//! Imports point downward only: `api` → (`client`, `custom_field`, `notify`, `history`, `access`) → (`db`, `error`,
//! `entity`).

pub mod access;
pub mod allowance;
pub mod api;
pub mod cli;
pub mod client;
pub mod config;
pub mod custom_field;
pub mod db;
pub mod deadline;
pub mod error;
pub mod fair_queue;
pub mod flow;
pub mod histogram;
pub mod history;
pub mod idempotency;
pub mod list;
mod mail_address;
pub mod member;
pub mod network;
pub mod notify;
pub mod problem;
pub mod scalar;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod text;
mod text_enum;

/// The bank's clients and all it takes to serve them. One of these serves every door of a process.
#[derive(Debug)]
pub struct Clientele {
    pub db: db::Database,
    pub definitions: custom_field::DefinitionsCache,
    pub settings: client::ClientSettings,
    pub variants: notify::Variants,
    pub bell: notify::Bell,
    pub metrics: notify::Metrics,
    pub history: history::History,
    pub idempotency: idempotency::IdempotencySettings,
    pub accounts: access::Accounts,
}

impl Clientele {
    pub fn new(db: db::Database, settings: client::ClientSettings) -> Self {
        Self {
            db,
            definitions: custom_field::DefinitionsCache::default(),
            settings,
            variants: notify::Variants::default(),
            bell: notify::Bell::default(),
            metrics: notify::Metrics::default(),
            history: history::History::default(),
            idempotency: idempotency::IdempotencySettings::default(),
            accounts: access::Accounts::default(),
        }
    }

    /// The same, with a history that is kept as configured.
    pub fn with_audit(mut self, settings: history::AuditSettings) -> Self {
        self.history = history::History::new(settings);
        self
    }
}
