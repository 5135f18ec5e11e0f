//! The database: its migrations, clock, history and messages, on SQLite and PostgreSQL.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
};

use sea_orm::ConnectionTrait;
use tempfile::TempDir;

use super::{Examined, examine, examine_in};
use crate::{
    harness::{
        TestServer,
        program::{clientele, directory, text},
    },
    server::database_files::{names, run},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "another key of 32 characters: 67";

on_both!(
    migrations_are_complete_pending_or_later,
    keys_of_the_history_are_compared,
    messages_that_wait_or_failed_are_counted,
    record_of_the_future_is_reported,
    nothing_is_changed,
);

fn examine_server(server: &TestServer, environment: &[(&str, &str)]) -> Examined {
    let url = server.database_url();
    let mut all = vec![("DATABASE_URL", &*url)];
    all.extend(environment);
    examine(&[], &all)
}

async fn write(server: &TestServer, sql: &str) {
    server.write(sql).await.expect(sql);
}

async fn migrations_are_complete_pending_or_later(server: &TestServer) {
    let link = "See docs/operations.md#upgrade";
    let complete = examine_server(server, &[]);
    let all = complete.line("migrations");
    let count = all.strip_prefix("OK       migrations: all ").expect("complete");
    let count: usize = count
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .expect("a number");
    assert_eq!(
        all,
        format!("OK       migrations: all {count} steps are applied. {link}")
    );
    write(
        server,
        "DELETE FROM seaql_migrations WHERE version = 'm20261129_branches'",
    )
    .await;
    let pending = examine_server(server, &[]);
    pending.says(
        "migrations",
        &format!(
            "WARNING  migrations: 1 of {count} steps are pending. Make a backup, and run `clientele migrate`, or start \
             the server, which does it; `clientele migrate --dry-run` prints the statements. {link}"
        ),
    );
    pending.says(
        "outbox",
        "SKIPPED  outbox: the database isn't of this version. See docs/notifications.md#delivery",
    );
    write(
        server,
        "INSERT INTO seaql_migrations VALUES ('m20261129_branches', 0), ('m29990101_later', 0)",
    )
    .await;
    examine_server(server, &[]).says(
        "migrations",
        &format!(
            "PROBLEM  migrations: the database was migrated by a later version of this program, which has 1 more \
             steps. Use that version. {link}"
        ),
    );
}

async fn keys_of_the_history_are_compared(server: &TestServer) {
    let link = "See docs/audit.md#the-key";
    let key = ("CLIENTELE_AUDIT__KEY", KEY);
    let other = ("CLIENTELE_AUDIT__KEY", OTHER_KEY);
    let previous = ("CLIENTELE_AUDIT__PREVIOUS_KEYS", &*format!("[\"{KEY}\"]"));
    let missing = format!(
        "WARNING  audit_key: audit.key isn't set: the key of the history is kept in the database, so that everyone who \
         can write the database can forge the history. Make a key with `openssl rand -base64 32`, and set it for all \
         servers. {link}"
    );
    let earlier = format!(
        "WARNING  audit_key: the newest records of the history are sealed by an earlier key. Stop the servers that use \
         it: the next start goes on with audit.key. {link}"
    );
    let unknown = format!(
        "PROBLEM  audit_key: the newest records of the history are sealed by a key that isn't configured. Set \
         audit.key to the key of the servers, or add that key to audit.previous_keys if audit.key has replaced \
         it. {link}"
    );
    examine_server(server, &[]).says("audit_key", &missing);
    examine_server(server, &[key]).says("audit_key", &earlier);
    let url = server.database_url();
    let migrated = clientele(&directory(), &["migrate"], &[key, ("DATABASE_URL", &url)]).output();
    assert!(migrated.expect("it starts").status.success());
    let current = format!("OK       audit_key: audit.key has sealed the newest records. {link}");
    examine_server(server, &[key]).says("audit_key", &current);
    examine_server(server, &[other]).says("audit_key", &unknown);
    examine_server(server, &[other, previous]).says("audit_key", &earlier);
    examine_server(server, &[]).says("audit_key", &unknown);
    for sql in [
        "DELETE FROM audit_record",
        "UPDATE audit_chain SET count = 0, head = NULL",
    ] {
        write(server, sql).await;
    }
    let unused = format!("OK       audit_key: audit.key is set, and there are no records yet. {link}");
    examine_server(server, &[key]).says("audit_key", &unused);
}

async fn messages_that_wait_or_failed_are_counted(server: &TestServer) {
    let link = "See docs/notifications.md#delivery";
    let none = format!("OK       outbox: no message is overdue or has failed. {link}");
    examine_server(server, &[]).says("outbox", &none);
    server.seed(1).await;
    let insert = |key: &str, channel: &str, state: &str, due: &str| {
        format!(
            "INSERT INTO message (client_key, encoded_key, event, channel, template_key, template_id, variant_key, \
             language, recipient, state, attempts, created_at, queued_at, due_at) SELECT encoded_key, '{key}', \
             'CLIENT_CREATED', '{channel}', 't', 't', 'v', 'ENGLISH', '', '{state}', 0, '2026-01-01T00:00:00.000000Z', \
             '2026-01-01T00:00:00.000000Z', {due} FROM client"
        )
    };
    write(server, &insert("1", "EMAIL", "FAILED", "NULL")).await;
    write(server, &insert("2", "SMS", "FAILED", "NULL")).await;
    // Not overdue yet.
    write(server, &insert("3", "SMS", "QUEUED", "'2999-01-01T00:00:00.000000Z'")).await;
    let failed = format!(
        "WARNING  outbox: messages that failed: 2. Read their reasons with the query `messages`, and send them again \
         with `resendMessages`. {link}"
    );
    examine_server(server, &[]).says("outbox", &failed);
    write(server, &insert("4", "EMAIL", "QUEUED", "'2026-01-01T00:00:00.000000Z'")).await;
    let overdue = format!(
        "WARNING  outbox: messages that are overdue by more than 15 minutes: 1; that failed: 2. Start a server with \
         notifications.worker = true, or `clientele worker`, and check the channels above. {link}"
    );
    examine_server(server, &[]).says("outbox", &overdue);
}

async fn record_of_the_future_is_reported(server: &TestServer) {
    let line = examine_server(server, &[]).line("clock").to_owned();
    let agrees = [
        "OK       clock: no record is in the future of this machine's clock. See docs/notifications.md#delivery",
        "OK       clock: this machine's clock agrees with the database's, and no record is in the future. See \
         docs/notifications.md#delivery",
    ];
    assert!(agrees.contains(&&*line), "{line}");
    write(
        server,
        "UPDATE audit_record SET recorded_at = '2999-01-01T00:00:00.000000Z' WHERE chain = '~users'",
    )
    .await;
    let examined = examine_server(server, &[]);
    let line = examined.line("clock");
    let end = " s in the future. Synchronise the clocks of all machines (NTP). See docs/notifications.md#delivery";
    let seconds = line.strip_prefix("WARNING  clock: the newest record of the history is ");
    let seconds = seconds
        .and_then(|line| line.strip_suffix(end))
        .and_then(|seconds| seconds.parse::<i64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 900 * 365 * 86_400), "{line}");
}

