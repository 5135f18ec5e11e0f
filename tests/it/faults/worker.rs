//! A worker process with failing writes and syncs loses no message.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use clientele::db::{Database, DatabaseSettings};
use tokio::{task::yield_now, time::timeout};

use super::{
    NO_WORKER, NOT_SENT, count,
    injector::{Call, INPUT_OUTPUT, Injector},
    operation::{Caller, Operation},
    send_messages,
};
use crate::harness::program::{self, Server};

const MESSAGES: i64 = 3;
/// More calls than a worker makes for these messages.
const MOST_CALLS: i32 = 500;
/// Longer than a worker takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that doesn't outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stores clients whose messages wait in the database at `url`.
async fn queue(url: &str) {
    let server = Server::open(&[("DATABASE_URL", url), NO_WORKER]);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    for number in 0..MESSAGES {
        let client = Operation::GraphqlClient.prepare(&caller, &format!("n{number}")).await;
        assert!(client.run(&caller).await.is_some());
    }
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
}

/// Runs a worker until a call has failed, everything is sent, or the worker has ended.
async fn work(injector: &Injector, url: &str) {
    let directory = program::directory();
    let [preload, control] = injector.environment();
    let environment = [
        (preload.0, &*preload.1),
        (control.0, &*control.1),
        ("DATABASE_URL", url),
    ];
    let mut command = program::clientele(&directory, &["worker"], &environment);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = Process(child.expect("the program starts"));
    let database = Database::connect_to_look(url, &DatabaseSettings::default()).await;
    let database = database.expect("the database is there");
    let done = async {
        while !injector.has_hit()
            && count(&database, NOT_SENT).await > 0
            && process.0.try_wait().expect("it can be asked").is_none()
        {
            yield_now().await;
        }
    };
    timeout(PATIENCE, done).await.expect("the worker sends the messages");
    database.close().await;
    if process.0.try_wait().expect("it can be asked").is_none() {
        let sent = std::process::Command::new("kill")
            .arg(process.0.id().to_string())
            .status();
        assert!(sent.expect("kill").success());
    }
    let _ = process.0.wait();
}

/// Lets each call of a worker fail, one at a time.
async fn every_call_fails(call: Call) {
    let (injector, folder) = (Injector::new(), program::directory());
    let queued = folder.path().join("clientele.db");
    queue(&format!("sqlite:{}", queued.display())).await;
    for skipped in 0..MOST_CALLS {
        let directory = program::directory();
        let file = directory.path().join("clientele.db");
        fs::copy(&queued, &file).expect("the database is one file");
        let url = format!("sqlite:{}", file.display());
        injector.arm(call, skipped, 1, INPUT_OUTPUT);
        work(&injector, &url).await;
        let hit = injector.disarm();
        send_messages(&url).await;
        let database = Database::connect_to_look(&url, &DatabaseSettings::default()).await;
        let database = database.expect("the database is there");
        let sent = count(&database, "SELECT count(*) FROM message WHERE state = 'SENT'").await;
        assert_eq!(sent, MESSAGES, "after the fault of call {skipped}");
        database.close().await;
        if !hit {
            assert!(skipped > 0, "no call failed");
            return;
        }
    }
    panic!("the worker never ends");
}

#[tokio::test]
async fn worker_whose_writes_fail_loses_no_message() {
    every_call_fails(Call::Write).await;
}

#[tokio::test]
async fn worker_whose_syncs_fail_loses_no_message() {
    every_call_fails(Call::Sync).await;
}
