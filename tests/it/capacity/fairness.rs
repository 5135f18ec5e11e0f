//! One caller at full load, and others who send small requests at the same time.

use serde_json::{Value, json};

use super::{Answer, Credentials, Load, Prepared, Running, exchange, on, percentile};
use crate::harness::Backend;

/// Connections of the greedy caller: more than the request permits.
const CONNECTIONS: usize = 80;
const ROUNDS: usize = 10;

/// Callers with small reads and writes, by token and by password.
struct Others(Vec<Credentials>);

impl Others {
    fn new(prepared: &Prepared) -> Self {
        Self(vec![
            prepared.token("one", "ALL"),
            prepared.token("two", "ALL"),
            prepared.user("ana", "ALL"),
        ])
    }

    /// Signs in, so that no password has to be hashed later.
    async fn sign_in(&self, server: &Running) {
        for other in &self.0 {
            assert!(exchange(server.address, &other.list()).await.is_good());
        }
    }

    async fn ask(&self, server: &Running) -> Vec<Answer> {
        let mut answers = Vec::new();
        for round in 0..ROUNDS {
            for other in &self.0 {
                for request in [other.list(), other.list_by_graphql(), other.create(round)] {
                    answers.push(exchange(server.address, &request).await);
                }
            }
        }
        answers
    }
}

/// All others are answered, and sooner than the greedy caller.
fn is_fair(greedy: &[Answer], others: &[Answer]) {
    let failed: Vec<_> = others.iter().filter(|answer| !answer.is_good()).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), others.len());
    let answered = greedy.iter().filter(|answer| answer.is_good()).count();
    assert!(answered > 0, "{:?}", greedy.first());
    let (slow, half) = (percentile(others, 95), percentile(greedy, 50));
    assert!(
        slow < half,
        "95 % of the others within {slow:?}, half of the greedy caller's within {half:?}"
    );
}

/// As many counts of a custom value as one request may have.
fn scans() -> String {
    let count = |number| {
        format!(
            "a{number}: clients(filter: {{customField: {{fieldId: \"seed_remark\", value: \"{number}\"}}}}) {{ \
                totalCount }}"
        )
    };
    let counts: Vec<_> = (0..16).map(count).collect();
    format!("{{ {} }}", counts.join(" "))
}

async fn slow_reads(backend: Backend) {
    on(backend, async |prepared| {
        prepared.command(&["seed", "--clients", "500"], "");
        let greedy = prepared.token("greedy", "VIEW_CLIENT");
        let others = Others::new(&prepared);
        let server = prepared.serve();
        others.sign_in(&server).await;
        let load = Load::begin(server.address, CONNECTIONS, greedy.graphql(&scans(), &Value::Null)).await;
        let answers = others.ask(&server).await;
        is_fair(&load.end().await, &answers);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reads_leave_other_callers_their_share_on_sqlite() {
    slow_reads(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reads_leave_other_callers_their_share_on_postgres() {
    slow_reads(Backend::Postgres).await;
}

async fn large_writes(backend: Backend) {
    on(backend, async |prepared| {
        let greedy = prepared.token("greedy", "ALL");
        let others = Others::new(&prepared);
        let server = prepared.serve();
        others.sign_in(&server).await;
        let documents: Vec<_> = (0..100)
            .map(|number| json!({ "documentType": "Passport", "documentId": format!("P{number}") }))
            .collect();
        let client = json!({ "firstName": "First", "lastName": "Last" });
        let body = json!({ "client": client, "idDocuments": documents });
        let load = Load::begin(server.address, CONNECTIONS, greedy.post("/api/clients", &body)).await;
        let answers = others.ask(&server).await;
        is_fair(&load.end().await, &answers);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_writes_leave_other_callers_their_share_on_sqlite() {
    large_writes(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_writes_leave_other_callers_their_share_on_postgres() {
    large_writes(Backend::Postgres).await;
}
