//! SQLite on a full disk, simulated by a limit on file sizes.

use std::{fs, path::Path, process::Command};

use sea_orm::ConnectionTrait;

use super::{
    Ledger,
    operation::{Caller, Operation},
};
use crate::harness::program::{self, Server};

/// The largest file that the server can write, in bytes.
const LARGEST: u64 = 2 << 20;

/// A server whose files have this limit.
fn limited_server(url: &str) -> Server {
    let directory = program::directory();
    let arguments = ["serve", "--no-auth", "--listen", "127.0.0.1:0", "--database-url", url];
    let program = program::clientele(&directory, &arguments, &[]);
    // The shell counts blocks of 512 bytes.
    let script = format!("ulimit -f {}; exec \"$@\"", LARGEST / 512);
    let mut command = Command::new("sh");
    command
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", &script, "sh"])
        .arg(program.get_program())
        .args(program.get_args());
    Server::listening(command, directory)
}

/// Grows SQLite's log, from this process, beyond what the server can write.
async fn fill_log(database: &Path) {
    let filling = sea_orm::Database::connect(format!("sqlite:{}", database.display()))
        .await
        .expect("it opens");
    let run = async |sql| {
        filling
            .execute_unprepared(sql)
            .await
            .expect("there is space for this process")
    };
    // A checkpoint would empty the log.
    run("PRAGMA wal_autocheckpoint = 0").await;
    while fs::metadata(database.with_extension("db-wal")).expect("the log").len() <= LARGEST {
        run("UPDATE client_role SET name = name || '.'").await;
    }
    filling.close().await.expect("it closes");
}

#[tokio::test]
async fn acknowledged_writes_survive_a_full_disk() {
    let database = program::directory();
    let url = format!("sqlite:{}", database.path().join("clientele.db").display());
    let server = limited_server(&url);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    assert_eq!(caller.get("/health/ready").await, Some(200));
    let mut ledger = Ledger::default();
    let mut refused = 0;
    for number in 0..400 {
        let operation = [Operation::GraphqlClient, Operation::RestClient][number % 2];
        let prepared = operation.prepare(&caller, &format!("n{number}")).await;
        match prepared.run(&caller).await {
            Some(acknowledged) => ledger.acknowledged.push(acknowledged),
            None => refused += 1,
        }
        if refused == 1 {
            // A smaller write, such as that of a probe, might still fit.
            fill_log(&database.path().join("clientele.db")).await;
        }
        if refused == 100 {
            break;
        }
    }
    assert_eq!(refused, 100, "the disk must become full");
    assert_eq!(caller.get("/health/ready").await, Some(503));
    let reason = caller.text("/health/ready").await;
    assert_eq!(reason, "the database accepts no changes\n");
    let metrics = caller.text("/metrics").await;
    assert!(metrics.contains("\nclientele_database_writable 0\n"), "{metrics}");
    assert_eq!(caller.get("/health/live").await, Some(200));

    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    let lines = |text| log.lines().filter(|line| line.contains(text)).count();
    // A probe may have succeeded before the log was full.
    let ended = lines("the database accepts changes again");
    assert_eq!(lines("the database accepts no changes"), ended + 1, "{log}");
    assert!(log.contains("disk"), "{log}");
    ledger.assert_stored(&url).await;
}
