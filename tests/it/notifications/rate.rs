//! The rate of a channel, which all workers of a database keep to together.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use clientele::delivery::NotificationSettings;
use serde_json::json;

use super::{
    manual_worker::{Hand, sms_settings},
    messages, queue_copies, reachable, template,
};
use crate::harness::{
    HeldLock, TestServer,
    graphql::{data, store_key},
    peers::{Answering, GatewayPeer},
};

on_both!(
    two_workers_share_the_slots,
    failed_attempt_uses_its_slot,
    slots_far_in_the_future_are_a_wrong_clock,
    without_a_rate_there_is_no_statement,
    running_worker_sends_each_message_at_its_slot,
    suppressed_messages_use_no_slots,
    two_processes_are_never_faster_than_the_rate,
);

on_postgres!(slots_that_another_worker_takes_are_waited_for);

fn limited(gateway: &GatewayPeer, rate: u32) -> NotificationSettings {
    let mut settings = sms_settings(gateway);
    settings.sms.rate_per_minute = Some(rate);
    settings
}

/// Queues an SMS for each of this number of clients.
async fn owe(server: &TestServer, clients: usize) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    for _ in 0..clients {
        store_key(server, json!({ "client": reachable() })).await;
    }
}

async fn two_workers_share_the_slots(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut one = Hand::new(server, limited(&gateway, 60));
    let mut other = Hand::new(server, limited(&gateway, 60));
    other.wait_until(one.now().max(other.now()));
    one.wait_until(other.now());
    owe(server, 4).await;
    assert_eq!((one.step().await, one.step().await, other.step().await), (1, 0, 0));
    one.wait_until(one.now() + Duration::from_micros(999_999));
    other.wait_until(one.now());
    assert_eq!((one.step().await, other.step().await), (0, 0));
    one.wait_until(one.now() + Duration::from_micros(1));
    other.wait_until(one.now());
    assert_eq!((other.step().await, one.step().await, other.step().await), (1, 0, 0));
    // Slots that weren't used are lost: there is no burst.
    one.wait(3_600);
    assert_eq!((one.step().await, one.step().await), (1, 0));
    assert_eq!(gateway.messages().len(), 3);
}

async fn slots_that_another_worker_takes_are_waited_for(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, limited(&gateway, 60));
    owe(server, 1).await;
    let held = HeldLock::of_rate("SMS", &(worker.now() + Duration::from_secs(1)));
    let meanwhile = async {
        held.is_held().await;
        let release = async {
            held.is_waited_for(server).await;
            held.release();
        };
        tokio::join!(worker.step(), release).0
    };
    assert_eq!(tokio::join!(held.hold(server), meanwhile).1, 0);
    worker.wait(1);
    assert_eq!(worker.step().await, 1);
}

async fn failed_attempt_uses_its_slot(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::status(408)).await;
    let (mut one, mut other) = (
        Hand::new(server, limited(&gateway, 1)),
        Hand::new(server, limited(&gateway, 1)),
    );
    one.wait_until(one.now().max(other.now()));
    owe(server, 1).await;
    assert_eq!(one.step().await, 1);
    // By then it is due again.
    other.wait_until(one.now() + Duration::from_secs(59));
    assert_eq!(other.step().await, 0);
    other.wait(1);
    assert_eq!(other.step().await, 1);
    assert_eq!(gateway.messages().len(), 2);
}

async fn slots_far_in_the_future_are_a_wrong_clock(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let (mut ahead, mut right) = (
        Hand::new(server, limited(&gateway, 60)),
        Hand::new(server, limited(&gateway, 60)),
    );
    owe(server, 2).await;
    ahead.wait(3_600);
    assert_eq!(ahead.step().await, 1);
    assert_eq!(right.step().await, 1);
}

async fn without_a_rate_there_is_no_statement(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    owe(server, 1).await;
    server.statements();
    worker.finish().await;
    let statements = server.statements();
    assert!(
        !statements.is_empty() && !statements.iter().any(|sql| sql.contains("channel_rate")),
        "{statements:?}"
    );
}

