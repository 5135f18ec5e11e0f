//! PostgreSQL goes away and comes back: requests are refused at once, and the log has one line for each.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Ledger,
    operation::{Caller, Operation},
    proxy::{Cut, Proxy},
};
use crate::{cli::server::Server, harness::Backend};

/// Requests that are sent while the database is away.
const REQUESTS: usize = 200;
/// Longer than any probe takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn until_ready(caller: &Caller, status: u16) {
    let ready = async { while caller.get("/health/ready").await != Some(status) {} };
    timeout(PATIENCE, ready).await.expect("the outage is noticed");
}

on_both! {
    async fn requests_during_an_outage_are_refused_without_asking(server) {
        if server.backend == Backend::Sqlite {
            return;
        }
        let url = server.database_url();
        let (proxy, through) = Proxy::start(&url, Cut::Before);
        let process = Server::open(&[("DATABASE_URL", &*through), ("CLIENTELE_LOG__FILTER", "info")]);
        let caller = Caller::of(&process.address);
        caller.welcome().await;
        let mut ledger = Ledger::default();
        ledger.acknowledged.extend(Operation::GraphqlClient.run(&caller, "before").await);
        until_ready(&caller, 200).await;

        proxy.go_down();
        until_ready(&caller, 503).await;
        for number in 0..REQUESTS {
            let operation = Operation::ALL[number % Operation::ALL.len()];
            assert!(operation.run(&caller, &format!("n{number}")).await.is_none());
            assert_eq!(caller.get("/health/live").await, Some(200));
        }
        let refused = proxy.come_back();
        assert!(refused < REQUESTS / 4, "{refused} connections for {REQUESTS} requests");
        until_ready(&caller, 200).await;
        for operation in Operation::ALL {
            let acknowledged = operation.run(&caller, "after").await;
            ledger.acknowledged.push(acknowledged.expect("the database is back"));
        }

        process.signal("TERM");
        let (log, code) = process.wait();
        assert_eq!(code, Some(0), "{log}");
        let of_outage = |line: &&str| line.contains("clientele::db::availability");
        let lines: Vec<&str> = log.lines().filter(of_outage).collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains(" WARN ") && lines[0].contains("the database can't be reached"), "{}", lines[0]);
        assert!(lines[1].contains(" INFO ") && lines[1].contains("the database answers again"), "{}", lines[1]);
        ledger.assert_stored(&url).await;
    }
}
