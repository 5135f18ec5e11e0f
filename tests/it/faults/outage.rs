//! An outage of PostgreSQL: requests are refused at once, and the log has one line each for its start and end.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Ledger, NO_WORKER,
    operation::{Caller, Operation, Prepared},
    proxy::{Cut, Proxy},
};
use crate::harness::{TestServer, program::Server};

/// Requests that are sent while the database is away.
const REQUESTS: usize = 200;
/// Longer than any probe takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every request must be answered in this time.
const MOST_SECONDS: Duration = Duration::from_secs(20);

async fn until_ready(caller: &Caller, status: u16) {
    let ready = async { while caller.get("/health/ready").await != Some(status) {} };
    timeout(PATIENCE, ready).await.expect("the outage is noticed");
}

/// Every operation, prepared under its own name.
async fn prepare_all(caller: &Caller) -> Vec<Prepared> {
    let mut prepared = Vec::new();
    for operation in Operation::ALL {
        prepared.push(
            operation
                .prepare(caller, &format!("{operation:?}").to_lowercase())
                .await,
        );
    }
    prepared
}

on_postgres!(
    requests_during_an_outage_are_refused_at_once,
    requests_during_a_silent_outage_are_refused,
    silence_within_a_change_hangs_no_request,
);

async fn requests_during_an_outage_are_refused_at_once(server: &TestServer) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, Cut::Before);
    let process = Server::open(&[("DATABASE_URL", &*through), ("CLIENTELE_LOG__FILTER", "info")]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    ledger.acknowledged.extend(
        Operation::GraphqlClient
            .prepare(&caller, "before")
            .await
            .run(&caller)
            .await,
    );
    let prepared = prepare_all(&caller).await;
    until_ready(&caller, 200).await;

    proxy.go_down();
    until_ready(&caller, 503).await;
    for number in 0..REQUESTS {
        assert!(prepared[number % prepared.len()].run(&caller).await.is_none());
        assert_eq!(caller.get("/health/live").await, Some(200));
    }
    let refused = proxy.come_back();
    assert!(refused < REQUESTS / 4, "{refused} connections for {REQUESTS} requests");
    until_ready(&caller, 200).await;
    for prepared in &prepared {
        let acknowledged = prepared.run(&caller).await;
        ledger.acknowledged.push(acknowledged.expect("the database is back"));
    }

    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    let of_outage = |line: &&str| line.contains("clientele_storage::db::availability");
    let lines: Vec<&str> = log.lines().filter(of_outage).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].contains(" WARN ") && lines[0].contains("the database can't be reached"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(" INFO ") && lines[1].contains("the database answers again"),
        "{}",
        lines[1]
    );
    ledger.assert_stored(&url).await;
}
async fn requests_during_a_silent_outage_are_refused(server: &TestServer) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, Cut::Before);
    let process = Server::open(&[("DATABASE_URL", &*through), NO_WORKER]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    ledger.acknowledged.extend(
        Operation::GraphqlClient
            .prepare(&caller, "before")
            .await
            .run(&caller)
            .await,
    );
    let prepared = prepare_all(&caller).await;

    proxy.go_silent();
    let changes = join_all(prepared.iter().map(|prepared| prepared.run(&caller)));
    let reads = join_all((0..REQUESTS / 10).map(async |_| {
        (
            caller.read_clients().await,
            caller.get("/api/clients/graphqlchange").await,
        )
    }));
    let answers = async { tokio::join!(changes, reads, caller.get("/health/live")) };
    let (changes, reads, live) = timeout(MOST_SECONDS, answers).await.expect("every request is answered");
    assert!(changes.iter().all(Option::is_none), "{changes:?}");
    let refusals = caller.refusals();
    assert_eq!(refusals.len(), prepared.len(), "{refusals:?}");
    assert!(
        refusals.iter().all(|code| matches!(&**code, "UNAVAILABLE" | "503")),
        "{refusals:?}"
    );
    for read in reads {
        assert_eq!(read, (Some("UNAVAILABLE".to_owned()), Some(503)));
    }
    assert_eq!(live, Some(200));

    proxy.come_back();
    until_ready(&caller, 200).await;
    for prepared in &prepared {
        let acknowledged = prepared.run(&caller).await;
        ledger.acknowledged.push(acknowledged.expect("the database is back"));
    }
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

async fn silence_within_a_change_hangs_no_request(server: &TestServer) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, Cut::Silent);
    let process = Server::open(&[("DATABASE_URL", &*through), NO_WORKER]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    // Messages of a transaction after its BEGIN. Their number depends on the connection's prepared statements.
    for messages in [4, 8] {
        let operation = Operation::GraphqlClient;
        let prepared = operation.prepare(&caller, &format!("n{messages}")).await;
        proxy.arm(messages);
        let requests = async { tokio::join!(prepared.run(&caller), caller.get("/health/live")) };
        let (change, live) = timeout(MOST_SECONDS, requests)
            .await
            .expect("every request is answered");
        assert!(change.is_none() && proxy.disarm(), "the change fell silent");
        assert_eq!(caller.refusals(), ["UNAVAILABLE"]);
        assert_eq!(live, Some(200));
        proxy.come_back();
        until_ready(&caller, 200).await;
        let again = prepared.run(&caller).await;
        ledger.acknowledged.push(again.expect("the database is back"));
    }
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}
