//! Units of work that panic, are cancelled, or ignore a failed statement store nothing and do not harm the next one.

use std::time::Duration;

use clientele::{
    db::{Dialect, Step, Transaction, Work},
    error::{Error, Result},
};

use crate::harness::TestServer;

/// Renames the default role, then fails.
#[derive(Clone, Copy)]
enum Wrong {
    Panics,
    NeverEnds,
    IgnoresFailure,
}

impl Work for Wrong {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let rename = "UPDATE client_role SET name = 'half-written'";
        transaction.run(rename, []).await?;
        match self {
            Self::Panics => panic!("a fault of the test"),
            Self::NeverEnds => std::future::pending().await,
            Self::IgnoresFailure => {
                // On SQLite this ends the transaction; later statements would be stored by themselves.
                let failed = transaction.run(failing(transaction), []).await;
                assert!(failed.is_err());
                let ignored = transaction.run(rename, []).await;
                assert!(ignored.is_err(), "a failed transaction runs nothing");
                Ok(Step::Commit(()))
            }
        }
    }
}

fn failing(transaction: &Transaction) -> &'static str {
    match transaction.dialect {
        Dialect::Sqlite => "INSERT OR ROLLBACK INTO client_role SELECT * FROM client_role",
        Dialect::Postgres => "INSERT INTO client_role SELECT * FROM client_role",
    }
}

async fn name_of_role(server: &TestServer) -> String {
    let row = server.services.db.read().one("SELECT name FROM client_role", []).await;
    let row = row.expect("it can be read").expect("there is one role");
    row.try_get_by_index(0).expect("a text")
}

async fn next_is_stored(server: &TestServer) {
    assert_ne!(name_of_role(server).await, "half-written");
    server
        .write("UPDATE client_role SET name = 'next'")
        .await
        .expect("it is written");
    assert_eq!(name_of_role(server).await, "next");
}

on_both!(
    panicking_work_stores_nothing,
    cancelled_work_stores_nothing,
    work_ignoring_a_failed_statement_stores_nothing,
    every_connection_survives_failed_work,
);

async fn panicking_work_stores_nothing(server: &TestServer) {
    let services = server.services.clone();
    let work = tokio::spawn(async move { services.db.write(&Wrong::Panics).await });
    assert!(work.await.expect_err("it panics").is_panic());
    next_is_stored(server).await;
}

async fn cancelled_work_stores_nothing(server: &TestServer) {
    let work = server.services.db.write(&Wrong::NeverEnds);
    tokio::time::timeout(Duration::from_millis(100), work)
        .await
        .expect_err("it never ends");
    next_is_stored(server).await;
}

async fn work_ignoring_a_failed_statement_stores_nothing(server: &TestServer) {
    let ended = server.services.db.write(&Wrong::IgnoresFailure).await;
    assert!(matches!(ended, Err(Error::Internal(_))), "{ended:?}");
    next_is_stored(server).await;
}

async fn every_connection_survives_failed_work(server: &TestServer) {
    // More often than the number of connections.
    for _ in 0..20 {
        let ended = server.services.db.write(&Wrong::IgnoresFailure).await;
        assert!(ended.is_err());
    }
    next_is_stored(server).await;
}
