//! clientele keeps a bank's clients: one GraphQL API for new applications and, on the same data and the same rules, the
//! legacy REST route for callers that can't move yet.
//!
//! `services` composes the domain; `api` and `cli` call it.

pub use clientele_core::{budget, deadline, error, flow, mail_address, network, problem, scalar, secret};
pub use clientele_delivery as delivery;
pub use clientele_domain::{
    access, audit, caller, changes, client, client_by, custom_field, definitions, enums, expiry, idempotency,
    message_guard, notify, outbox_signal, removal, upsert,
};
pub use clientele_storage::{db, paging};
pub use http_server as server;

pub mod api;
pub mod cli;
pub mod config;
pub mod services;
pub mod telemetry;
pub mod version;
