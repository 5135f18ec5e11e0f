//! What every test stands on: a server of its own with a database of its own, on each of the two databases.

mod answer;
mod callers;
mod database;
mod definitions;
mod names;
pub mod net;
pub mod peers;
mod postgres;
mod server;
mod signed_in;
mod snapshot;

use std::io::Write;

use serde_json::Value;

pub use answer::Answer;
pub use database::Backend;
pub use definitions::{field, options};
pub use server::{Settings, TestServer};
pub use signed_in::token_input;
pub use snapshot::Snapshot;

/// Runs each test on SQLite and on PostgreSQL, with a fresh server that is handed in by reference.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn scenario($server: &$crate::harness::TestServer) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::harness::run($crate::harness::Backend::Sqlite, async |server| scenario(server).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::harness::run($crate::harness::Backend::Postgres, async |server| scenario(server).await).await;
            }
        }
    )+};
}

/// Runs each test on PostgreSQL alone: it is about what SQLite doesn't have.
macro_rules! on_postgres {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn scenario($server: &$crate::harness::TestServer) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::harness::run($crate::harness::Backend::Postgres, async |server| scenario(server).await).await;
            }
        }
    )+};
}

/// Starts a server for one test and throws its database away afterwards. A test that fails leaves it to be looked at.
pub async fn run(backend: Backend, scenario: impl AsyncFnOnce(&TestServer)) {
    let Some(server) = TestServer::start(backend, Settings::default()).await else {
        // The test runner swallows what is printed, but not what is written.
        let _ = writeln!(std::io::stderr(), "left out: PostgreSQL isn't installed");
        return;
    };
    scenario(&server).await;
    server.stop().await;
}

/// The object with these members put in, or in place of those it has.
pub fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { return object };
    for (name, member) in members {
        object[name] = member;
    }
    object
}
