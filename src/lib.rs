//! clientele keeps a bank's clients: one GraphQL API for new applications and, on the same data and the same rules, the
//! legacy REST route for callers that can't move yet.
//!
//! Imports point downward only: `api` → (`client`, `custom_field`, `notify`, `history`, `access`) → (`db`, `error`,
//! `entity`).

pub use clientele_core::{budget, deadline, error, flow, mail_address, network, problem, scalar, secret};
pub use clientele_delivery as delivery;
pub use clientele_domain::{
    Clientele, access, audit, caller, client, client_by, custom_field, definitions, enums, idempotency, notify, upsert,
};
pub use clientele_storage::{db, paging};
pub use http_server as server;

pub mod api;
pub mod cli;
pub mod config;
pub mod telemetry;
