//! Wrong and hostile arguments, help, and closed output streams.

use std::ffi::OsStr;
use std::io::pipe;
use std::os::unix::ffi::OsStrExt;

use crate::harness::program::{clientele, directory, run, text};

#[test]
fn group_without_subcommand_prints_its_help() {
    for (group, about, subcommand) in [
        (
            "user",
            "Manage users, who sign in with a name and a password\n\nUsage: clientele user ",
            "  remove ",
        ),
        (
            "token",
            "Manage API tokens, for programs\n\nUsage: clientele token ",
            "  revoke ",
        ),
        (
            "session",
            "Manage sessions of users in browser applications\n\nUsage: clientele session ",
            "  revoke ",
        ),
        (
            "audit",
            "Verify the history of changes, or write it to a file\n\nUsage: clientele audit ",
            "  verify ",
        ),
        (
            "client",
            "Erase data that is kept about a client\n\nUsage: clientele client ",
            "  erase ",
        ),
        (
            "notify",
            "Test the channels that messages are sent over, and record reports about messages\n\nUsage: clientele \
             notify ",
            "  test ",
        ),
        (
            "suppression",
            "Manage the suppression list: the recipients that get no messages\n\nUsage: clientele suppression ",
            "  remove ",
        ),
    ] {
        let (printed, help, code) = run(&[group], &[]);
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{group}");
        assert!(help.starts_with(about) && help.contains(subcommand), "{help}");
        let (printed, line, code) = run(&[group], &[("CLIENTELE_LOG__FORMAT", "json")]);
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{group}");
        let line: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(
            line["message"],
            format!("a subcommand is missing (see clientele {group} --help)")
        );
    }
}

#[test]
fn typo_is_answered_with_a_suggestion_and_the_right_help() {
    for (arguments, sentence) in [
        (
            &["usr"][..],
            "unrecognized subcommand 'usr'; did you mean 'user'? (see clientele --help)",
        ),
        (
            &["help", "usr"],
            "unrecognized subcommand 'usr'; did you mean 'user'? (see clientele --help)",
        ),
        (
            &["user", "ad"],
            "unrecognized subcommand 'ad'; did you mean 'add'? (see clientele user --help)",
        ),
        (
            &["help", "user", "ad"],
            "unrecognized subcommand 'ad'; did you mean 'add'? (see clientele user --help)",
        ),
        (
            &["--lisen", "x"],
            "unexpected argument '--lisen' found; did you mean '--listen'? (see clientele --help)",
        ),
        (
            &["user", "add"],
            "the following required arguments were not provided: <NAME> (see clientele user add --help)",
        ),
        (
            &["user", "add", "x", "--permision", "ALL"],
            "unexpected argument '--permision' found; did you mean '--permissions'? (see clientele user add --help)",
        ),
        (
            &["audit", "verify", "--clint", "x"],
            "unexpected argument '--clint' found; did you mean '--client'? (see clientele audit verify --help)",
        ),
        (
            &["--set", "log.format=text", "user", "set", "x", "--active", "tru"],
            "invalid value 'tru' for '--active <true|false>' [possible values: true, false]; did you mean 'true'? (see \
             clientele user set --help)",
        ),
        (&["--no-auth", "migrate"], "--no-auth can only be used to serve"),
    ] {
        let line = format!("clientele: {sentence}\n");
        assert_eq!(run(arguments, &[]), (String::new(), line, Some(2)), "{arguments:?}");
    }
    let (_, line, code) = run(&["token", "create", "x", "--permissions", "all,VIEW_CLENT"], &[]);
    let start = "clientele: invalid value 'VIEW_CLENT' for '--permissions <LIST>' [possible values: ALL, VIEW_CLIENT, ";
    let end = "; did you mean 'VIEW_CLIENT'? (see clientele token create --help)\n";
    assert!(
        line.starts_with(start) && line.ends_with(end) && code == Some(2),
        "{line}"
    );
}

#[test]
fn help_is_printed_on_standard_output() {
    let (help, log, code) = run(&["help", "user", "add"], &[]);
    assert!(help.contains("Usage: clientele user add [OPTIONS] <NAME>\n"), "{help}");
    assert_eq!((log.as_str(), code), ("", Some(0)));
    // The help of every group lists exit codes.
    for (arguments, codes) in [
        (
            ["token", "revoke"],
            "Exit codes: 0 if the token is revoked, also when it was revoked before",
        ),
        (
            ["user", "remove"],
            "Exit codes: 0 if the user is removed, also when they were removed before",
        ),
        (
            ["audit", "verify"],
            "Exit codes: 0 if the history is intact; 1 if there are findings",
        ),
        (
            ["migrate", "status"],
            "Exit codes: 0 if all steps are applied and the tables are distributed as database.distributed says; 3",
        ),
        (
            ["audit", "export"],
            "Exit codes: 0 if the output is complete; 1 if it can't be written",
        ),
        (
            ["notify", "test"],
            "Exit codes: 0 if the provider has accepted the message; 1 if it was not sent",
        ),
    ] {
        let (help, _, code) = run(&[&arguments[..], &["--help"]].concat(), &[]);
        assert!(help.contains(codes) && code == Some(0), "{help}");
    }
}

