//! `log.format = "json"`: only JSON on standard error, and no greeting on standard output.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::program::{Server, clientele, directory, run, text};

const JSON: (&str, &str) = ("CLIENTELE_LOG__FORMAT", "json");

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

/// The members of an event without its time, which must be valid.
fn without_time(mut event: Value) -> Value {
    let time = event.as_object_mut().and_then(|members| members.remove("timestamp"));
    let time = time.and_then(|time| time.as_str()?.parse::<chrono::DateTime<chrono::Utc>>().ok());
    assert!(time.is_some(), "{event}");
    event
}

#[test]
fn start_of_the_server_is_one_event() {
    let version = env!("CARGO_PKG_VERSION");
    for (server, warning) in [
        (
            Server::start(&[JSON]),
            json!({ "level": "WARN", "user": "admin", "target": "clientele::cli::serve",
            "message": "the first user has no password yet: run `clientele user password admin`" }),
        ),
        (
            Server::open(&[JSON]),
            json!({ "level": "WARN", "target": "clientele::cli::serve",
            "message": "authentication is off: every program on this machine has all permissions" }),
        ),
    ] {
        let address = server.address.clone();
        server.signal("TERM");
        let (log, printed, code) = server.wait_for_output();
        assert_eq!((printed.as_str(), code), ("", Some(0)));
        let events: Vec<Value> = lines(&log).into_iter().map(without_time).collect();
        let listening: Vec<_> = events.iter().filter(|event| event["message"] == "listening").collect();
        assert_eq!(
            listening,
            [&json!({ "level": "INFO", "message": "listening", "version": version,
            "commit": clientele::version::COMMIT, "address": address,
            "database": "sqlite", "target": "clientele::cli::serve" })]
        );
        assert!(events.contains(&warning), "{log}");
    }
}

#[test]
fn failure_is_one_json_object_wherever_the_format_is_set() {
    let directory = directory();
    std::fs::write(directory.path().join("json.toml"), "[log]\nformat = \"json\"\n").expect("written");
    std::fs::write(
        directory.path().join("wrong.toml"),
        "wrong = 1\n[log]\nformat = \"json\"\n",
    )
    .expect("written");
    let listed = "known there: listen, database_url";
    for (arguments, environment, message, code) in [
        (
            &["usr"][..],
            &[JSON][..],
            "unrecognized subcommand 'usr'; did you mean 'user'? (see clientele --help)",
            2,
        ),
        (
            &["usr", "--set", "log.format=json"],
            &[],
            "unrecognized subcommand 'usr'",
            2,
        ),
        (
            &["--set=log.format=json", "usr"],
            &[],
            "unrecognized subcommand 'usr'",
            2,
        ),
        (
            &["--config", "json.toml", "usr"],
            &[],
            "unrecognized subcommand 'usr'",
            2,
        ),
        (
            &["usr"],
            &[("CLIENTELE_CONFIG", "json.toml")],
            "unrecognized subcommand 'usr'",
            2,
        ),
        (&["config", "--config=wrong.toml"], &[], listed, 2),
        (&["config", "--set", "no=1"], &[JSON], listed, 2),
        (
            &["serve", "--listen", "192.0.2.1:1"],
            &[JSON],
            "can't listen on 192.0.2.1:1: ",
            1,
        ),
        (
            &[
                "--config",
                "json.toml",
                "worker",
                "--database-url",
                "sqlite:/nowhere/c.db",
            ],
            &[],
            "there is no database at /nowhere/c.db: ",
            1,
        ),
        (
            &["migrate", "--database-url", "sqlite:/nowhere/c.db"],
            &[JSON],
            "can't open the database",
            1,
        ),
        (
            &["seed", "--clients", "1", "--database-url", "sqlite:/nowhere/c.db"],
            &[JSON],
            "can't open the database",
            1,
        ),
        (
            &["notify", "test", "--sms", "1"],
            &[JSON],
            "not sent: no provider is configured. ",
            2,
        ),
    ] {
        let output = clientele(&directory, arguments, environment)
            .output()
            .expect("the program starts");
        let log = text(output.stderr);
        assert_eq!(
            (output.stdout.len(), output.status.code()),
            (0, Some(code)),
            "{arguments:?}: {log}"
        );
        let failure = without_time(lines(&log).pop().expect("a line"));
        let said = failure["message"].as_str().expect("a text");
        assert!(said.contains(message), "{said}");
        let expected = json!({ "level": "ERROR", "message": said, "exit_code": code, "target": "clientele::cli" });
        assert_eq!(failure, expected);
    }
    // The last value wins, as for settings.
    let (_, log, _) = run(&["usr", "--set", "log.format=text"], &[JSON]);
    assert!(log.starts_with("clientele: unrecognized subcommand 'usr'"), "{log}");
}

#[test]
fn failure_is_reported_whatever_the_filter_is() {
    let (_, log, code) = run(
        &["serve", "--listen", "192.0.2.1:1"],
        &[JSON, ("CLIENTELE_LOG__FILTER", "off")],
    );
    assert_eq!((lines(&log).len(), code), (1, Some(1)));
}

#[test]
fn worker_and_commands_write_json() {
    let directory = directory();
    for (arguments, printed) in [
        (&["migrate"][..], "the database is up to date\n"),
        (
            &["seed", "--clients", "2"],
            "the database has the invented clients SEED00000000 to SEED00000001\n",
        ),
    ] {
        let output = clientele(&directory, arguments, &[JSON])
            .output()
            .expect("the program starts");
        assert_eq!((text(output.stdout).as_str(), output.status.code()), (printed, Some(0)));
        lines(&text(output.stderr));
    }
    let mut worker = clientele(
        &directory,
        &["worker", "--set", "notifications.worker_listen=127.0.0.1:0"],
        &[JSON],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("the program starts");
    let event = Server::event(worker.stderr.as_mut().expect("piped"), "sending messages");
    let (log, event) = (event.0, without_time(event.1));
    let address = event["address"].as_str().expect("an address");
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    assert_eq!(
        event,
        json!({ "level": "INFO", "message": "sending messages", "version": env!("CARGO_PKG_VERSION"),
            "commit": clientele::version::COMMIT,
        "address": address, "database": "sqlite", "target": "clientele::cli::worker" })
    );
    let id = worker.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-s", "TERM", &id])
            .status()
            .expect("kill")
            .success()
    );
    let output = worker.wait_with_output().expect("it ends");
    assert_eq!((text(output.stdout).as_str(), output.status.code()), ("", Some(0)));
    lines(&log);
    lines(&text(output.stderr));
}

#[test]
fn refused_password_is_one_json_object() {
    let directory = directory();
    let mut child = clientele(&directory, &["user", "add", "ana", "--permissions", "ALL"], &[JSON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"short\n")
        .expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)));
    lines(&text(output.stderr));
}
