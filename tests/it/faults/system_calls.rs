//! SQLite whose system calls fail, one after the other.

use super::{
    Ledger,
    injector::{Call, INPUT_OUTPUT, Injector, NO_SPACE},
    operation::{self, Caller, Operation},
};
use crate::cli::server::{self, Server};

/// More calls than any operation makes.
const MOST_CALLS: i32 = 500;

/// Lets each call of each operation fail, `count` calls from there on, and asserts that the next operation succeeds. With
/// `reopen` the operation needs a new connection, because a fault has closed the one before.
async fn every_call_fails(call: Call, count: i32, error: i32, reopen: bool) {
    let (injector, database) = (Injector::new(), server::directory());
    let url = format!("sqlite:{}", database.path().join("clientele.db").display());
    let [preload, control] = injector.environment();
    let environment = [
        (preload.0, &*preload.1),
        (control.0, &*control.1),
        ("DATABASE_URL", &*url),
    ];
    let server = Server::open(&environment);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    let mut failed = 0;
    for operation in Operation::ALL {
        for skipped in 0..MOST_CALLS {
            if reopen {
                injector.arm(Call::Write, 0, i32::MAX, INPUT_OUTPUT);
                let name = format!("{operation:?}{skipped}_closed").to_lowercase();
                let refused = Operation::Role.run(&caller, &name).await;
                assert!(injector.disarm() && refused.is_none(), "its writes fail");
            }
            injector.arm(call, skipped, count, error);
            let name = format!("{operation:?}{skipped}").to_lowercase();
            let acknowledged = operation.run(&caller, &name).await;
            let hit = injector.disarm();
            failed += usize::from(acknowledged.is_none());
            assert!(acknowledged.is_some() || hit, "{operation:?} failed without a fault");
            ledger.acknowledged.extend(acknowledged);
            let next = operation.run(&caller, &format!("{name}_next")).await;
            assert!(
                next.is_some(),
                "{operation:?} must succeed after the fault of call {skipped}"
            );
            ledger.acknowledged.extend(next);
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

#[tokio::test]
async fn commands_say_what_they_stored() {
    let (injector, directory) = (Injector::new(), server::directory());
    let url = format!("sqlite:{}", directory.path().join("clientele.db").display());
    let [preload, control] = injector.environment();
    let environment = [
        (preload.0, &*preload.1),
        (control.0, &*control.1),
        ("DATABASE_URL", &*url),
    ];
    let migrated = server::clientele(&directory, &["migrate"], &environment).output();
    assert!(migrated.expect("the program starts").status.success());
    let mut ledger = Ledger::default();
    for call in [Call::Write, Call::Sync] {
        for skipped in 0..MOST_CALLS {
            injector.arm(call, skipped, i32::MAX, NO_SPACE);
            let name = format!("{call:?}{skipped}");
            let arguments = ["token", "create", &name, "--permissions", "VIEW_CLIENT"];
            let output = server::clientele(&directory, &arguments, &environment).output();
            let output = output.expect("the program starts");
            let hit = injector.disarm();
            assert_eq!(output.status.success(), output.stdout.starts_with(b"clt_"), "{name}");
            if output.status.success() {
                ledger
                    .acknowledged
                    .extend(operation::stored("api_token", "name", &name));
            } else {
                assert!(hit, "{}", server::text(output.stderr));
            }
            if !hit {
                break;
            }
        }
    }
    assert!(ledger.acknowledged.len() >= 2, "the last attempts succeed");
    ledger.assert_stored(&url).await;
}
