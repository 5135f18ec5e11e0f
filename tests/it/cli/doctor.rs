//! `clientele doctor`: one line for each check, good and bad.

mod database;
mod files;
mod network;
mod postgres;
mod replicas;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{
        net,
        peers::{Mailing, SmtpPeer, Stage},
        program::{clientele, directory, text},
    },
    server::database_files::names,
};

/// The output of the command.
struct Examined {
    output: String,
    code: Option<i32>,
}

impl Examined {
    /// The only line of a check.
    #[track_caller]
    fn line(&self, check: &str) -> &str {
        let of_check = |line: &&str| {
            line.get(9..)
                .is_some_and(|line| line.starts_with(&format!("{check}: ")))
        };
        let lines: Vec<&str> = self.output.lines().filter(of_check).collect();
        assert_eq!(lines.len(), 1, "{check}:\n{}", self.output);
        lines[0]
    }

    /// Asserts the line of a check, and the exit code that fits it.
    #[track_caller]
    fn says(&self, check: &str, line: &str) {
        assert_eq!(self.line(check), line);
        let has_problem = self.output.lines().any(|line| line.starts_with("PROBLEM "));
        assert_eq!(self.code, Some(i32::from(has_problem)), "{}", self.output);
    }
}

/// Runs the command in a directory, with a port that is free.
fn examine_in(directory: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Examined {
    let mut all = vec!["doctor", "--listen", "127.0.0.1:0"];
    all.extend(arguments);
    let output = clientele(directory, &all, environment)
        .output()
        .expect("the program starts");
    let examined = text(output.stdout);
    net::standard_error(&text(output.stderr));
    net::standard_error(&examined);
    Examined {
        output: examined,
        code: output.status.code(),
    }
}

fn examine(arguments: &[&str], environment: &[(&str, &str)]) -> Examined {
    examine_in(&directory(), arguments, environment)
}

/// The lines without the free space of the disk.
fn without_space(lines: &str) -> String {
    let kept = lines.lines().filter(|line| !line.contains(" disk: "));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn fresh_directory_is_reported_and_stays_empty() {
    let directory = directory();
    let examined = examine_in(&directory, &[], &[]);
    let path = directory.path().canonicalize().expect("it exists").join("clientele.db");
    let expected = format!(
        "OK       settings: the settings are valid. See docs/operations.md#settings\n\
         SKIPPED  files: there is no file with secrets or clients. See docs/operations.md#secret-files\n\
         WARNING  database: there is no database at {}. `clientele serve` creates it; if there should be one, correct \
         database_url. See docs/operations.md#sqlite\n\
         SKIPPED  migrations: the database can't be read. See docs/operations.md#upgrade\n\
         SKIPPED  clock: the database can't be read. See docs/notifications.md#delivery\n\
         WARNING  audit_key: audit.key isn't set: the key of the history is kept in the database, so that everyone who \
         can write the database can forge the history. Make a key with `openssl rand -base64 32`, and set it for all \
         servers. See docs/audit.md#the-key\n\
         SKIPPED  outbox: the database can't be read. See docs/notifications.md#delivery\n\
         SKIPPED  tls: http.certificate_file isn't set: the port doesn't speak TLS. See docs/operations.md#tls\n\
         SKIPPED  issuer: authentication.jwt.issuer isn't set: tokens of an issuer are refused. See \
         docs/access.md#tokens-of-an-issuer\n\
         SKIPPED  email: notifications.email.transport is \"log\": messages are only written to the log. See \
         docs/notifications.md#send\n\
         SKIPPED  sms: notifications.sms.transport is \"log\": messages are only written to the log. See \
         docs/notifications.md#send\n\
         SKIPPED  telemetry: telemetry.otlp_endpoint isn't set: traces and logs aren't exported. See \
         docs/telemetry.md#settings\n\
         OK       listen: 127.0.0.1:0 is free. See docs/operations.md#start\n\
         SKIPPED  worker_listen: notifications.worker_listen isn't set: a worker doesn't listen. See \
         docs/operations.md#start\n",
        path.display()
    );
    assert_eq!(without_space(&examined.output), expected);
    assert_eq!(examined.code, Some(0));
    assert_eq!(names(&directory), Vec::<String>::new());
}

#[test]
fn invalid_settings_are_a_problem() {
    let output = clientele(&directory(), &["doctor", "--set", "log.format=xml"], &[]).output();
    let output = output.expect("the program starts");
    assert_eq!(
        text(output.stdout),
        "PROBLEM  settings: `log.format` in the command line must be one of text, json. Correct the setting. See \
         docs/operations.md#settings\n\
         SKIPPED  others: all other checks need valid settings. See docs/operations.md#settings\n"
    );
    assert_eq!(text(output.stderr), "clientele: 1 problem was found\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn unreadable_manifest_is_a_problem_of_the_settings() {
    let file = "/nowhere/documents.json";
    let examined = examine(
        &[
            "--set=graphql.trusted_documents=only",
            &format!("--set=graphql.trusted_documents_file={file}"),
        ],
        &[],
    );
    examined.says(
        "settings",
        "PROBLEM  settings: can't read graphql.trusted_documents_file /nowhere/documents.json: No such file or \
         directory (os error 2). Correct graphql.trusted_documents_file. See docs/operations.md#settings",
    );
}

#[test]
fn file_that_is_not_named_is_a_warning() {
    let directory = directory();
    std::fs::write(directory.path().join("clientele.toml"), "").expect("written");
    let unread = "WARNING  config: clientele.toml in this directory isn't read: no file is named. Name it with \
        --config clientele.toml or CLIENTELE_CONFIG=clientele.toml. See docs/operations.md#settings";
    examine_in(&directory, &[], &[]).says("config", unread);
    for (arguments, variables) in [
        (&["--config", "clientele.toml"][..], &[][..]),
        (&[], &[("CLIENTELE_CONFIG", "clientele.toml")]),
    ] {
        let examined = examine_in(&directory, arguments, variables);
        assert!(!examined.output.contains(" config: "), "{}", examined.output);
    }
}

#[test]
fn wrong_argument_is_a_wrong_command() {
    let output = clientele(&directory(), &["doctor", "--jsn"], &[])
        .output()
        .expect("it starts");
    assert_eq!(
        text(output.stderr),
        "clientele: unexpected argument '--jsn' found; did you mean '--json'? (see clientele doctor --help)\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn json_has_the_findings_of_the_lines() {
    let directory = directory();
    let lines = examine_in(&directory, &[], &[]);
    let json = examine_in(&directory, &["--json"], &[]);
    assert_eq!((lines.code, json.code), (Some(0), Some(0)));
    let report: Value = serde_json::from_str(&json.output).expect("JSON");
    assert_eq!(report["version"], clientele::version::TEXT);
    let findings = report["findings"].as_array().expect("a list");
    let line = |finding: &Value| {
        let member = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let to_do = match member("toDo") {
            none if none.is_empty() => none,
            to_do => format!(" {to_do}"),
        };
        let (check, found, documentation) = (member("check"), member("found"), member("documentation"));
        format!("{:<8} {check}: {found}{to_do} See {documentation}\n", member("status"))
    };
    let as_lines: String = findings.iter().map(line).collect();
    assert_eq!(without_space(&as_lines), without_space(&lines.output));
    let settings = json!({ "check": "settings", "status": "OK", "found": "the settings are valid.",
        "documentation": "docs/operations.md#settings" });
    assert_eq!(findings[0], settings);
}

/// A mail server that says nothing takes its own time limit, and no other check's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_check_leaves_the_others() {
    let peer = SmtpPeer::start(Mailing::Hang(Stage::Greeting)).await;
    let examined = network::with_mail_server(&peer, &[]);
    examined.says(
        "email",
        "PROBLEM  email: the provider didn't answer in time (no answer within 4 s). Check notifications.email.host, \
         port and encryption. See docs/notifications.md#send",
    );
    examined.says(
        "listen",
        "OK       listen: 127.0.0.1:0 is free. See docs/operations.md#start",
    );
}
