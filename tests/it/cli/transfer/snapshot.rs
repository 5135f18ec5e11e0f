//! An export while the database is changed.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use clientele::db::Dialect;
use serde_json::json;

use super::{read, run};
use crate::harness::{
    TestServer,
    graphql::define,
    program::{clientele, directory},
};

on_both!(
    export_has_all_clients_as_they_were_at_one_time,
    snapshot_has_no_time_limit_and_writes_nothing,
);

async fn export_has_all_clients_as_they_were_at_one_time(server: &TestServer) {
    server.seed(620).await;
    let (directory, url) = (directory(), server.database_url());
    assert_eq!(run(&directory, &url, &["export", "before"]).2, Some(0));
    let environment = [("CLIENTELE_LOG__FILTER", "off"), ("DATABASE_URL", &*url)];
    let mut command = clientele(&directory, &["export"], &environment);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    let mut content = String::new();
    reader.read_line(&mut content).expect("a line");
    // The export has begun, and waits until its pipe is read: the whole doesn't fit into one.
    let changes = [
        "UPDATE client SET notes = 'moved' WHERE encoded_key = (SELECT min(encoded_key) FROM client)",
        "UPDATE client SET notes = 'moved' WHERE encoded_key = (SELECT max(encoded_key) FROM client)",
        "DELETE FROM id_document",
    ];
    for change in changes {
        server.write(change).await.expect("it is written");
    }
    define(
        server,
        "late",
        json!([{ "fieldId": "late", "name": "Late", "type": "TEXT" }]),
    )
    .await;
    reader.read_to_string(&mut content).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(content.len() > 200_000, "{}", content.len());
    let before = read(&directory, "before");
    // The first line has the time.
    assert!(content.lines().skip(1).eq(before.lines().skip(1)));
    assert_eq!(run(&directory, &url, &["export", "after"]).2, Some(0));
    assert_eq!(read(&directory, "after").matches("\"notes\":\"moved\"").count(), 2);
}

async fn snapshot_has_no_time_limit_and_writes_nothing(server: &TestServer) {
    let snapshot = server.services.db.snapshot().await.expect("it begins");
    if snapshot.dialect == Dialect::Postgres {
        let limits = "SELECT name FROM pg_settings WHERE setting <> '0' AND name IN ('lock_timeout', \
            'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')";
        assert_eq!(snapshot.all(limits, []).await.expect("settings").len(), 0);
        let others = server.services.db.read().all(limits, []).await;
        assert_eq!(others.expect("settings").len(), 3);
    }
    let change = "UPDATE definition_version SET version = version + 1";
    let before = server.snapshot().await;
    snapshot.run(change, []).await.expect_err("it only reads");
    snapshot.end_reading().await.expect("it ends");
    assert_eq!(server.snapshot().await, before);
}
