//! Requests that take longer than they may: they are answered, nothing of them runs on, and nothing of them is stored.

use std::sync::atomic::{AtomicUsize, Ordering};

use clientele::{
    db::{Database, DatabaseSettings, Step, Transaction, Work},
    deadline::Deadline,
    error::{Error, Result},
};
use serde_json::json;
use std::time::Duration;
use tokio::sync::Notify;

use crate::harness::{Backend, Settings, TestServer, run};

/// Locks the clients from the moment it says so until it is told to let go.
struct Lock<'a> {
    locked: &'a Notify,
    done: &'a Notify,
}

impl Work for Lock<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        transaction
            .run("LOCK TABLE client IN ACCESS EXCLUSIVE MODE", [])
            .await?;
        self.locked.notify_one();
        self.done.notified().await;
        Ok(Step::Discard(()))
    }
}

async fn still_waiting(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'";
    let row = database
        .read()
        .one(sql, [])
        .await
        .expect("it is answered")
        .expect("a row");
    row.try_get_by_index(0).expect("a number")
}

async fn behind_a_lock(scenario: impl AsyncFnOnce(&TestServer)) {
    run(Backend::Postgres, async |server| {
        let hurried = server
            .another(Settings {
                request_timeout_seconds: 1,
                ..Settings::default()
            })
            .await;
        let onlooker = Database::connect(&server.database_url(), &DatabaseSettings::default())
            .await
            .expect("it opens");
        let (locked, done) = (Notify::new(), Notify::new());
        let work = Lock {
            locked: &locked,
            done: &done,
        };
        let checking = async {
            locked.notified().await;
            scenario(&hurried).await;
            // The database ends a statement as soon as its time is over, which may be a moment after the door has answered.
            let mut looked = 0;
            while still_waiting(&onlooker).await > 0 {
                looked += 1;
                assert!(looked < 5_000, "a statement runs on");
            }
            done.notify_one();
        };
        let (locking, ()) = tokio::join!(server.clientele.db.write(&work), checking);
        locking.expect("the lock is held and let go");
        onlooker.close().await;
        hurried.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_behind_a_lock_is_given_up_at_both_doors() {
    behind_a_lock(async |server| {
        let answer = server.graphql("{ clients { nodes { clientId } } }", json!({})).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["extensions"]["code"]),
            (504, &json!("TIMEOUT")),
            "{}",
            answer.text
        );
        let source = "This took longer than the server allows and was ended. Nothing of it has been stored.";
        server.get("/api/clients").await.is(
            504,
            json!({ "returnCode": 6, "returnStatus": "INTERNAL_ERROR", "errorSource": source }),
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_behind_a_lock_is_given_up_and_leaves_nothing() {
    run(Backend::Postgres, async |server| {
        let before = server.snapshot().await;
        behind_a_lock(async |hurried| {
            let query =
                "mutation { upsertClient(input: { client: { firstName: \"Amara\", lastName: \"Bellweather\" } }) { created } }";
            let answer = hurried.graphql(query, json!({})).await;
            assert_eq!(
                (answer.status, &answer.body["errors"][0]["extensions"]["code"]),
                (504, &json!("TIMEOUT")),
                "{}",
                answer.text
            );
            let answer = hurried
                .post(
                    "/api/clients",
                    json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
                )
                .await;
            assert_eq!(answer.status, 504, "{}", answer.text);
            assert_eq!(hurried.clientele.db.request_timeout(), Duration::from_secs(1));
        })
        .await;
        assert_eq!(server.snapshot().await, before);
    })
    .await;
}

/// Writes at once, and is done when its time is over.
struct Late {
    deadline: Deadline,
    attempts: AtomicUsize,
}

impl Work for Late {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        transaction
            .run("UPDATE definition_version SET version = version + 1000", [])
            .await?;
        while !self.deadline.is_over() {
            tokio::task::yield_now().await;
        }
        Ok(Step::Commit(()))
    }
}

on_both! {
    async fn past_the_deadline_nothing_is_committed_or_begun(server) {
        let before = server.snapshot().await;
        let deadline = Deadline::after(Duration::from_millis(20));
        let work = Late { deadline, attempts: AtomicUsize::new(0) };
        for attempts in [1, 1] {
            let outcome = server.clientele.db.write_until(&work, Some(deadline)).await;
            assert!(matches!(outcome, Err(Error::TimedOut)), "{outcome:?}");
            assert_eq!(work.attempts.load(Ordering::SeqCst), attempts);
        }
        assert_eq!(server.snapshot().await, before);
        // The deadline of a request is that of whatever is written in it.
        let outcome = deadline.scope(server.clientele.db.write(&work)).await;
        assert!(matches!(outcome, Err(Error::TimedOut)), "{outcome:?}");
    }
}
