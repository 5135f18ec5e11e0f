//! Imports that end in the middle: whole parts are stored, the reason is named, and another run completes them.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use clientele::db::{Database, DatabaseSettings};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{
    count,
    injector::{Call, INPUT_OUTPUT, Injector, NO_SPACE},
    proxy::{Cut, Proxy},
};
use crate::harness::{Backend, TestServer, program, run};

/// The numbers of stored clients after one and two parts of 1,000 lines. The first line is the header.
const TOGETHER: [i64; 2] = [999, 1_999];
const CLIENTS: usize = 2_200;
/// More messages than the import sends, and the calls that fail.
const MOST_MESSAGES: i32 = 1_000;
const MOST_CALLS: i32 = 500;

/// Writes a file of clients whose ids begin with `name`.
fn write_file(path: &Path, name: &str) {
    let file = File::create(path).expect("it is created");
    write_lines(BufWriter::new(file), name, 0..CLIENTS);
}

fn write_lines(mut out: impl Write, name: &str, numbers: std::ops::Range<usize>) {
    let (is_first, is_last) = (numbers.start == 0, numbers.end == CLIENTS);
    let mut line = |line: serde_json::Value| writeln!(out, "{line}").expect("it is written");
    if is_first {
        line(json!({ "format": "clientele", "version": 1 }));
    }
    for number in numbers {
        line(
            json!({ "client": { "encodedKey": format!("{name}{number}"), "clientId": format!("{name}-{number}"),
            "firstName": "Ana", "lastName": "Cruz" }, "addresses": [{ "city": "Exampleton" }],
            "idDocuments": [{ "documentType": "Passport", "documentId": format!("P{number}") }] }),
        );
    }
    if is_last {
        line(json!({ "end": { "clients": CLIENTS } }));
    }
    out.flush().expect("it is written");
}

/// Runs an import. Returns standard output, standard error and the exit code.
fn import(directory: &TempDir, environment: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let mut command = program::clientele(directory, &["import", "clients"], environment);
    let output = command
        .env("CLIENTELE_LOG__FILTER", "off")
        .stdin(Stdio::null())
        .output();
    let Output { stdout, stderr, status } = output.expect("the program starts");
    (program::text(stdout), program::text(stderr), status.code())
}

/// Asserts that the database has whole parts of the import: each client with its address, document, claim and record.
/// Returns the number of clients.
async fn stored(url: &str, name: &str) -> i64 {
    let database = Database::connect_to_look(url, &DatabaseSettings::default()).await;
    let database = database.expect("the database is there");
    let clients = count(
        &database,
        &format!("SELECT count(*) FROM client WHERE client_id LIKE '{name}-%'"),
    )
    .await;
    for (table, key) in [
        ("address", "client_key"),
        ("id_document", "client_key"),
        ("client_id_claim", "client_key"),
        ("audit_record", "chain"),
    ] {
        let rows = format!("SELECT count(*) FROM {table} WHERE {key} LIKE '{name}%'");
        assert_eq!(count(&database, &rows).await, clients, "{table}");
    }
    database.close().await;
    let is_whole = clients == 0 || TOGETHER.contains(&clients) || clients == CLIENTS as i64;
    assert!(is_whole, "{clients} clients are stored");
    clients
}

/// Asserts that another run stores the rest.
async fn completes(directory: &TempDir, url: &str, name: &str) {
    let known = stored(url, name).await;
    let (said, failure, code) = import(directory, &[("DATABASE_URL", url)]);
    let new = CLIENTS as i64 - known;
    let expected = format!("clients stored: {new}; stored before: {known}; lines refused: 0\n");
    assert_eq!((said, failure, code), (expected, String::new(), Some(0)));
    assert_eq!(stored(url, name).await, CLIENTS as i64);
}

on_postgres!(import_is_completed_after_an_outage);

async fn import_is_completed_after_an_outage(server: &TestServer) {
    let url = server.database_url();
    for cut in [Cut::Before, Cut::After] {
        let mut stopped = 0;
        for messages in (0..MOST_MESSAGES).step_by(60) {
            match import_is_cut(&url, cut, messages).await {
                Some(is_stopped) => stopped += i32::from(is_stopped),
                None => break,
            }
        }
        assert!(stopped > 1, "{stopped} imports were stopped in the middle");
    }
}

