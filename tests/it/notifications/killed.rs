//! A worker process that is killed at any instant loses no message: SIGKILL, fifty times.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{
    manual_worker::{Hand, settings},
    messages, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Mailing, SmtpPeer},
};

const KILLS: usize = 50;
const CLIENTS: usize = 1_000;

/// A process that doesn't outlive the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `clientele worker` on the server's database, sending.
fn start(server: &TestServer, mail: &SmtpPeer) -> Worker {
    let settings = mail.settings();
    let mut child = Command::new(env!("CARGO_BIN_EXE_clientele"))
        .args(["worker", "--database-url", &server.database_url()])
        .args([
            "--set",
            "notifications.email.transport=smtp",
            "--set",
            "notifications.email.encryption=none",
        ])
        .args(["--set", &format!("notifications.email.host={}", settings.host)])
        .args(["--set", &format!("notifications.email.port={}", mail.address.port())])
        .args(["--set", &format!("notifications.email.from={}", settings.from)])
        // The shortest lease there is.
        .args([
            "--set",
            "notifications.email.timeout_seconds=1",
            "--set",
            "notifications.sms.timeout_seconds=1",
        ])
        .args([
            "--set",
            "notifications.lease_seconds=13",
            "--set",
            "notifications.concurrency=4",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says something");
    assert_eq!(line, "sending messages\n");
    Worker(child)
}

/// Creates clients `from` to `until`, whose addresses have their number.
async fn create(server: &TestServer, from: usize, until: usize) {
    for number in from..until {
        let client =
            json!({ "firstName": "Ana", "lastName": "Cruz", "emailAddress": format!("client{number}@example.test") });
        store_key(server, json!({ "client": client })).await;
    }
}

on_both!(every_message_is_delivered_at_least_once);

async fn every_message_is_delivered_at_least_once(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    template(server, "hello", json!({})).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let each = CLIENTS / KILLS;
    for round in 0..KILLS {
        let before = mail.messages().len();
        let mut worker = start(server, &mail);
        let kill = async {
            // A moment of its life: in one of five runs before it has sent anything, otherwise after some messages,
            // plus a delay.
            if !chance.random_ratio(1, 5) {
                mail.message(before + chance.random_range(0..each)).await;
            }
            tokio::time::sleep(Duration::from_micros(chance.random_range(0..5_000))).await;
            worker.0.kill().expect("it lives");
        };
        tokio::join!(create(server, round * each, (round + 1) * each), kill);
        drop(worker);
    }
    let before = messages(server).await;
    let mut heir = Hand::new(server, settings(&mail));
    // All leases are over by then.
    heir.wait(3_600);
    heir.finish().await;
    let delivered = mail.messages();
    let mut ids: HashMap<&str, HashSet<&str>> = HashMap::new();
    for mail in &delivered {
        let id = mail.data.lines().find(|line| line.starts_with("Message-ID:"));
        ids.entry(&mail.to[0])
            .or_default()
            .insert(id.expect("every message has one"));
    }
    assert_eq!(ids.len(), CLIENTS, "every client's message is delivered");
    assert!(
        ids.values().all(|ids| ids.len() == 1),
        "a repeat has the Message-ID of the first"
    );
    assert!(messages(server).await.iter().all(|message| message.state == "SENT"));
    let held = before.iter().filter(|message| message.state == "SENDING").count();
    let repeats = delivered.len() - CLIENTS;
    println!("{KILLS} kills, {CLIENTS} messages: {held} were in dead hands at the end, {repeats} repeats");
}
