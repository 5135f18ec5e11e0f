//! PostgreSQL whose connection is cut at each message of an operation: before the message arrives, and before its answer does.

use super::{
    Ledger,
    operation::{Caller, Operation},
    proxy::{Cut, Proxy},
};
use crate::{
    cli::server::Server,
    harness::{Backend, TestServer},
};

/// More messages than any operation sends.
const MOST_MESSAGES: i32 = 500;

async fn every_message_is_cut(server: &TestServer, cut: Cut) {
    if server.backend == Backend::Sqlite {
        return;
    }
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, cut);
    let process = Server::open(&[("DATABASE_URL", &*through)]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    let mut failed = 0;
    for operation in Operation::ALL {
        for messages in 0..MOST_MESSAGES {
            proxy.arm(messages);
            let name = format!("{operation:?}{messages}").to_lowercase();
            let acknowledged = operation.run(&caller, &name).await;
            let was_cut = proxy.disarm();
            failed += usize::from(acknowledged.is_none());
            assert!(acknowledged.is_some() || was_cut, "{operation:?} failed without a cut");
            ledger.acknowledged.extend(acknowledged);
            if !was_cut {
                break;
            }
            assert!(messages < MOST_MESSAGES - 1, "the operation never ends");
        }
    }
    assert!(failed > 0, "no cut made an operation fail");
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

on_both! {
    async fn connections_that_end_before_a_message_lose_nothing(server) {
        every_message_is_cut(server, Cut::Before).await;
    }

    async fn connections_that_end_before_an_answer_lose_nothing(server) {
        every_message_is_cut(server, Cut::After).await;
    }
}
