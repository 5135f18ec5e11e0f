//! A start that can't work is one line on standard error, whatever the reason.

use std::net::TcpListener;

use super::server::run;

#[test]
fn a_start_that_cant_work_says_why_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let (in_use, hint) = (
        format!("can't listen on {taken}: another program uses this port"),
        "(clientele --help lists what there is)",
    );
    let no_file = "its directory must exist, and both must be writable";
    for (arguments, environment, sentence, code) in [
        (vec!["--listen", &taken], vec![], in_use, 1),
        (
            vec!["serve", "--no-auth", "--listen", "0.0.0.0:0"],
            vec![],
            "refusing to listen on 0.0.0.0:0: with --no-auth everybody may do everything, so only loopback addresses such \
             as 127.0.0.1 are allowed"
                .into(),
            2,
        ),
        (
            vec![
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                "sqlite:/nowhere/c.db",
            ],
            vec![],
            format!("can't open the database sqlite:/nowhere/c.db: {no_file}"),
            1,
        ),
        (
            vec!["migrate"],
            vec![("DATABASE_URL", "sqlite:/proc/c.db")],
            format!("can't open the database sqlite:/proc/c.db: {no_file}"),
            1,
        ),
        (
            vec!["migrate"],
            vec![
                ("DATABASE_URL", "postgres://teller:secret@127.0.0.1:1/bank"),
                ("CLIENTELE_DATABASE__ACQUIRE_TIMEOUT_SECONDS", "1"),
            ],
            "can't open the database postgres://teller:***@127.0.0.1:1/bank: no connection within 1 s".into(),
            1,
        ),
        (
            vec!["--database-url", "sqlite::memory:"],
            vec![],
            "database_url must name a file: readers and the writer of a database in memory would each have their own"
                .into(),
            2,
        ),
        (
            vec!["--colour"],
            vec![],
            format!("unexpected argument '--colour' found {hint}"),
            2,
        ),
        (
            vec!["postgres://teller:secret@db/bank"],
            vec![],
            format!("unrecognized subcommand 'postgres://teller:***@db/bank' {hint}"),
            2,
        ),
        (
            vec!["--listen", "8080"],
            vec![],
            format!("invalid value '8080' for '--listen <ADDR:PORT>': invalid socket address syntax {hint}"),
            2,
        ),
        (
            vec!["config", "--config", "missing.toml"],
            vec![],
            "can't read the configuration file missing.toml: No such file or directory (os error 2)".into(),
            2,
        ),
        (
            vec!["config"],
            vec![("CLIENTELE_CLIENT__ID_PATTERN", "###")],
            "unknown setting CLIENTELE_CLIENT in the environment; known there: listen, database_url, \
             shutdown_delay_seconds, shutdown_timeout_seconds, http, answers, rate_limit, database, clients, legacy, graphql, \
             cors, authentication, idempotency, notifications, audit, log"
                .into(),
            2,
        ),
    ] {
        let answer = run(&arguments, &environment);
        assert_eq!(
            answer,
            (String::new(), format!("clientele: {sentence}\n"), Some(code)),
            "{arguments:?}"
        );
    }
}
