//! Requests that exceed their time: they are answered, stop running, and store nothing.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use clientele::{
    budget::{AnswerSettings, BudgetPool, Connections, Priority},
    caller::Rights,
    db::{Database, DatabaseSettings, Dialect, Step, Transaction, Work},
    deadline::Deadline,
    error::{Error, Result},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::{Backend, Settings, TestServer, run};

/// Locks the clients, reports it, and holds the lock until released. On SQLite all writers wait, and no readers.
struct Lock<'a> {
    locked: &'a Notify,
    done: &'a Notify,
}

impl Work for Lock<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        if transaction.dialect == Dialect::Postgres {
            let lock = "LOCK TABLE client IN ACCESS EXCLUSIVE MODE";
            transaction.run(lock, []).await?;
        }
        self.locked.notify_one();
        self.done.notified().await;
        Ok(Step::Discard(()))
    }
}

async fn still_waiting(database: &Database) -> i64 {
    if database.read().dialect == Dialect::Sqlite {
        return 0;
    }
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND \
        wait_event_type = 'Lock'";
    let row = database
        .read()
        .one(sql, [])
        .await
        .expect("it is answered")
        .expect("a row");
    row.try_get_by_index(0).expect("a number")
}

const SENTENCE: &str = "This took longer than the server allows and was ended. Nothing of it has been stored.";

/// The same by REST.
fn too_slow() -> Value {
    json!({ "returnCode": 6, "returnStatus": "INTERNAL_ERROR", "errorSource": SENTENCE })
}

async fn hurried(server: &TestServer) -> TestServer {
    let settings = Settings {
        request_timeout_seconds: 1,
        ..Settings::default()
    };
    server.another(settings).await
}