#[test]
fn hostile_argument_is_one_printable_line() {
    let hostile = "x\u{1b}[2J\u{7}\u{202e}\r\ny";
    let set = format!("log.{hostile}=x");
    let directory = directory();
    let invalid = OsStr::from_bytes(b"\xff\xfe");
    for arguments in [
        vec![OsStr::new(hostile)],
        vec![OsStr::new("user"), OsStr::new(hostile)],
        vec![OsStr::new("--config"), OsStr::new(hostile), OsStr::new("config")],
        vec![OsStr::new("config"), OsStr::new("--set"), OsStr::new(&set)],
        vec![OsStr::new("config"), OsStr::new("--listen"), OsStr::new(hostile)],
        vec![
            OsStr::new("token"),
            OsStr::new("create"),
            OsStr::new("x"),
            OsStr::new("--permissions"),
            OsStr::new(hostile),
        ],
        vec![invalid],
        vec![OsStr::new("user"), OsStr::new("remove"), invalid],
        vec![OsStr::new("--config"), invalid, OsStr::new("config")],
    ] {
        for format in ["text", "json"] {
            let mut command = clientele(&directory, &[], &[("CLIENTELE_LOG__FORMAT", format)]);
            let output = command.args(&arguments).output().expect("the program starts");
            let line = text(output.stderr);
            let reason = line.strip_suffix('\n').expect("a line");
            assert!(
                !reason.contains(|letter: char| letter.is_control() || letter == '\u{202e}'),
                "{arguments:?}: {reason:?}"
            );
            assert_eq!(
                (output.stdout.len(), output.status.code()),
                (0, Some(2)),
                "{arguments:?}: {reason}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(reason).is_ok(),
                format == "json",
                "{reason}"
            );
        }
    }
}

#[test]
fn names_with_control_characters_are_refused() {
    let directory = directory();
    let quiet = [("CLIENTELE_LOG__FILTER", "off")];
    let run = |arguments: &[&str]| {
        let output = clientele(&directory, arguments, &quiet)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the program starts");
        (text(output.stdout), text(output.stderr))
    };
    run(&["migrate"]);
    run(&[
        "token",
        "create",
        "x\u{202e}[2J\u{200e}y",
        "--permissions",
        "VIEW_CLIENT",
    ]);
    let token = run(&["token", "create", "x\u{1b}[2J\ny", "--permissions", "VIEW_CLIENT"]);
    let refused = "clientele: name must not contain control characters.\n";
    assert_eq!(token, (String::new(), refused.to_owned()));
    let (listed, _) = run(&["token", "list"]);
    let (_, rest) = listed.split_once("  ").expect("a key first");
    assert_eq!(rest, "x\\u{202e}[2J\\u{200e}y  VIEW_CLIENT  view sets *  edit sets *\n");
}

#[test]
fn closed_output_fails_only_for_values_printed_once() {
    let directory = directory();
    let quiet = [("CLIENTELE_LOG__FILTER", "off")];
    let run = |arguments: &[&str]| {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let output = clientele(&directory, arguments, &quiet)
            .stdout(writer)
            .output()
            .expect("the program starts");
        (text(output.stderr), output.status.code())
    };
    let nothing = (String::new(), Some(0));
    for arguments in [
        &["--help"][..],
        &["schema"],
        &["config"],
        &["migrate"],
        &["seed", "--clients", "1"],
        &["user", "list"],
    ] {
        assert_eq!(run(arguments), nothing, "{arguments:?}");
    }
    let (line, code) = run(&["token", "create", "x", "--permissions", "ALL"]);
    let start = "clientele: the token was created, and can't be printed: Broken pipe (os error 32). Revoke it: \
     clientele token revoke ";
    assert!(line.starts_with(start) && code == Some(1), "{line}");
    // Findings are a failure, whether they are read or not.
    let key = [("CLIENTELE_AUDIT__KEY", "0123456789abcdef0123456789abcdef"), quiet[0]];
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let verify = clientele(&directory, &["audit", "verify"], &key)
        .stdout(writer)
        .output()
        .expect("the program starts");
    assert_eq!(verify.status.code(), Some(1));
}

#[test]
fn seeding_needs_at_least_one_client() {
    let directory = directory();
    for (clients, code) in [("0", 2), ("1", 0)] {
        let output = clientele(&directory, &["seed", "--clients", clients], &[]).output();
        let output = output.expect("the program starts");
        assert_eq!(output.status.code(), Some(code), "{clients}");
        let (printed, log) = (text(output.stdout), text(output.stderr));
        match code {
            0 => assert_eq!(
                printed,
                "the database has the invented clients SEED00000000 to SEED00000000\n"
            ),
            _ => assert!(printed.is_empty() && log.contains("--clients <N>"), "{log}"),
        }
        assert_eq!(directory.path().join("clientele.db").exists(), code == 0);
    }
}
