//! SQLite on a full disk, which a limit of the size of files stands for.

use std::process::Command;

use super::{
    Ledger,
    operation::{Caller, Operation},
};
use crate::cli::server::{self, Server};

/// A server that can't make a file larger than 2 MiB.
fn limited_server(url: &str) -> Server {
    let directory = server::directory();
    let arguments = ["serve", "--no-auth", "--listen", "127.0.0.1:0", "--database-url", url];
    let program = server::clientele(&directory, &arguments, &[]);
    let mut command = Command::new("sh");
    command
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args());
    Server::listening(command, directory)
}

#[tokio::test]
async fn acknowledged_writes_survive_a_full_disk() {
    let database = server::directory();
    let url = format!("sqlite:{}", database.path().join("clientele.db").display());
    let server = limited_server(&url);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    assert_eq!(caller.get("/health/ready").await, Some(200));
    let mut ledger = Ledger::default();
    let mut refused = 0;
    for number in 0..400 {
        let operation = Operation::ALL[number % 2];
        match operation.run(&caller, &format!("n{number}")).await {
            Some(acknowledged) => ledger.acknowledged.push(acknowledged),
            None => refused += 1,
        }
        if refused == 100 {
            break;
        }
    }
    assert_eq!(refused, 100, "the disk must become full");
    assert_eq!(caller.get("/health/ready").await, Some(503));
    assert_eq!(caller.get("/health/live").await, Some(200));

    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    let warnings = log
        .lines()
        .filter(|line| line.contains("the database accepts no changes"))
        .count();
    assert_eq!(warnings, 1, "{log}");
    assert!(log.contains("disk"), "{log}");
    ledger.assert_stored(&url).await;
}
