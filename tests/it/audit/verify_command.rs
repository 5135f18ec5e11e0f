//! `clientele audit verify`: its output and exit code.

use std::{io::Write, process::Stdio};

use clientele::db::{Database, DatabaseSettings, Step, Transaction, Work};

use crate::harness::{
    Backend, TestServer,
    program::{clientele, directory, run, text},
    require_own_cluster,
};

struct CutOff;

impl Work for CutOff {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> clientele::error::Result<Step<()>> {
        transaction.run("DELETE FROM audit_record", []).await?;
        Ok(Step::Commit(()))
    }
}

/// The output with TIME in place of when the history began.
fn without_time(output: String) -> String {
    let Some((before, after)) = output.split_once("since ") else {
        return output;
    };
    let (_, after) = after.split_once('\n').expect("a line ends");
    format!("{before}since TIME\n{after}")
}

#[tokio::test]
async fn verify_reports_findings_and_fails() {
    let directory = directory();
    let verify = |arguments: &[&str]| {
        let all = [&["audit", "verify"], arguments].concat();
        let output = clientele(&directory, &all, &[]).output().expect("the program starts");
        let log = text(output.stderr);
        crate::harness::net::standard_error(&log);
        let failure = log.lines().filter(|line| line.starts_with("clientele: ")).collect();
        (without_time(text(output.stdout)), failure, output.status.code())
    };
    let seeded = clientele(&directory, &["seed", "--clients", "3"], &[]).output();
    assert!(seeded.expect("the program starts").status.success());
    let intact = "4 records in 2 chains, 0 of them erased; 3 clients without records; under this key since TIME\n\
                  the history is intact\n";
    assert_eq!(verify(&[]), (intact.to_owned(), String::new(), Some(0)));

    let url = format!("sqlite:{}", directory.path().join("clientele.db").display());
    let database = Database::connect(&url, &DatabaseSettings::default())
        .await
        .expect("it is there");
    database.write(&CutOff).await.expect("it can be written");
    database.close().await;
    let broken = "~definitions 1: cut off, up to 3\n~users 1: cut off, up to 1\n\
                  0 records in 2 chains, 0 of them erased; 3 clients without records\n";
    let failure = "clientele: the history is not intact: 2 findings";
    assert_eq!(verify(&[]), (broken.to_owned(), failure.to_owned(), Some(1)));
    let nothing = "0 records in 0 chains, 0 of them erased; 0 clients without records\n";
    let failure = "clientele: there is no client with this key: one that was deleted or erased is named by its key, \
        which its audit records have";
    assert_eq!(
        verify(&["--client", "absent"]),
        (nothing.to_owned(), failure.to_owned(), Some(1))
    );
}

/// The result of verifying this database: standard output, the last line of standard error, the exit code.
fn verify(url: &str) -> (String, String, Option<i32>) {
    let (output, log, code) = run(&["audit", "verify"], &[("DATABASE_URL", url)]);
    let failure = log.lines().last().unwrap_or_default().to_owned();
    (without_time(output), failure, code)
}

on_both!(
    verify_requires_read_access_only,
    verify_leaves_other_schema_versions_unchanged,
);