/// Cuts the connection of an import after some messages, and completes it. Returns true if it was stopped in the
/// middle; none if it has fewer messages.
async fn import_is_cut(url: &str, cut: Cut, messages: i32) -> Option<bool> {
    let (proxy, through) = Proxy::start(url, cut);
    let directory = program::directory();
    let name = format!("{cut:?}{messages}x").to_lowercase();
    write_file(&directory.path().join("clients"), &name);
    proxy.arm(messages);
    let run = spawn_blocking(move || (import(&directory, &[("DATABASE_URL", &*through)]), directory));
    let ((_, failure, code), directory) = run.await.expect("the program starts");
    if !proxy.disarm() {
        assert_eq!(code, Some(0), "{failure}");
        return None;
    }
    let is_stopped = failure.contains("the import stopped: ") && failure.contains("Run it again: clients");
    if code != Some(0) {
        let is_clear = is_stopped || failure.starts_with("clientele: can't ");
        assert!(is_clear && failure.lines().count() == 1, "{failure}");
    }
    completes(&directory, url, &name).await;
    Some(is_stopped)
}

#[tokio::test]
async fn import_is_completed_after_a_full_disk() {
    let (injector, directory) = (Injector::new(), program::directory());
    let [preload, control] = injector.environment();
    let mut stopped = 0;
    for (error, skipped) in [(NO_SPACE, 100), (INPUT_OUTPUT, 300)]
        .into_iter()
        .flat_map(|(error, step)| (0..MOST_CALLS).step_by(step).map(move |skipped| (error, skipped)))
    {
        let name = format!("e{error}s{skipped}x");
        let url = format!("sqlite:{}", directory.path().join(format!("{name}.db")).display());
        assert_eq!(program::run(&["migrate"], &[("DATABASE_URL", &url)]).2, Some(0));
        write_file(&directory.path().join("clients"), &name);
        injector.arm(Call::Write, skipped, i32::MAX, error);
        let environment = [
            (preload.0, &*preload.1),
            (control.0, &*control.1),
            ("DATABASE_URL", &*url),
        ];
        let (_, failure, code) = import(&directory, &environment);
        if !injector.disarm() {
            assert_eq!(code, Some(0), "{failure}");
            continue;
        }
        if code != Some(0) {
            assert!(
                failure.starts_with("clientele: ") && failure.lines().count() == 1,
                "{failure}"
            );
            stopped += i32::from(failure.contains("the import stopped: the database is unavailable: "));
        }
        completes(&directory, &url, &name).await;
    }
    assert!(stopped > 1, "a full disk stopped {stopped} imports in the middle");
}

/// Sends a signal to an import that has stored some of its clients and waits for more.
async fn signal_ends_an_import(server: &TestServer) {
    let url = server.database_url();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let (directory, name) = (program::directory(), signal.to_lowercase());
        let mut command = program::clientele(&directory, &["import", "-"], &[("DATABASE_URL", &url)]);
        let command = command.env("CLIENTELE_LOG__FILTER", "off").stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("piped");
        let half = TOGETHER[0] as usize + 100;
        write_lines(&mut input, &name, 0..half);
        let sql = format!("SELECT count(*) FROM client WHERE client_id LIKE '{name}-%'");
        while count(&server.services.db, &sql).await == 0 {
            tokio::task::yield_now().await;
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .expect("kill")
                .success()
        );
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            (
                program::text(output.stdout),
                program::text(output.stderr),
                output.status.code()
            ),
            (
                String::new(),
                format!("clientele: stopped by SIG{signal}\n"),
                Some(code)
            )
        );
        drop(input);
        assert!(stored(&url, &name).await < CLIENTS as i64);
        write_file(&directory.path().join("clients"), &name);
        completes(&directory, &url, &name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_leaves_whole_parts_of_an_import_on_postgres() {
    run(Backend::Postgres, signal_ends_an_import).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_leaves_whole_parts_of_an_import_on_sqlite() {
    run(Backend::Sqlite, signal_ends_an_import).await;
}
