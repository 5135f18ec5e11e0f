//! SQLite with system calls that fail, one after the other.

use super::{
    Ledger, NO_WORKER, SHORT_LOG,
    commands::Kind,
    injector::{Call, INPUT_OUTPUT, Injector, NO_SPACE},
    operation::{Caller, Operation},
};
use crate::harness::program::{self, Server};

/// More calls than any operation makes.
const MOST_CALLS: i32 = 500;

/// Fails `count` calls from each call of each operation on, and asserts that the next operation succeeds. With
/// `reopen` the operation needs a new connection, because a fault has closed the one before.
async fn every_call_fails(call: Call, count: i32, error: i32, reopen: bool) {
    let (injector, database) = (Injector::new(), program::directory());
    let url = format!("sqlite:{}", database.path().join("clientele.db").display());
    let [preload, control] = injector.environment();
    let environment = [
        (preload.0, &*preload.1),
        (control.0, &*control.1),
        ("DATABASE_URL", &*url),
        NO_WORKER,
        SHORT_LOG,
    ];
    let server = Server::open(&environment);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    let mut failed = 0;
    for operation in Operation::ALL {
        for skipped in 0..MOST_CALLS {
            let name = format!("{operation:?}{skipped}").to_lowercase();
            let prepared = operation.prepare(&caller, &name).await;
            if reopen {
                injector.arm(Call::Write, 0, i32::MAX, INPUT_OUTPUT);
                let role = Operation::Role.prepare(&caller, &format!("{name}_closed")).await;
                let refused = role.run(&caller).await;
                assert!(injector.disarm() && refused.is_none(), "its writes fail");
            }
            injector.arm(call, skipped, count, error);
            let acknowledged = prepared.run(&caller).await;
            let hit = injector.disarm();
            assert!(acknowledged.is_some() || hit, "{operation:?} failed without a fault");
            if acknowledged.is_none() {
                failed += 1;
                // The same name, so that nothing of the failed attempt may remain.
                let again = prepared.run(&caller).await;
                assert!(
                    again.is_some(),
                    "{operation:?} must succeed after the fault of call {skipped}"
                );
                ledger.acknowledged.extend(again);
            }
            ledger.acknowledged.extend(acknowledged);
            if !hit {
                break;
            }
            assert!(skipped < MOST_CALLS - 1, "the operation never ends");
        }
    }
    assert!(failed > 0, "no fault made an operation fail");
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

#[tokio::test]
async fn one_write_fails_with_an_io_error() {
    every_call_fails(Call::Write, 1, INPUT_OUTPUT, false).await;
}

#[tokio::test]
async fn every_write_from_one_on_finds_no_space() {
    every_call_fails(Call::Write, i32::MAX, NO_SPACE, false).await;
}

#[tokio::test]
async fn one_sync_fails() {
    every_call_fails(Call::Sync, 1, INPUT_OUTPUT, false).await;
}

#[tokio::test]
async fn one_read_of_a_new_connection_fails() {
    every_call_fails(Call::Read, 1, INPUT_OUTPUT, true).await;
}

/// Lets each call of each command fail, with all calls that follow.
async fn every_call_of_a_command_fails(call: Call, error: i32) {
    let (injector, directory) = (Injector::new(), program::directory());
    let url = format!("sqlite:{}", directory.path().join("clientele.db").display());
    let [preload, control] = injector.environment();
    let environment = [
        (preload.0, &*preload.1),
        (control.0, &*control.1),
        ("DATABASE_URL", &*url),
        SHORT_LOG,
    ];
    let server = Server::open(&environment[2..]);
    Caller::of(&server.address).welcome().await;
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
    let mut ledger = Ledger::default();
    for kind in Kind::ALL {
        for skipped in 0..MOST_CALLS {
            let name = format!("{kind:?}{skipped}").to_lowercase();
            let command = kind.prepare(&url, &name).await;
            injector.arm(call, skipped, i32::MAX, error);
            let (succeeded, log) = command.run(&environment);
            let hit = injector.disarm();
            assert_eq!(succeeded, command.is_stored(&url).await, "{name}: {log}");
            assert!(succeeded || hit, "{name} failed without a fault: {log}");
            if succeeded {
                ledger.acknowledged.push(command.stored.into());
            }
            if !hit {
                break;
            }
            assert!(skipped < MOST_CALLS - 1, "the command never ends");
        }
    }
    ledger.assert_stored(&url).await;
}

#[tokio::test]
async fn commands_with_failing_writes_report_what_they_stored() {
    every_call_of_a_command_fails(Call::Write, NO_SPACE).await;
}

#[tokio::test]
async fn commands_with_failing_syncs_report_what_they_stored() {
    every_call_of_a_command_fails(Call::Sync, INPUT_OUTPUT).await;
}
