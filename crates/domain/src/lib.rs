//! Clients and everything that belongs to them: custom fields, roles, message templates and the outbox, users and their
//! permissions, idempotent requests, the audit log. Contains all business rules and no HTTP.

pub mod access;
pub mod audit;
pub mod caller;
pub mod changes;
pub mod client;
pub mod client_by;
pub mod custom_field;
pub mod definitions;
pub mod enums;
pub mod expiry;
pub mod id_pattern;
pub mod idempotency;
pub mod member;
pub mod message_guard;
pub mod notify;
pub mod outbox_signal;
pub mod removal;
pub mod upsert;
pub mod version;
