//! The whole server from the outside: real requests over loopback, a private database for each test, SQLite and
//! PostgreSQL.
//!
//! Run it with `bin/test`. Plain `cargo test` works too: it starts its own PostgreSQL when one is installed.
//! To add a test, write an `async fn(server: &TestServer)` whose name says the behaviour, in the directory of its
//! feature, and list it in the file's `on_both!`.

#[macro_use]
mod harness;

mod access;
mod architecture;
mod audit;
mod capacity;
mod changes;
mod cli;
mod custom_fields;
mod docs;
mod faults;
mod graphql_http;
mod http_server;
mod idempotency;
mod legacy;
mod lifecycle;
mod notifications;
mod reads;
mod replicas;
mod search;
mod server;
mod sign_in;
mod smoke;
mod statements;
mod subscriptions;
mod telemetry;
mod upsert;