async fn nothing_is_changed(server: &TestServer) {
    server.seed(3).await;
    let before = server.snapshot().await;
    let examined = examine_server(server, &[("CLIENTELE_AUDIT__KEY", KEY)]);
    assert_eq!(examined.code, Some(0), "{}", examined.output);
    assert_eq!(server.snapshot().await, before);
}

#[test]
fn sqlite_file_is_not_changed() {
    let directory = directory();
    assert_eq!(run(&directory, &["seed", "--clients", "3"], "").2, Some(0));
    let file = directory.path().join("clientele.db");
    let before = fs::read(&file).expect("a file");
    let examined = examine_in(&directory, &[], &[]);
    examined.says(
        "database",
        "OK       database: sqlite:clientele.db can be read. See docs/operations.md#sqlite",
    );
    examined.says(
        "rights",
        "OK       rights: this user can write the file. See docs/operations.md#sqlite",
    );
    assert!(fs::read(&file).expect("a file") == before);
    assert_eq!(names(&directory), ["clientele.db"]);
    fs::write(&file, "").expect("emptied");
    examine_in(&directory, &[], &[]).says(
        "migrations",
        "WARNING  migrations: the database has no tables of clientele. `clientele serve` creates them; if there should \
         be some, correct database_url. See docs/operations.md#upgrade",
    );
    assert_eq!(fs::read(&file).expect("a file"), b"");
    assert_eq!(names(&directory), ["clientele.db"]);
}

