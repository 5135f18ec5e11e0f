//! The test harness: each test gets its own server and database, on SQLite and PostgreSQL.

mod answer;
mod callers;
mod database;
mod definitions;
pub mod graphql;
mod held;
mod names;
pub mod net;
pub mod peers;
mod plan;
pub mod pooler;
mod postgres;
pub mod program;
pub mod schema;
mod server;
mod signed_in;
mod snapshot;

use std::io::Write;

use serde_json::Value;

pub use answer::Answer;
pub use database::Backend;
pub use definitions::{field, options};
pub use held::HeldLock;
pub use names::Names;
pub use postgres::require_own_cluster;
pub use server::{Settings, TestServer};
pub use signed_in::token_input;
pub use snapshot::Snapshot;

/// Declares tests: each of the named functions runs on SQLite and on PostgreSQL, with a fresh server that it is given.
///
/// A function that no call lists is dead code, which the compiler reports.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::harness::run($crate::harness::Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::harness::run($crate::harness::Backend::Postgres, super::$name).await;
            }
        }
    )+};
}

/// Declares tests that run on PostgreSQL only, because SQLite lacks their subject.
macro_rules! on_postgres {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::harness::run($crate::harness::Backend::Postgres, super::$name).await;
            }
        }
    )+};
}

/// Starts a server for one test and drops its database afterwards. A failed test keeps it for inspection.
pub async fn run(backend: Backend, scenario: impl AsyncFnOnce(&TestServer)) {
    let Some(server) = TestServer::start(backend, Settings::default()).await else {
        // The test runner captures `println!` but not writes to the stream.
        let _ = writeln!(std::io::stderr(), "left out: PostgreSQL isn't installed");
        return;
    };
    // Boxed: the futures of tests are large in debug builds.
    Box::pin(scenario(&server)).await;
    server.stop().await;
}

/// The object with these members added or replaced.
pub fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { return object };
    for (name, member) in members {
        object[name] = member;
    }
    object
}
