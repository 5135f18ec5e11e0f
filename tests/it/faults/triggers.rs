//! A statement in the middle of a transaction fails, on both databases: at each table that is written, and at COMMIT.
//!
//! On SQLite the trigger ends the transaction by itself, as the database does when its disk is full.

use super::{
    Ledger,
    operation::{Caller, Operation},
};
use crate::{
    cli::server::Server,
    harness::{Backend, TestServer},
};

/// Tables that the operations write.
const TABLES: [&str; 9] = [
    "client",
    "message",
    "audit_record",
    "audit_chain",
    "idempotency_record",
    "client_role",
    "custom_field",
    "api_user",
    "api_token",
];

async fn arm(server: &TestServer, table: &str, at_commit: bool) {
    let statements: &[String] = &match server.backend {
        Backend::Sqlite => ["INSERT", "UPDATE"].map(|verb| {
            format!("CREATE TRIGGER fault_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ROLLBACK, 'fault'); END")
        }),
        Backend::Postgres => {
            let function = "CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'fault' USING ERRCODE = '53100'; END $$";
            let (constraint, time, deferred) = match at_commit {
                true => ("CONSTRAINT ", "AFTER", "DEFERRABLE INITIALLY DEFERRED "),
                false => ("", "BEFORE", ""),
            };
            let trigger = format!(
                "CREATE {constraint}TRIGGER fault {time} INSERT OR UPDATE ON {table} {deferred}FOR EACH ROW EXECUTE FUNCTION fault()"
            );
            [function.to_owned(), trigger]
        }
    };
    for sql in statements {
        server.write(sql).await.expect("the trigger is made");
    }
}

async fn disarm(server: &TestServer, table: &str) {
    let statements: &[String] = &match server.backend {
        Backend::Sqlite => ["INSERT", "UPDATE"].map(|verb| format!("DROP TRIGGER fault_{verb}")),
        Backend::Postgres => [
            format!("DROP TRIGGER fault ON {table}"),
            "DROP FUNCTION fault".to_owned(),
        ],
    };
    for sql in statements {
        server.write(sql).await.expect("the trigger is removed");
    }
}

/// Lets the writes of each table fail; answers how many operations that made fail.
async fn every_table_fails(server: &TestServer, at_commit: bool) {
    let url = server.database_url();
    let process = Server::open(&[("DATABASE_URL", &*url)]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    for (index, table) in TABLES.into_iter().enumerate() {
        arm(server, table, at_commit).await;
        let mut failed = Vec::new();
        for operation in Operation::ALL {
            let name = format!("{operation:?}{index}").to_lowercase();
            match operation.run(&caller, &name).await {
                Some(acknowledged) => ledger.acknowledged.push(acknowledged),
                None => failed.push((operation, name)),
            }
        }
        disarm(server, table).await;
        assert!(!failed.is_empty(), "{table}: nothing failed");
        for (operation, name) in failed {
            // Under the same names, so that nothing of the failed attempt may be left.
            let again = operation.run(&caller, &name).await;
            assert!(again.is_some(), "{operation:?} must succeed after the fault at {table}");
            ledger.acknowledged.extend(again);
        }
    }
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

on_both! {
    async fn every_failed_statement_leaves_nothing(server) {
        every_table_fails(server, false).await;
    }

    async fn every_failed_commit_leaves_nothing(server) {
        if server.backend == Backend::Postgres {
            every_table_fails(server, true).await;
        }
    }
}
