//! clientele keeps a bank's clients: one GraphQL API for new applications and, on the same data and the same rules, the
//! legacy REST route for callers that can't move yet.
//!
//! Imports point downward only: `api` → (`client`, `custom_field`) → (`db`, `error`, `entity`).

pub mod api;
pub mod client;
pub mod custom_field;
pub mod db;
pub mod error;
