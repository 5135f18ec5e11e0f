//! The statements of searches, and the limit of those that examine clients one by one.

use std::{slice::from_ref, sync::Mutex};

use clientele::{
    db::{Step, Transaction, Work},
    error::Result,
};
use futures_util::future::{join, join_all};
use tokio::{
    sync::oneshot::{Receiver, Sender, channel},
    task::yield_now,
};

use super::{constraint, custom, found, four};
use crate::harness::TestServer;

on_both!(
    search_takes_one_statement_whatever_the_values,
    waiting_scans_are_all_answered,
);

on_postgres!(one_scan_runs_at_a_time_and_indexed_searches_pass);

async fn search_takes_one_statement_whatever_the_values(server: &TestServer) {
    four(server).await;
    // A custom field takes another one, for the version of the definitions.
    for (statements, first, second) in [
        (
            1,
            constraint("FIRST_NAME", "EQUALS", &["ana"]),
            constraint("FIRST_NAME", "IN", &["ben", "other", "ÉLODIE"]),
        ),
        (
            2,
            custom("age", "BETWEEN", &["1", "2"]),
            custom("age", "BETWEEN", &["0.001", "123456789"]),
        ),
        (
            1,
            constraint("NOTES", "STARTS_WITH", &["a"]),
            constraint("NOTES", "STARTS_WITH", &["first"]),
        ),
        (
            1,
            constraint("BIRTHDATE", "BETWEEN", &["1990-01-01", "1990-12-31"]),
            constraint("BIRTHDATE", "TODAY", &[]),
        ),
    ] {
        let mut texts = Vec::new();
        for constraint in [first, second] {
            found(server, from_ref(&constraint)).await;
            server.statements();
            found(server, &[constraint]).await;
            texts.push(server.statements());
        }
        assert_eq!(texts[0].len(), statements, "{texts:#?}");
        assert_eq!(texts[0], texts[1]);
    }
}

async fn waiting_scans_are_all_answered(server: &TestServer) {
    four(server).await;
    let scans = (0..40).map(|_| async { found(server, &[constraint("NOTES", "STARTS_WITH", &["first"])]).await });
    let all = join_all(scans).await;
    assert!(all.iter().all(|ids| ids == "a"), "{all:?}");
}

/// A transaction that locks the addresses until its end.
struct LockedAddresses {
    locked: Mutex<Option<Sender<()>>>,
    released: Mutex<Option<Receiver<()>>>,
}

impl Work for LockedAddresses {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        transaction
            .run("LOCK TABLE address IN ACCESS EXCLUSIVE MODE", [])
            .await?;
        let locked = self.locked.lock().expect("no panic").take().expect("one attempt");
        locked.send(()).expect("the test waits");
        let released = self.released.lock().expect("no panic").take().expect("one attempt");
        released.await.expect("the test releases");
        Ok(Step::Commit(()))
    }
}

/// The number of statements that wait for the lock.
async fn waiting(server: &TestServer) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let row = server
        .services
        .db
        .read()
        .one(sql, [])
        .await
        .expect("the database answers");
    row.expect("a row").try_get_by_index(0).expect("a number")
}

async fn one_scan_runs_at_a_time_and_indexed_searches_pass(server: &TestServer) {
    four(server).await;
    let (locked, is_locked) = channel();
    let (release, released) = channel();
    let lock = LockedAddresses {
        locked: Mutex::new(Some(locked)),
        released: Mutex::new(Some(released)),
    };
    let scan = async { found(server, &[constraint("CLIENT_ADDRESS", "STARTS_WITH", &["1 test"])]).await };
    let second = async {
        is_locked.await.expect("the lock");
        while waiting(server).await == 0 {
            yield_now().await;
        }
        // The first scan waits for the lock.
        let scan = async { found(server, &[constraint("CLIENT_ADDRESS", "EMPTY", &[])]).await };
        let indexed = async {
            for _ in 0..20 {
                let exact = constraint("EMAIL_ADDRESS", "EQUALS_CASE_SENSITIVE", &["Ana.Oz@example.test"]);
                assert_eq!(found(server, &[exact]).await, "a");
            }
            assert_eq!(waiting(server).await, 1, "the second scan doesn't run");
            release.send(()).expect("the transaction waits");
        };
        join(scan, indexed).await.0
    };
    let first = async {
        let sql = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'address'::regclass";
        let is_locked = async || {
            server
                .services
                .db
                .read()
                .one(sql, [])
                .await
                .expect("an answer")
                .is_some()
        };
        while !is_locked().await {
            yield_now().await;
        }
        scan.await
    };
    let held = async { server.services.db.write(&lock).await.expect("a transaction") };
    let ((), (first, second)) = join(held, join(first, second)).await;
    assert_eq!((first.as_str(), second.as_str()), ("a", "cd"));
}