async fn verify_requires_read_access_only(server: &TestServer) {
    let mut url = server.database_url();
    let database = url
        .split('?')
        .next()
        .and_then(|address| address.rsplit('/').next())
        .expect("a name");
    let role = format!("auditor_of_{database}");
    let write = async |sql: &str| server.write(sql).await.expect("it can be written");
    if server.backend == Backend::Postgres {
        require_own_cluster();
        write(&format!("CREATE ROLE {role}")).await;
        write(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
        let more = if url.contains('?') { '&' } else { '?' };
        url = format!("{url}{more}options[role]={role}");
    }
    let intact = "2 records in 2 chains, 0 of them erased; 0 clients without records; under this key since TIME\n\
                  the history is intact\n";
    assert_eq!(verify(&url), (intact.to_owned(), String::new(), Some(0)));
    if server.backend == Backend::Postgres {
        write(&format!("DROP OWNED BY {role}")).await;
        write(&format!("DROP ROLE {role}")).await;
    }
}

async fn verify_leaves_other_schema_versions_unchanged(server: &TestServer) {
    let url = server.database_url();
    for (sql, failure) in [
        (
            "DELETE FROM seaql_migrations WHERE version = 'm20261123_users'",
            " is of an earlier version than this program: run `clientele migrate`, or start the server, which migrates \
                it",
        ),
        (
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20261123_users', 0), ('m20990101_wings', 0)",
            " was migrated by a later version of this program: use that version",
        ),
    ] {
        server.write(sql).await.expect("it can be written");
        let before = server.snapshot().await;
        let (output, said, code) = verify(&url);
        assert!(
            said.starts_with("clientele: the database ") && said.ends_with(failure),
            "{said}"
        );
        assert_eq!((output.as_str(), code), ("", Some(1)));
        assert_eq!(server.snapshot().await, before);
    }
    // A caller who could migrate the database gets the same answer.
    let (output, said, code) = run(&["migrate"], &[("DATABASE_URL", &url)]);
    assert!(
        said.ends_with(" was migrated by a later version of this program: use that version\n"),
        "{said}"
    );
    assert_eq!((output.as_str(), code), ("", Some(1)));
}

#[test]
fn audit_key_is_hidden_and_must_be_strong() {
    let key = "0123456789abcdef0123456789abcdef";
    let (printed, log, code) = run(&["config"], &[("CLIENTELE_AUDIT__KEY", key)]);
    assert!(
        printed.contains(
            "[audit]\nkey = \"***\"  # environment variable CLIENTELE_AUDIT__KEY\nprevious_keys = []  # default\n"
        ),
        "{printed}"
    );
    assert_eq!((log.as_str(), code), ("", Some(0)));
    let (printed, log, code) = run(&["config", "--set", "audit.key=hunter2"], &[]);
    assert_eq!((printed.as_str(), code), ("", Some(2)));
    assert_eq!(
        log,
        "clientele: audit.key must have at least 32 characters: make one with `openssl rand -base64 32`\n"
    );
}

/// The key is the configuration's, whichever command writes: a record under another one would be a finding.
#[test]
fn every_command_seals_with_the_configured_key() {
    let directory = directory();
    let run = |key: &str, arguments: &[&str], line: &str| {
        let mut command = clientele(&directory, arguments, &[("CLIENTELE_AUDIT__KEY", key)]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let written = child.stdin.take().expect("piped").write_all(line.as_bytes());
        written.expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (text(output.stdout), output.status.code())
    };
    let (key, other) = (
        "0123456789abcdef0123456789abcdef",
        "another key of the history, as long",
    );
    assert_eq!(run(key, &["seed", "--clients", "1"], "").1, Some(0));
    let good = "correct horse battery\n";
    let add = ["user", "add", "ana", "--permissions", "ALL"];
    assert_eq!(run(key, &add, good).1, Some(0));
    assert_eq!(
        run(key, &["token", "create", "a job", "--permissions", "ALL"], "").1,
        Some(0)
    );
    let intact = "6 records in 2 chains, 0 of them erased; 1 clients without records; under this key since ";
    let (output, code) = run(key, &["audit", "verify"], "");
    assert_eq!(
        (
            output.starts_with(intact),
            output.ends_with("UTC\nthe history is intact\n"),
            code
        ),
        (true, true, Some(0)),
        "{output}"
    );
    assert_eq!(run(other, &["audit", "verify"], "").1, Some(1));
}

/// The sequence that an operator meets: the servers have the key, and the shell that verifies doesn't.
#[test]
fn missing_key_is_named_once() {
    let directory = directory();
    let key = ("CLIENTELE_AUDIT__KEY", "0123456789abcdef0123456789abcdef");
    let quiet = ("CLIENTELE_LOG__FILTER", "off");
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = clientele(&directory, arguments, environment)
            .output()
            .expect("the program starts");
        (
            without_time(text(output.stdout)),
            text(output.stderr),
            output.status.code(),
        )
    };
    assert_eq!(run(&["seed", "--clients", "100"], &[key, quiet]).2, Some(0));
    for number in 0..10 {
        let client = format!("SEED0000000{number}");
        assert_eq!(run(&["client", "erase", &client, "--yes"], &[key, quiet]).2, Some(0));
    }
    let intact = "14 records in 12 chains, 0 of them erased; 90 clients without records; under this key since TIME\n\
                  the history is intact\n";
    assert_eq!(
        run(&["audit", "verify"], &[key, quiet]),
        (intact.to_owned(), String::new(), Some(0))
    );

    let first = "01900000000070008000000000000000 1: the first of 14 records in 12 chains sealed by the key -cCLO0Qn, \
                 which isn't configured\n\
                 14 records in 12 chains, 0 of them erased; 90 clients without records\n";
    let failure = |remedy: &str| {
        format!(
            "clientele: the history can't be verified: records sealed by keys that aren't configured: 14. {remedy}. \
             If none of your keys has sealed them, they are forged.\n"
        )
    };
    let unset =
        "audit.key isn't set. Set it to the key that the servers use, and audit.previous_keys to the keys before it";
    assert_eq!(
        run(&["audit", "verify"], &[quiet]),
        (first.to_owned(), failure(unset), Some(1))
    );
    let wrong = "Set audit.key to the key that the servers use now, and audit.previous_keys to the keys before it, or \
                 check that they are the right ones";
    let other = ("CLIENTELE_AUDIT__KEY", "another key of the history, as long");
    assert_eq!(
        run(&["audit", "verify"], &[other, quiet]),
        (first.to_owned(), failure(wrong), Some(1))
    );
    // A command that writes without the key logs one warning.
    for other in [&[][..], &[other]] {
        let environment = [&[("CLIENTELE_LOG__FILTER", "warn")], other].concat();
        let (_, log, code) = run(&["token", "revoke", "absent"], &environment);
        let warning = "the history is sealed by a key that isn't configured: set audit.key to it";
        assert_eq!(
            (log.matches(warning).count(), log.lines().count(), code),
            (1, 2, Some(1)),
            "{log}"
        );
    }
    // As a previous key it verifies; records under the present key are a finding.
    let previous = (
        "CLIENTELE_AUDIT__PREVIOUS_KEYS",
        r#"["0123456789abcdef0123456789abcdef"]"#,
    );
    let (output, failure, code) = run(&["audit", "verify"], &[other, previous, quiet]);
    let nothing = "no genesis record under audit.key: recreated under an earlier key, or no server has started with \
                   audit.key yet";
    assert_eq!(
        output,
        format!(
            "~definitions: {nothing}\n~users: {nothing}\n14 records in 12 chains, 0 of them erased; 90 clients without \
             records\n"
        )
    );
    assert_eq!(
        (failure.as_str(), code),
        ("clientele: the history is not intact: 2 findings\n", Some(1))
    );
}

#[test]
fn new_database_is_intact_after_its_migration() {
    let directory = directory();
    let succeeds = |arguments: &[&str]| {
        let output = clientele(&directory, arguments, &[])
            .output()
            .expect("the program starts");
        crate::harness::net::standard_error(&text(output.stderr));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        without_time(text(output.stdout))
    };
    let intact = "2 records in 2 chains, 0 of them erased; 0 clients without records; under this key since TIME\n\
                  the history is intact\n";
    for _ in 0..2 {
        assert_eq!(succeeds(&["migrate"]), "the database is up to date\n");
        assert_eq!(succeeds(&["audit", "verify"]), intact);
    }
}
