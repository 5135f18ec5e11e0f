//! `clientele client erase`: erased data, confirmation, and unknown clients.

use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::harness::program::{clientele, directory, text, without_time};

/// Runs in this directory without a terminal. Returns standard output, the final error and the exit code.
fn run(directory: &TempDir, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = clientele(directory, arguments, &[("CLIENTELE_LOG__FILTER", "off")]);
    let output = command.stdin(Stdio::null()).output();
    let Output { stdout, stderr, status } = output.expect("the program starts");
    let stderr = text(stderr);
    crate::harness::net::standard_error(&stderr);
    (text(stdout), stderr, status.code())
}

fn failed(sentence: &str, code: i32) -> (String, String, Option<i32>) {
    (String::new(), format!("clientele: {sentence}\n"), Some(code))
}

const UNKNOWN: &str = "there is no client with this key or id: one that was deleted or erased is named by its key, \
    which its audit records have";

#[test]
fn confirmed_erasure_removes_a_client_by_key_or_id() {
    let directory = directory();
    assert_eq!(run(&directory, &["seed", "--clients", "1"]).2, Some(0));
    assert_eq!(
        run(&directory, &["client", "erase", "SEED00000000"]),
        failed(
            "nothing has been erased: there is no terminal to ask for confirmation, so add --yes",
            2
        )
    );
    assert_eq!(
        run(&directory, &["client", "erase", "absent", "--yes"]),
        failed(UNKNOWN, 1)
    );
    let (said, log, code) = run(&directory, &["client", "erase", "SEED00000000", "--yes"]);
    let key = "01900000000070008000000000000000";
    assert_eq!(
        said,
        format!("the client {key} has been erased; messages: 0, records of its history that had contents: 0\n")
    );
    assert_eq!((log.as_str(), code), ("", Some(0)));
    // The erasure is a record. A second one has nothing to erase. Only the key still names the client.
    let intact = run(&directory, &["audit", "verify", "--client", key]);
    assert!(
        intact.0.starts_with("1 records in 1 chains, 0 of them erased"),
        "{intact:?}"
    );
    let (said, log, code) = run(&directory, &["client", "erase", key, "--yes"]);
    let before =
        format!("the client {key} was erased before, at TIME, and nothing was added since: nothing has changed\n");
    assert_eq!((without_time(&said), log.as_str(), code), (before, "", Some(0)));
    assert_eq!(
        run(&directory, &["client", "erase", "SEED00000000", "--yes"]),
        failed(UNKNOWN, 1)
    );
    assert_eq!(run(&directory, &["audit", "verify", "--client", key]), intact);
    assert_eq!(intact.2, Some(0));
}

#[test]
fn erase_help_lists_removed_and_kept_data() {
    let (help, _, code) = run(&directory(), &["client", "erase", "--help"]);
    assert_eq!(code, Some(0));
    for word in [
        "Erased are",
        "The client's key remains",
        "every backup",
        "A client that was deleted",
        "Exit codes: 0",
    ] {
        assert!(help.contains(word), "{word}\n{help}");
    }
}