/// A server with a request timeout of one second and locked clients, and a second connection to its database.
async fn behind_a_lock(backend: Backend, scenario: impl AsyncFnOnce(&TestServer, &Database)) {
    run(backend, async |server| {
        let hurried = hurried(server).await;
        let onlooker = Database::connect(&server.database_url(), &DatabaseSettings::default())
            .await
            .expect("it opens");
        let before = server.snapshot().await;
        let (locked, done) = (Notify::new(), Notify::new());
        let work = Lock {
            locked: &locked,
            done: &done,
        };
        let checking = async {
            locked.notified().await;
            scenario(&hurried, &onlooker).await;
            // The database ends the statement of a timed-out request after a second, even if it began at the deadline.
            let answered = Instant::now();
            while still_waiting(&onlooker).await > 0 {
                assert!(answered.elapsed() < Duration::from_secs(5), "a statement runs on");
            }
            done.notify_one();
        };
        // On SQLite the requests of a server wait for its only writer.
        let (locking, ()) = tokio::join!(hurried.services.db.write(&work), checking);
        locking.expect("the lock is held and let go");
        assert_eq!(server.snapshot().await, before);
        onlooker.close().await;
        hurried.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_behind_a_lock_times_out_on_both_apis() {
    behind_a_lock(Backend::Postgres, async |server, _| {
        let answer = server.graphql("{ clients { nodes { clientId } } }", json!({})).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["extensions"]["code"]),
            (504, &json!("TIMEOUT")),
            "{}",
            answer.text
        );
        server.get("/api/clients").await.is(504, too_slow());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_with_many_fields_leaves_connections_to_others() {
    behind_a_lock(Backend::Postgres, async |server, onlooker| {
        let fields: String = (0..20)
            .map(|n| format!("a{n}: clients(first: 1) {{ nodes {{ clientId }} }} "))
            .collect();
        let query = format!("{{ {fields} }}");
        let others = async {
            // A quarter of the connections.
            while still_waiting(onlooker).await < 4 {}
            for _ in 0..20 {
                let answer = server.graphql("{ messages { nodes { id } } }", json!({})).await;
                answer.data(json!({ "messages": { "nodes": [] } }));
                assert_eq!(still_waiting(onlooker).await, 4);
            }
        };
        let (answer, ()) = tokio::join!(server.graphql(&query, json!({})), others);
        assert_eq!(answer.status, 504, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "TIMEOUT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_many_requests_leaves_connections_to_others() {
    behind_a_lock(Backend::Postgres, async |server, onlooker| {
        let one = server.as_caller(&Rights::all());
        let client = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } });
        let reads = join_all((0..10).map(|_| one.get("/api/clients")));
        let changes = join_all((0..10).map(|_| one.post("/api/clients", client.clone())));
        let others = async {
            // Three quarters of the connections.
            while still_waiting(onlooker).await < 12 {}
            for _ in 0..5 {
                let answer = server.graphql("{ messages { nodes { id } } }", json!({})).await;
                answer.data(json!({ "messages": { "nodes": [] } }));
                assert_eq!(still_waiting(onlooker).await, 12);
            }
        };
        let (reads, changes, ()) = tokio::join!(reads, changes, others);
        for answer in reads.into_iter().chain(changes) {
            answer.is(504, too_slow());
        }
    })
    .await;
}

async fn a_change_behind_a_lock(backend: Backend) {
    let create = r#"upsertClient(input: { client: { firstName: "Amara", lastName: "Bellweather" } }) { created }"#;
    behind_a_lock(backend, async |server, _| {
        // The time of the second is over before it starts.
        let answer = server
            .graphql(&format!("mutation {{ a: {create} b: {create} }}"), json!({}))
            .await;
        let errors = answer.body["errors"].as_array().expect("errors").clone();
        assert_eq!((answer.status, errors.len()), (504, 2), "{}", answer.text);
        for (error, path) in errors.iter().zip(["a", "b"]) {
            assert_eq!(
                (&error["extensions"]["code"], &error["path"]),
                (&json!("TIMEOUT"), &json!([path]))
            );
        }
        let client = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } });
        server.post("/api/clients", client).await.is(504, too_slow());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_behind_a_lock_times_out_and_stores_nothing() {
    a_change_behind_a_lock(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_behind_another_times_out_and_stores_nothing() {
    a_change_behind_a_lock(Backend::Sqlite).await;
}

/// Makes every read of clients run without end: locks do not block readers of SQLite.
async fn endless_clients(server: &TestServer) {
    server.seed(1).await;
    for sql in [
        "ALTER TABLE client RENAME TO stored_client",
        "CREATE VIEW client AS SELECT * FROM stored_client WHERE \
         (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > 0",
    ] {
        server.write(sql).await.expect("a statement of SQLite's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_query_times_out_on_both_apis() {
    run(Backend::Sqlite, async |server| {
        endless_clients(server).await;
        let server = hurried(server).await;
        for path in ["/api/clients", "/api/clients/SEED00000000?fullDetails=true"] {
            server.get(path).await.is(504, too_slow());
        }
        let answer = server.graphql("{ clients { nodes { clientId } } }", json!({})).await;
        assert_eq!(answer.status, 504, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["message"], SENTENCE);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "TIMEOUT");
        server.stop().await;
    })
    .await;
}

/// Writes at once, and ends after its deadline.
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

on_both!(nothing_commits_or_starts_after_the_deadline);

async fn nothing_commits_or_starts_after_the_deadline(server: &TestServer) {
    let before = server.snapshot().await;
    let request = |timeout| {
        let connections = Connections { all: 1, of_request: 1 };
        let budget = BudgetPool::new(timeout, connections, &AnswerSettings::default()).start(Priority::Change, None);
        budget.expect("there is memory")
    };
    // Long enough for a transaction to begin, however busy the machine.
    let late = request(Duration::from_secs(1));
    let work = Late {
        deadline: late.deadline(),
        attempts: AtomicUsize::new(0),
    };
    for attempts in [1, 1] {
        let outcome = late.clone().scope(server.services.db.write(&work)).await;
        assert!(matches!(outcome, Err(Error::TimedOut)), "{outcome:?}");
        assert_eq!(work.attempts.load(Ordering::SeqCst), attempts);
    }
    assert_eq!(server.snapshot().await, before);
    // The deadline of a request applies to all its writes.
    let outcome = request(Duration::ZERO).scope(server.services.db.write(&work)).await;
    assert!(matches!(outcome, Err(Error::TimedOut)), "{outcome:?}");
}
