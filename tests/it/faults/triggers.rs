//! Statements that fail in the middle of a transaction, at each written table and at COMMIT, on both databases.
//!
//! On SQLite the trigger ends the transaction by itself, as the database does when its disk is full.

use super::{
    Ledger, NO_WORKER, SHORT_LOG,
    operation::{Caller, Operation},
};
use crate::harness::{Backend, TestServer, program::Server};

/// Tables that the operations write.
const TABLES: [&str; 10] = [
    "client",
    "message",
    "audit_record",
    "audit_chain",
    "idempotency_record",
    "client_role",
    "custom_field",
    "message_variant",
    "api_user",
    "api_token",
];

/// The point at which a statement fails, and its SQLSTATE on PostgreSQL.
#[derive(Clone, Copy)]
struct Fault {
    at_commit: bool,
    sqlstate: &'static str,
}

const DISK_FULL: &str = "53100";
const IO_ERROR: &str = "58030";

async fn arm(server: &TestServer, table: &str, Fault { at_commit, sqlstate }: Fault) {
    let statements: Vec<String> = match server.backend {
        Backend::Sqlite => ["INSERT", "UPDATE", "DELETE"]
            .map(|verb| {
                format!(
                    "CREATE TRIGGER fault_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ROLLBACK, 'fault'); END"
                )
            })
            .to_vec(),
        Backend::Postgres => {
            let function = format!(
                "CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'fault' USING ERRCODE = '{sqlstate}'; END $$"
            );
            let (constraint, time, deferred) = match at_commit {
                true => ("CONSTRAINT ", "AFTER", "DEFERRABLE INITIALLY DEFERRED "),
                false => ("", "BEFORE", ""),
            };
            let trigger = format!(
                "CREATE {constraint}TRIGGER fault {time} INSERT OR UPDATE OR DELETE ON {table} {deferred}FOR EACH ROW \
                    EXECUTE FUNCTION fault()"
            );
            vec![function, trigger]
        }
    };
    for sql in &statements {
        server.write(sql).await.expect("the trigger is made");
    }
}

async fn disarm(server: &TestServer, table: &str) {
    let statements: Vec<String> = match server.backend {
        Backend::Sqlite => ["INSERT", "UPDATE", "DELETE"]
            .map(|verb| format!("DROP TRIGGER fault_{verb}"))
            .to_vec(),
        Backend::Postgres => vec![
            format!("DROP TRIGGER fault ON {table}"),
            "DROP FUNCTION fault".to_owned(),
        ],
    };
    for sql in &statements {
        server.write(sql).await.expect("the trigger is removed");
    }
}

/// Lets the writes of each table fail.
async fn every_table_fails(server: &TestServer, fault: Fault) {
    let url = server.database_url();
    let process = Server::open(&[("DATABASE_URL", &*url), NO_WORKER, SHORT_LOG]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    for (index, table) in TABLES.into_iter().enumerate() {
        let mut prepared = Vec::new();
        for operation in Operation::ALL {
            let name = format!("{operation:?}{index}").to_lowercase();
            prepared.push((operation, operation.prepare(&caller, &name).await));
        }
        arm(server, table, fault).await;
        let mut failed = Vec::new();
        for (operation, prepared) in prepared {
            match prepared.run(&caller).await {
                Some(acknowledged) => ledger.acknowledged.push(acknowledged),
                None => failed.push((operation, prepared)),
            }
        }
        disarm(server, table).await;
        assert!(!failed.is_empty(), "{table}: nothing failed");
        for (operation, prepared) in failed {
            // The same names, so that nothing of the failed attempt may remain.
            let again = prepared.run(&caller).await;
            assert!(again.is_some(), "{operation:?} must succeed after the fault at {table}");
            ledger.acknowledged.extend(again);
        }
    }
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

on_both!(every_failed_statement_leaves_nothing);

async fn every_failed_statement_leaves_nothing(server: &TestServer) {
    every_table_fails(
        server,
        Fault {
            at_commit: false,
            sqlstate: DISK_FULL,
        },
    )
    .await;
}

on_postgres!(
    every_failed_commit_leaves_nothing,
    every_io_error_of_a_statement_leaves_nothing,
    every_io_error_of_a_commit_leaves_nothing,
);

async fn every_failed_commit_leaves_nothing(server: &TestServer) {
    every_table_fails(
        server,
        Fault {
            at_commit: true,
            sqlstate: DISK_FULL,
        },
    )
    .await;
}

async fn every_io_error_of_a_statement_leaves_nothing(server: &TestServer) {
    every_table_fails(
        server,
        Fault {
            at_commit: false,
            sqlstate: IO_ERROR,
        },
    )
    .await;
}

async fn every_io_error_of_a_commit_leaves_nothing(server: &TestServer) {
    every_table_fails(
        server,
        Fault {
            at_commit: true,
            sqlstate: IO_ERROR,
        },
    )
    .await;
}