async fn running_worker_sends_each_message_at_its_slot(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    // It would look again after an hour.
    let settings = NotificationSettings {
        poll_seconds: 3_600,
        ..limited(&gateway, 600)
    };
    owe(server, 15).await;
    let begun = SystemTime::now();
    let worker = Hand::with_system_clock(server, settings);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(worker.run(stopped, Duration::from_secs(10)));
    gateway.message(14).await;
    stop.send_replace(true);
    running.await.expect("it ends");
    assert!(messages(server).await.iter().all(|message| message.state == "SENT"));
    let interval = Duration::from_millis(100);
    for (number, arrival) in (0..).zip(gateway.arrivals()) {
        let waited = arrival.duration_since(begun).expect("it arrives later");
        assert!(waited >= interval * number, "{number}: {waited:?}");
    }
    // The last one is claimed together with others, and waits for its own slot.
    let next = "SELECT next_at FROM channel_rate WHERE channel = 'SMS'";
    let row = server
        .services
        .db
        .read()
        .one(next, [])
        .await
        .expect("the database answers");
    let next: DateTime<Utc> = row.expect("a row").try_get_by_index(0).expect("an instant");
    let last = gateway.arrivals()[14];
    assert!(DateTime::<Utc>::from(last) >= next - interval, "{last:?} {next}");
}

async fn suppressed_messages_use_no_slots(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    // It would look again after an hour.
    let settings = NotificationSettings {
        poll_seconds: 3_600,
        ..limited(&gateway, 1)
    };
    owe(server, 9).await;
    let add = "mutation { addSuppression(input: { channel: SMS, recipient: \"+14155550101\" }) { added } }";
    data(server, add, json!({})).await;
    let good = json!({ "firstName": "Ana", "lastName": "Cruz", "mobilePhone1": "+14155550102" });
    store_key(server, json!({ "client": good })).await;
    let begun = SystemTime::now();
    let worker = Hand::with_system_clock(server, settings);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(worker.run(stopped, Duration::from_secs(10)));
    gateway.message(0).await;
    assert!(begun.elapsed().expect("later") < Duration::from_secs(30));
    stop.send_replace(true);
    running.await.expect("it ends");
    let states: Vec<String> = messages(server)
        .await
        .into_iter()
        .map(|message| message.state)
        .collect();
    assert_eq!(
        states.iter().filter(|state| *state == "SUPPRESSED").count(),
        9,
        "{states:?}"
    );
    assert_eq!(states.iter().filter(|state| *state == "SENT").count(), 1, "{states:?}");
}

/// A process that doesn't outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `clientele worker` on the server's database, which sends in this name.
fn start(server: &TestServer, gateway: &GatewayPeer, from: &str) -> Process {
    let settings = [
        "sms.transport=http".to_owned(),
        format!("sms.url={}", gateway.settings().url),
        format!("sms.from={from}"),
        "sms.rate_per_minute=1200".to_owned(),
        // Neither takes all slots.
        "concurrency=1".to_owned(),
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_clientele"))
        .args(["worker", "--database-url", &server.database_url()])
        .args(settings.map(|setting| format!("--set=notifications.{setting}")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says something");
    assert_eq!(line, "sending messages\n");
    Process(child)
}

async fn two_processes_are_never_faster_than_the_rate(server: &TestServer) {
    const COPIES: usize = 100;
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let _processes = ["first", "second"].map(|from| start(server, &gateway, from));
    owe(server, 1).await;
    gateway.message(0).await;
    let begun = SystemTime::now();
    queue_copies(server, COPIES).await;
    gateway.message(COPIES).await;
    for (number, arrival) in (0..).zip(gateway.arrivals().into_iter().skip(1)) {
        let waited = arrival.duration_since(begun).expect("it arrives later");
        assert!(waited >= Duration::from_millis(50) * number, "{number}: {waited:?}");
    }
    let requests = gateway.messages();
    for from in ["first", "second"] {
        let of_it = |form: Vec<(String, String)>| form.contains(&("From".to_owned(), from.to_owned()));
        assert!(requests.iter().any(|request| of_it(request.form())), "{from}");
    }
}
