//! The whole server from the outside: real requests over loopback, a private database for each test, SQLite and PostgreSQL.
//!
//! Run it with `bin/test`. Plain `cargo test` works too: it starts a PostgreSQL of its own when one is installed.
//! To add a test, write an `async fn(server: &TestServer)` whose name says the behaviour, and list it in the file's `on_both!`.

#[macro_use]
mod harness;

mod access;
mod answers;
mod architecture;
mod authentication;
mod capacity;
mod cli;
mod docs;
mod domain;
mod faults;
mod graphql;
mod history;
mod http;
mod idempotency;
mod model;
mod notify;
mod reads;
mod rest;
mod schema;
mod smoke;
mod writes;
