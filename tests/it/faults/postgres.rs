//! PostgreSQL connections cut at each message of an operation: before the message or before its answer arrives.

use tokio::task::spawn_blocking;

use super::{
    Ledger, NO_WORKER, SHORT_LOG,
    commands::Kind,
    count,
    operation::{Caller, Operation},
    proxy::{Cut, Proxy},
};
use crate::harness::{TestServer, program::Server};

/// More messages than any operation sends.
const MOST_MESSAGES: i32 = 500;

async fn every_message_is_cut(server: &TestServer, cut: Cut) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, cut);
    let process = Server::open(&[("DATABASE_URL", &*through), NO_WORKER, SHORT_LOG]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    let (mut failed, mut repeated) = (0, Vec::new());
    for operation in Operation::ALL {
        for messages in 0..MOST_MESSAGES {
            let name = format!("{operation:?}{messages}").to_lowercase();
            let prepared = operation.prepare(&caller, &name).await;
            proxy.arm(messages);
            let acknowledged = prepared.run(&caller).await;
            let was_cut = proxy.disarm();
            failed += usize::from(acknowledged.is_none());
            assert!(acknowledged.is_some() || was_cut, "{operation:?} failed without a cut");
            if acknowledged.is_none() && operation == Operation::RestClient {
                // The caller can't know whether the client is stored, but may repeat the request.
                let again = prepared.run(&caller).await;
                assert!(again.is_some(), "the repeated request is answered");
                ledger.acknowledged.extend(again);
                repeated.push(name);
            }
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
    assert!(!repeated.is_empty());
    for name in repeated {
        let sql = format!("SELECT count(*) FROM client WHERE first_name = '{name}'");
        assert_eq!(count(&server.services.db, &sql).await, 1, "{name} must be stored once");
    }
}

/// A command whose connection is cut at each message.
async fn every_message_of_a_command_is_cut(server: &TestServer, cut: Cut, kind: Kind) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, cut);
    let mut ledger = Ledger::default();
    for messages in 0..MOST_MESSAGES {
        let name = format!("{kind:?}{messages}_{cut:?}").to_lowercase();
        let command = kind.prepare(&url, &name).await;
        proxy.arm(messages);
        let through = through.clone();
        let command = spawn_blocking(move || (command.run(&[("DATABASE_URL", &*through), SHORT_LOG]), command));
        let ((succeeded, log), command) = command.await.expect("the program starts");
        let was_cut = proxy.disarm();
        assert!(succeeded || was_cut, "{name} failed without a cut: {log}");
        if succeeded {
            ledger.acknowledged.push(command.stored.into());
        }
        if !was_cut {
            break;
        }
        assert!(messages < MOST_MESSAGES - 1, "the command never ends");
    }
    ledger.assert_stored(&url).await;
}

on_postgres!(
    commands_report_what_they_stored,
    connections_that_end_before_a_message_lose_nothing,
    connections_that_end_before_an_answer_lose_nothing,
);

async fn commands_report_what_they_stored(server: &TestServer) {
    every_message_of_a_command_is_cut(server, Cut::Before, Kind::TokenCreate).await;
    every_message_of_a_command_is_cut(server, Cut::After, Kind::UserRemove).await;
}

async fn connections_that_end_before_a_message_lose_nothing(server: &TestServer) {
    every_message_is_cut(server, Cut::Before).await;
}

async fn connections_that_end_before_an_answer_lose_nothing(server: &TestServer) {
    every_message_is_cut(server, Cut::After).await;
}
