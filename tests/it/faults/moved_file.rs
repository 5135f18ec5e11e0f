//! A SQLite file that is renamed or removed under a running server: the server acknowledges no lost change.

use std::fs;

use super::{
    Ledger,
    operation::{Caller, Operation},
};
use crate::harness::program::{self, Server};

async fn create(caller: &Caller, ledger: &mut Ledger, name: &str) -> bool {
    let prepared = Operation::GraphqlClient.prepare(caller, name).await;
    let acknowledged = prepared.run(caller).await;
    let is_stored = acknowledged.is_some();
    ledger.acknowledged.extend(acknowledged);
    is_stored
}

#[tokio::test]
async fn changes_are_refused_while_the_file_is_gone() {
    let database = program::directory();
    let file = database.path().join("clientele.db");
    let url = format!("sqlite:{}", file.display());
    let server = Server::open(&[("DATABASE_URL", &*url)]);
    let caller = Caller::of(&server.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    assert!(create(&caller, &mut ledger, "before").await);

    let elsewhere = database.path().join("elsewhere.db");
    fs::rename(&file, &elsewhere).expect("renamed");
    assert!(!create(&caller, &mut ledger, "gone").await);
    assert_eq!(caller.get("/health/ready").await, Some(503));
    // Another file of the same name is another database.
    fs::copy(&elsewhere, &file).expect("copied");
    assert!(!create(&caller, &mut ledger, "copied").await);
    fs::remove_file(&file).expect("removed");

    fs::rename(&elsewhere, &file).expect("renamed back");
    let returned = async { while caller.get("/health/ready").await != Some(200) {} };
    // Twice the longest pause between two probes of writing.
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, returned).await.expect("it is noticed");
    assert!(create(&caller, &mut ledger, "after").await);
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("its file was removed, renamed or replaced"), "{log}");
    ledger.assert_stored(&url).await;
}
