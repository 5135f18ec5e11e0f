//! The program started for real: what it says when it can't, what it says when it can, and how it ends.

mod absent;
mod audit;
mod backup;
mod client;
mod files;
mod graphql;
mod hashing;
mod http_input;
mod input_size;
mod issuer;
mod json;
mod logging;
mod metrics;
mod notify;
mod postgres;
mod refusals;
mod running;
pub mod server;
mod settings;
mod sqlite_files;
mod usage;
mod users;
