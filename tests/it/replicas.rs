//! Reads on streaming replicas: as fresh as on the primary, whatever happens to the replica.

pub mod cluster;
mod pooled;

use std::time::{Duration, Instant};

use reqwest::Client;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use self::cluster::{Cluster, Replicated};
use crate::harness::{Backend, program::Server, run as on};

const FIRST: &str = "+4790000001";
const SECOND: &str = "+4790000002";
const CHANGE: &str = "mutation($phone: String!) { upsertClient(input: { matchOn: CLIENT_ID, client: { \
    clientId: \"R-1\", firstName: \"Ada\", lastName: \"Okafor\", mobilePhone1: $phone } }) \
    { client { mobilePhone1 } userErrors { message } } }";
const READ: &str = "{ client(by: { clientId: \"R-1\" }) { mobilePhone1 } }";
/// A part of the statement that reads a client.
const OF_READ: &str = "mobile_phone1";

fn serve(primary: &str, replicas: &[&str]) -> Server {
    let replicas = serde_json::to_string(replicas).expect("JSON");
    Server::open(&[
        ("DATABASE_URL", primary),
        ("CLIENTELE_DATABASE__REPLICA_URLS", &replicas),
        ("CLIENTELE_NOTIFICATIONS__WORKER", "false"),
        ("CLIENTELE_LOG__FILTER", "warn,clientele_storage=info"),
    ])
}

/// A primary with some replicas, and a server that has written a client and reads it from each of them. None when
/// PostgreSQL isn't installed.
async fn reading(replicas: usize) -> Option<(Server, Replicated)> {
    let clusters = Replicated::start(replicas).await?;
    let urls: Vec<&str> = clusters.replicas.iter().map(|replica| &*replica.url).collect();
    let server = serve(&clusters.primary.url, &urls);
    change(&server, FIRST).await;
    for (replica, number) in clusters.replicas.iter().zip(1..) {
        until_serving(&server, number, true).await;
        until_replica_reads(&server, replica, FIRST).await;
    }
    Some((server, clusters))
}

