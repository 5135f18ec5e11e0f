//! The domain's services, composed from a database and the settings. Commands and routers take from here what they
//! need; everything else gets the single services.

use clientele_domain::{
    access::{Accounts, Clock},
    audit::{AuditLog, AuditSettings},
    changes::{ChangeFeed, ChangeSettings},
    client::{ClientSettings, Clients},
    custom_field::CustomFields,
    definitions::DefinitionsCache,
    idempotency::IdempotencySettings,
    message_guard::MessageSettings,
    notify::{Messages, suppression::Suppressions, template::Templates},
    outbox_signal::OutboxSignal,
};
use clientele_storage::db::Database;

/// Settings of the services.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    pub clients: ClientSettings,
    pub idempotency: IdempotencySettings,
    pub audit: AuditSettings,
    pub changes: ChangeSettings,
    pub messages: MessageSettings,
    /// Measures the age of cached users and tokens.
    pub clock: Clock,
}

/// The services of one process. Clones share everything.
#[derive(Clone, Debug)]
pub struct Services {
    pub db: Database,
    pub definitions: DefinitionsCache,
    pub clients: Clients,
    pub custom_fields: CustomFields,
    pub templates: Templates,
    pub messages: Messages,
    pub suppressions: Suppressions,
    pub accounts: Accounts,
    pub audit: AuditLog,
    pub changes: ChangeFeed,
}

impl Services {
    pub fn new(db: Database, settings: ServiceSettings) -> Self {
        let ServiceSettings {
            clients,
            idempotency,
            audit,
            changes,
            messages,
            clock,
        } = settings;
        let audit = AuditLog::new(db.clone(), audit);
        let definitions = DefinitionsCache::new(db.clone());
        let outbox = OutboxSignal::default();
        let messages = Messages::new(db.clone(), outbox.clone(), messages);
        let guard = messages.guard.clone();
        let suppressions = Suppressions::new(db.clone(), audit.clone(), guard.recipients());
        let clients = Clients::new(
            db.clone(),
            definitions.clone(),
            audit.clone(),
            (outbox, guard),
            clients,
            idempotency,
        );
        Self {
            changes: ChangeFeed::new(db.clone(), definitions.clone(), changes),
            definitions,
            custom_fields: CustomFields::new(db.clone(), audit.clone()),
            templates: Templates::new(db.clone(), audit.clone(), clients.clone()),
            messages,
            suppressions,
            accounts: Accounts::new(db.clone(), audit.clone(), clock),
            clients,
            audit,
            db,
        }
    }
}