#[tokio::test]
async fn sqlite_file_that_cannot_be_used_is_a_problem() {
    let directory = directory();
    let file = directory.path().join("clientele.db");
    fs::write(&file, "no database").expect("written");
    examine_in(&directory, &[], &[]).says(
        "database",
        "PROBLEM  database: can't open the database sqlite:clientele.db: it isn't a SQLite database: name another \
         file. Correct database_url, or repair the database. See docs/operations.md#sqlite",
    );
    fs::remove_file(&file).expect("removed");
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let other = sea_orm::Database::connect(url).await.expect("it opens");
    other
        .execute_unprepared("CREATE TABLE accounts (number TEXT)")
        .await
        .expect("a table");
    other.close().await.expect("it closes");
    let examined = examine_in(&directory, &[], &[]);
    examined.says(
        "migrations",
        "PROBLEM  migrations: the database has tables of another program. Name another file in database_url. See \
         docs/operations.md#upgrade",
    );
    let read_only = examine_in(&directory, &["--database-url", "sqlite:clientele.db?mode=ro"], &[]);
    read_only.says(
        "rights",
        "WARNING  rights: the address has mode=ro or immutable: a server can't use it. Remove that from database_url. \
         See docs/operations.md#sqlite",
    );
}

#[test]
fn directory_of_a_sqlite_file_must_exist() {
    let examined = examine(&["--database-url", "sqlite:/nowhere/clientele.db"], &[]);
    examined.says(
        "disk",
        "PROBLEM  disk: the disk of the database can't be looked at: No such file or directory (os error 2). \
         Check that the directory exists, and its rights. See docs/operations.md#sqlite",
    );
    examined.says(
        "database",
        "PROBLEM  database: this user can't create a file in /nowhere: No such file or directory (os error 2). Create \
         the directory, or correct database_url. See docs/operations.md#sqlite",
    );
}

/// Runs the command as a user that isn't the owner of the directory, which has this mode, and its files.
fn examine_as_another(directory: &TempDir, mode: u32) -> Examined {
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).expect("set");
    let mut command = clientele(directory, &["doctor", "--listen", "127.0.0.1:0"], &[]);
    // The superuser can write everywhere.
    if fs::metadata("/proc/self").expect("a process").uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().expect("the program starts");
    Examined {
        output: text(output.stdout),
        code: output.status.code(),
    }
}

#[test]
fn directory_of_a_missing_sqlite_file_must_be_writable() {
    let directory = directory();
    let refused = format!(
        "PROBLEM  database: this user can't create a file in {}: Permission denied (os error 13). Run this command as \
         the user that runs the server, give that user the rights, or correct database_url. See \
         docs/operations.md#sqlite",
        directory.path().canonicalize().expect("it exists").display()
    );
    examine_as_another(&directory, 0o555).says("database", &refused);
    assert_eq!(names(&directory), Vec::<String>::new());
}

#[test]
fn sqlite_file_must_be_writable() {
    let directory = directory();
    assert_eq!(run(&directory, &["migrate"], "").2, Some(0));
    let file = directory.path().join("clientele.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("set");
    examine_as_another(&directory, 0o777).says(
        "rights",
        "PROBLEM  rights: this user can't write the file, or create files in its directory. Run this command as the \
         user that runs the server, or give that user the rights. See docs/operations.md#sqlite",
    );
}
