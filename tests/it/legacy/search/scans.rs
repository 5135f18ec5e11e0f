//! The statements of searches, and the limit of those that examine clients one by one.

use std::{slice::from_ref, sync::Mutex};

use clientele::{
    db::{Step, Transaction, Work},
    error::Result,
};
use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream::FuturesUnordered,
};
use serde_json::json;
use tokio::{
    sync::oneshot::{Receiver, Sender, channel},
    task::yield_now,
};

use super::{SEARCH, constraint, custom, found, four};
use crate::harness::{Backend, TestServer};

on_both!(
    search_takes_one_statement_whatever_the_values,
    waiting_scans_are_all_answered,
    common_custom_value_is_a_scan_on_sqlite,
    names_without_regard_to_case_are_narrowed_by_folded_texts,
);

on_postgres!(
    one_scan_runs_at_a_time_and_indexed_searches_pass,
    scans_beyond_the_queue_are_refused,
);

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

async fn common_custom_value_is_a_scan_on_sqlite(server: &TestServer) {
    four(server).await;
    let equal = || [custom("nick", "EQUALS_CASE_SENSITIVE", &["Al"])];
    let is_scan = async || {
        server.statements();
        assert_eq!(found(server, &equal()).await, "a");
        let statements = server.statements();
        let reading = statements.last().expect("a statement");
        reading.contains("EXISTS (SELECT 1 FROM custom_field_value WHERE client_key = c.encoded_key")
    };
    assert!(!is_scan().await, "one row has the value");
    // As many rows as a count examines, and one more.
    for (until, expected) in [(9_999, false), (10_000, server.backend == Backend::Sqlite)] {
        let sql = format!(
            "INSERT INTO custom_field_value (client_key, field_key, group_index, encoded_key, position, value) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {until}) \
             SELECT v.client_key, v.field_key, n.i, 'v' || CAST(n.i AS TEXT), 9, 'Al' FROM n CROSS JOIN \
             custom_field_value v WHERE v.value = 'Al' AND v.group_index < 1 ON CONFLICT DO NOTHING"
        );
        server.write(&sql).await.expect("sound");
        assert_eq!(is_scan().await, expected, "{until}");
    }
}

async fn names_without_regard_to_case_are_narrowed_by_folded_texts(server: &TestServer) {
    four(server).await;
    for (constraint, column, expected) in [
        (constraint("FIRST_NAME", "EQUALS", &["ana"]), "first_name", "ab"),
        (constraint("LAST_NAME", "IN", &["ÖZ", "ben"]), "last_name", "ab"),
        (constraint("LAST_NAME", "EQUALS", &["oz"]), "last_name", ""),
        (
            constraint("EMAIL_ADDRESS", "EQUALS", &["ana.oz@EXAMPLE.test"]),
            "email",
            "a",
        ),
        (constraint("LAST_NAME", "STARTS_WITH", &["mc"]), "last_name", "cd"),
        (constraint("LAST_NAME", "STARTS_WITH", &["ö"]), "last_name", "ab"),
        (constraint("LAST_NAME", "STARTS_WITH", &["o"]), "last_name", ""),
    ] {
        server.statements();
        assert_eq!(found(server, from_ref(&constraint)).await, expected, "{constraint}");
        let statements = server.statements();
        let narrowed = format!("c.encoded_key IN (SELECT client_key FROM client_search WHERE {column}");
        let reading = statements.last().expect("a statement");
        assert!(reading.contains(&narrowed), "{statements:#?}");
    }
}

async fn scans_beyond_the_queue_are_refused(server: &TestServer) {
    four(server).await;
    let (locked, is_locked) = channel();
    let (release, released) = channel();
    let lock = LockedAddresses {
        locked: Mutex::new(Some(locked)),
        released: Mutex::new(Some(released)),
    };
    let body = json!({ "filterConstraints": [constraint("CLIENT_ADDRESS", "EMPTY", &[])] });
    // One runs and 50 wait.
    let (answered, refused) = (51, 9);
    let scans = async {
        is_locked.await.expect("the lock");
        let sent = (0..answered + refused).map(|_| async { server.post(SEARCH, body.clone()).await.status });
        let mut sent: FuturesUnordered<_> = sent.collect();
        let mut first = Vec::new();
        while first.len() < refused {
            first.push(sent.next().await.expect("an answer"));
        }
        release.send(()).expect("the transaction waits");
        let others: Vec<u16> = sent.collect().await;
        (first, others)
    };
    let held = async { server.services.db.write(&lock).await.expect("a transaction") };
    let ((), (first, others)) = join(held, scans).await;
    assert_eq!((first, others), (vec![503; refused], vec![200; answered]));
}