async fn graphql(server: &Server, query: &str, variables: Value) -> Value {
    let answer = Client::new().post(format!("{}/graphql", server.address));
    let answer = answer.json(&json!({ "query": query, "variables": variables })).send();
    let answer = answer.await.expect("it answers");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

/// Changes the client. The answer has what was written.
async fn change(server: &Server, phone: &str) {
    let answer = graphql(server, CHANGE, json!({ "phone": phone })).await;
    let payload = json!({ "client": { "mobilePhone1": phone }, "userErrors": [] });
    assert_eq!(answer, json!({ "data": { "upsertClient": payload } }));
}

/// Reads the client, which must be as it was written.
async fn read(server: &Server, phone: &str) {
    let answer = graphql(server, READ, json!({})).await;
    assert_eq!(answer, json!({ "data": { "client": { "mobilePhone1": phone } } }));
}

async fn metric(server: &Server, name: &str) -> u64 {
    let page = Client::new().get(format!("{}/metrics", server.address)).send().await;
    let page = page.expect("it answers").text().await.expect("text");
    let sample = page
        .lines()
        .find_map(|line| line.strip_prefix(&format!("clientele_database_replica_{name} ")));
    sample.expect("a sample").parse().expect("a number")
}

async fn is_serving(server: &Server, number: usize) -> bool {
    metric(server, &format!("serving{{replica=\"{number}\"}}")).await == 1
}

/// Waits until a replica serves reads, or until it is left out.
async fn until_serving(server: &Server, number: usize, serves: bool) {
    while is_serving(server, number).await != serves {
        tokio::task::yield_now().await;
    }
}

/// Reads until the replica has served one of the reads. All of them must be right.
async fn until_replica_reads(server: &Server, replica: &Cluster, phone: &str) {
    let before = replica.statements(OF_READ);
    while replica.statements(OF_READ) == before {
        read(server, phone).await;
    }
}

/// Changes the client through one server and reads it through the other, again and again.
async fn change_and_read(servers: &[Server; 2], round: usize) {
    for turn in 0..100 {
        let phone = format!("+4791{round:02}{turn:04}");
        change(&servers[turn % 2], &phone).await;
        read(&servers[1 - turn % 2], &phone).await;
    }
}

/// The replica dies and starts again. The server reads all the time, at first what was written first.
async fn dies_and_returns(server: &Server, replica: &Cluster) {
    replica.crash();
    read(server, FIRST).await;
    until_serving(server, 1, false).await;
    change(server, SECOND).await;
    read(server, SECOND).await;
    replica.start_again();
    until_serving(server, 1, true).await;
    until_replica_reads(server, replica, SECOND).await;
}

/// The lines about replicas in a log, without times and hosts.
fn about_replicas(server: Server) -> Vec<String> {
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    let lines = log
        .lines()
        .filter_map(|line| line.split_once("a replica "))
        .map(|(_, line)| line);
    let event = |line: &str| {
        let words = line
            .split(' ')
            .filter(|word| !word.starts_with("host=") && !word.starts_with("seconds="));
        words.collect::<Vec<_>>().join(" ")
    };
    lines.map(event).collect()
}

const SERVES: &str = "serves reads replica=1";

fn left_out(number: usize, problem: &str) -> String {
    format!("is left out: reads go to others or to the primary replica={number} problem={problem}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_reads_older_data_than_another_has_written() {
    let Some(Replicated { primary, replicas, .. }) = &Replicated::start(1).await else {
        return;
    };
    let replica = &replicas[0];
    let servers = [(); 2].map(|()| serve(&primary.url, &[&replica.url]));
    change(&servers[0], FIRST).await;
    for (round, delay) in ["0", "2ms", "10ms", "1s"].into_iter().enumerate() {
        replica.set("recovery_min_apply_delay", &format!("'{delay}'")).await;
        change_and_read(&servers, round).await;
    }
    replica.set("recovery_min_apply_delay", "DEFAULT").await;
    replica.follows(primary).await;
    for server in &servers {
        until_serving(server, 1, true).await;
        until_replica_reads(server, replica, "+4791030099").await;
        assert!(metric(server, "statements_total{replica=\"1\"}").await > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_serves_reads_and_the_primary_serves_changes() {
    let Some((server, Replicated { primary, replicas, .. })) = &reading(1).await else {
        return;
    };
    let (of_primary, of_replica) = (primary.statements(OF_READ), replicas[0].statements("BEGIN"));
    change(server, SECOND).await;
    assert_eq!(replicas[0].statements("BEGIN"), of_replica);
    assert!(primary.statements(OF_READ) > of_primary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_stops_replaying_is_left_out_and_returns() {
    let Some((server, clusters)) = reading(1).await else {
        return;
    };
    let replica = &clusters.replicas[0];
    replica.run("SELECT pg_wal_replay_pause()").await;
    replica.until("SELECT pg_get_wal_replay_pause_state() = 'paused'").await;
    change(&server, SECOND).await;
    while is_serving(&server, 1).await {
        read(&server, SECOND).await;
    }
    assert!(metric(&server, "fallbacks_total").await > 0);
    // Logged when it has lasted for a second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        read(&server, SECOND).await;
    }
    replica.run("SELECT pg_wal_replay_resume()").await;
    until_serving(&server, 1, true).await;
    until_replica_reads(&server, replica, SECOND).await;
    let lags = left_out(1, "it lags behind the primary");
    let log = about_replicas(server);
    assert!(
        log.contains(&lags) && log.last().is_some_and(|last| last == SERVES),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_outlive_a_replica_that_dies() {
    let Some((server, Replicated { replicas, .. })) = &reading(1).await else {
        return;
    };
    dies_and_returns(server, &replicas[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_reads_and_one_replaces_the_other() {
    let Some((server, clusters)) = reading(2).await else {
        return;
    };
    let replicas = &clusters.replicas;
    replicas[0].crash();
    until_serving(&server, 1, false).await;
    change(&server, SECOND).await;
    until_replica_reads(&server, &replicas[1], SECOND).await;
    assert!(is_serving(&server, 2).await);
    replicas[0].start_again();
    until_serving(&server, 1, true).await;
    for replica in replicas {
        until_replica_reads(&server, replica, SECOND).await;
    }
    let log = about_replicas(server);
    let unreachable = left_out(1, "it can't be reached");
    let is_noted = log.iter().any(|line| line.starts_with(&unreachable));
    assert!(is_noted && log.last().is_some_and(|last| last == SERVES), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_hangs_delays_reads_only_for_a_moment() {
    let Some((server, Replicated { replicas, .. })) = &reading(1).await else {
        return;
    };
    replicas[0].signal("STOP");
    let begun = Instant::now();
    while is_serving(server, 1).await {
        read(server, FIRST).await;
    }
    // Its statements would have ended after 30 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    replicas[0].signal("CONT");
    until_serving(server, 1, true).await;
    until_replica_reads(server, &replicas[0], FIRST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_replica_serves_no_reads() {
    let Some((server, clusters)) = reading(1).await else {
        return;
    };
    let replica = &clusters.replicas[0];
    replica.promote();
    replica
        .run("UPDATE client SET mobile_phone1 = 'of another primary'")
        .await;
    change(&server, SECOND).await;
    read(&server, SECOND).await;
    until_serving(&server, 1, false).await;
    read(&server, SECOND).await;
    let promoted = left_out(1, "it isn't a standby");
    assert_eq!(about_replicas(server).last(), Some(&promoted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_addresses_serve_no_reads() {
    on(Backend::Postgres, async |other| {
        let Some(Replicated { primary, replicas, .. }) = &Replicated::start(1).await else {
            return;
        };
        let replica = &replicas[0];
        primary.run("CREATE DATABASE other TEMPLATE template0").await;
        primary.run("CREATE ROLE stranger LOGIN").await;
        let database = replica.url.replace("/postgres?", "/other?");
        let stranger = replica.url.replace("clientele@", "stranger@");
        let unknown = replica.url.replace("clientele@", "absent@");
        let wrong = [&*primary.url, &other.database_url(), &database, &stranger, &unknown];
        let server = serve(&primary.url, &wrong);
        change(&server, FIRST).await;
        read(&server, FIRST).await;
        assert_eq!(metric(&server, "fallbacks_total").await, 1);
        // Replicas are checked each second.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2_500) {
            read(&server, FIRST).await;
        }
        let log = about_replicas(server);
        let expected = [
            (1, "it isn't a standby"),
            (2, "it belongs to another cluster"),
            (3, "its address leads to another database or schema than the primary's"),
            (
                4,
                "its role can't read the tables, or can't call pg_control_system, _checkpoint and _recovery",
            ),
            (5, "it can't be reached: invalid authorization (code 28000)"),
        ];
        for (number, problem) in expected {
            assert!(log.contains(&left_out(number, problem)), "{problem}: {log:?}");
        }
        assert!(!log.iter().any(|line| line.starts_with("serves")), "{log:?}");
    })
    .await;
}

/// The replica cancels a read that holds a lock which the primary has given to another session since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_that_conflicts_with_recovery_is_repeated_on_the_primary() {
    let Some(Replicated { primary, replicas, .. }) = &Replicated::start(1).await else {
        return;
    };
    let replica = &replicas[0];
    replica.set("max_standby_streaming_delay", "0").await;
    replica.crash();
    replica.start_again();
    let server = serve(&primary.url, &[&replica.url]);
    change(&server, FIRST).await;
    until_serving(&server, 1, true).await;
    let (first, second) = (primary.session().await, primary.session().await);
    for (session, sql) in [
        (&first, "BEGIN; LOCK TABLE address IN ACCESS EXCLUSIVE MODE"),
        (&second, "BEGIN"),
    ] {
        session.execute_unprepared(sql).await.expect(sql);
    }
    let locked = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'address'::regclass \
                  AND mode = 'AccessExclusiveLock' AND granted";
    // Records of locks are sent to the replica with the next commit.
    let commit = "SELECT pg_logical_emit_message(true, 'commit', '')";
    primary.run(commit).await;
    replica.until(locked).await;
    replica.follows(primary).await;
    let query = "{ client(by: { clientId: \"R-1\" }) { mobilePhone1 addresses { city } } }";
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'address'::regclass AND NOT granted";
    let reading = loop {
        let request = Client::new().post(format!("{}/graphql", server.address));
        let reading = tokio::spawn(request.json(&json!({ "query": query })).send());
        let (mut on_replica, mut on_primary) = (false, false);
        while !on_replica && !on_primary {
            (on_replica, on_primary) = tokio::join!(replica.ask(waiting), primary.ask(waiting));
        }
        if on_replica {
            break reading;
        }
        // The replica was too late for this one.
        let end = "SELECT bool_and(pg_cancel_backend(pid)) FROM pg_locks \
                   WHERE relation = 'address'::regclass AND NOT granted";
        primary.run(end).await;
        reading.await.expect("no panic").expect("it answers");
    };
    let lock = "LOCK TABLE client IN ACCESS EXCLUSIVE MODE";
    second.execute_unprepared(lock).await.expect(lock);
    primary.run(commit).await;
    let conflict = "canceling statement due to conflict with recovery";
    while replica.statements(conflict) == 0 {
        tokio::task::yield_now().await;
    }
    for session in [&first, &second] {
        session.execute_unprepared("COMMIT").await.expect("it ends");
    }
    let answer = reading.await.expect("no panic").expect("it answers");
    let expected = json!({ "data": { "client": { "mobilePhone1": FIRST, "addresses": [] } } });
    assert_eq!(answer.json::<Value>().await.expect("JSON"), expected);
    assert_eq!(replica.statements(conflict), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_primary_nothing_is_read_from_the_replica() {
    let Some((server, Replicated { primary, .. })) = &reading(1).await else {
        return;
    };
    primary.crash();
    let answer = Client::new().post(format!("{}/graphql", server.address));
    let answer = answer.json(&json!({ "query": READ })).send().await.expect("it answers");
    let (status, text) = (answer.status().as_u16(), answer.text().await.expect("text"));
    assert!(!text.contains(FIRST), "{text}");
    assert!(status == 503 || text.contains("\"UNAVAILABLE\""), "{status} {text}");
}

/// As after the restore of a snapshot of the machine: the cluster and its timeline are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_of_a_later_state_than_its_primary_serves_no_reads() {
    let Some(clusters) = Replicated::start(1).await else {
        return;
    };
    let Replicated { primary, replicas, .. } = &clusters;
    let server = serve(&primary.url, &[&replicas[0].url]);
    change(&server, FIRST).await;
    primary.crash();
    let copy = primary.copy();
    primary.start_again();
    until_answering(&server).await;
    change(&server, SECOND).await;
    until_serving(&server, 1, true).await;
    until_replica_reads(&server, &replicas[0], SECOND).await;
    primary.crash();
    primary.restore(&copy);
    primary.start_again();
    until_answering(&server).await;
    // Replicas are checked each second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        read(&server, FIRST).await;
    }
    let log = about_replicas(server);
    let ahead = "it has replayed more than the primary has written, which is of an older copy: make it anew";
    assert_eq!(log.last(), Some(&left_out(1, ahead)), "{log:?}");
}

/// Waits until the server has noticed that the database is back.
async fn until_answering(server: &Server) {
    let ready = format!("{}/health/ready", server.address);
    while Client::new().get(&ready).send().await.expect("it answers").status() != 200 {
        tokio::task::yield_now().await;
    }
}
