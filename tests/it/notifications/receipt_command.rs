//! `clientele notify receipt` and `clientele suppression`.

use std::{io::Write, process::Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::receipts::report;
use crate::harness::program::{Server, clientele, directory, text};

/// Runs in this directory with a mail on standard input.
fn pipe(directory: &TempDir, arguments: &[&str], mail: &[u8]) -> (String, String, Option<i32>) {
    let mut command = clientele(directory, arguments, &[("CLIENTELE_LOG__FILTER", "off")]);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A command that refuses the mail can end before it is written.
    drop(child.stdin.take().expect("piped").write_all(mail));
    let output = child.wait_with_output().expect("it ends");
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// A directory with a database that has one sent message, and the message's key.
async fn with_message() -> (TempDir, String) {
    let server = Server::open(&[]);
    let http = reqwest::Client::new();
    let call = async |query: &str| {
        let request = http
            .post(format!("{}/graphql", server.address))
            .json(&json!({ "query": query }));
        let answer = request.send().await.expect("an answer").text().await.expect("text");
        serde_json::from_str::<serde_json::Value>(&answer).expect("JSON")
    };
    call(
        "mutation { upsertMessageTemplate(input: { templateId: \"t\", name: \"T\", event: CLIENT_CREATED, \
         channel: EMAIL, variants: [{ language: ENGLISH, subject: \"S\", text: \"T\" }] }) { userErrors { code } } }",
    )
    .await;
    call(
        "mutation { upsertClient(input: { client: { firstName: \"Ana\", lastName: \"Cruz\", emailAddress: \
         \"Ana@Example.test\" } }) { userErrors { message } } }",
    )
    .await;
    // A message that was never tried takes no receipt.
    let key = loop {
        let found = call("{ messages { nodes { encodedKey state } } }").await;
        let message = &found["data"]["messages"]["nodes"][0];
        if message["state"] == "SENT" {
            break message["encodedKey"].as_str().expect("a key").to_owned();
        }
    };
    server.signal("TERM");
    let (code, directory) = server.stopped();
    assert_eq!(code, Some(0));
    (directory, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_is_recorded_from_standard_input() {
    let (directory, key) = with_message().await;
    let receipt = |mail: &str| pipe(&directory, &["notify", "receipt"], mail.as_bytes());
    let done = |line: &str| (format!("{line}\n"), String::new(), Some(0));
    let failed = |line: &str| (String::new(), format!("clientele: {line}\n"), Some(1));
    assert_eq!(receipt(&report(&key, "4.2.2")), done("recorded: the message came back"));
    assert_eq!(
        receipt(&report(&key, "5.1.1").replace("\r\n", "\n")),
        done("recorded: the message came back, and its recipient gets no further e-mails")
    );
    assert_eq!(
        receipt(&report(&key, "5.1.1")),
        done("nothing has changed: the report is about a delay, or was recorded before")
    );
    assert_eq!(
        receipt(&report("01a204b6e17070e2996235536f30e1a7", "5.1.1")),
        done("nothing has changed: there is no message with this Message-ID")
    );
    assert_eq!(
        receipt(&report("1.2", "5.1.1")),
        done(
            "nothing has changed: the report is about a message that this server didn't send: its Message-ID isn't one \
             of its own"
        )
    );
    assert_eq!(
        receipt(""),
        done(
            "nothing has been recorded: this isn't an e-mail: send the whole message as the mail server received it, \
             with its headers"
        )
    );
    // A client's reply doesn't come back to the client.
    assert_eq!(
        receipt("From: ana@example.test\r\nSubject: Re: Welcome\r\n\r\nThank you.\r\n"),
        done(
            "nothing has been recorded: this isn't a report about a message: it must be multipart/report with a part \
             message/delivery-status (RFC 3464) or message/feedback-report (RFC 5965)"
        )
    );
    let large = vec![b'x'; (10 << 20) + 1];
    assert_eq!(
        pipe(&directory, &["notify", "receipt"], &large),
        done("nothing has been recorded: the mail has more than 10 MiB: let the mail server return headers only")
    );
    let (printed, _, code) = pipe(&directory, &["notify", "receipt"], &large[1..]);
    assert!(printed.contains("this isn't a"), "{printed}");
    assert_eq!(code, Some(0));
    // The mail server must try again.
    for arguments in [
        &["--config", "missing.toml"][..],
        &["--set=database_url=sqlite:missing.db"],
        &["--set=database_url=postgres://127.0.0.1:1/none"],
        &["--set=notifications.concurrency=0"],
    ] {
        let arguments = [arguments, &["notify", "receipt"]].concat();
        let (printed, error, code) = pipe(&directory, &arguments, report(&key, "5.1.1").as_bytes());
        assert_eq!((&*printed, code), ("", Some(75)), "{arguments:?}: {error}");
    }

    let suppression = |arguments: &[&str]| pipe(&directory, &[&["suppression"], arguments].concat(), b"");
    let (list, _, code) = suppression(&["list"]);
    assert!(
        list.starts_with("EMAIL  ana@example.test  HARD_BOUNCE  since "),
        "{list}"
    );
    assert!(list.ends_with("  by operator\n"), "{list}");
    assert_eq!(code, Some(0));
    let ana = ["--email", "ANA@example.test"];
    assert_eq!(
        suppression(&["remove", ana[0], ana[1]]),
        done("the recipient has been removed")
    );
    assert_eq!(
        suppression(&["remove", ana[0], ana[1]]),
        failed("this recipient isn't on the list: `clientele suppression list` shows the recipients")
    );
    assert_eq!(
        suppression(&["add", ana[0], ana[1]]),
        done("the recipient has been added")
    );
    assert_eq!(
        suppression(&["add", ana[0], ana[1]]),
        done("the recipient was on the list before: nothing has changed")
    );
    assert_eq!(
        suppression(&["add", "--email", "ana"]),
        failed("recipient must be an e-mail address, as in ines@bank.test.")
    );
    assert_eq!(
        suppression(&["add", "--sms", "(415) 555-0101"]),
        failed(
            "recipient must be a phone number with + and its country code. Numbers without a \
             country code need the setting notifications.sms.default_region."
        )
    );
    let region = "--set=notifications.sms.default_region=US";
    assert_eq!(
        suppression(&["add", "--sms", "12", region]),
        failed(
            "recipient must be a phone number with + and its country code, or a number of US, which is \
             notifications.sms.default_region."
        )
    );
    assert_eq!(
        suppression(&["add", "--sms", "(415) 555-0101", "--reason", "complaint", region]),
        done("the recipient has been added")
    );
    let (list, ..) = suppression(&["list"]);
    let kinds: Vec<&str> = list
        .lines()
        .map(|line| line.split("  since").next().unwrap_or_default())
        .collect();
    assert_eq!(
        kinds,
        ["SMS  +14155550101  COMPLAINT", "EMAIL  ana@example.test  MANUAL"]
    );
    // The history verifies, and has no recipient.
    let (_, error, code) = pipe(&directory, &["audit", "verify"], b"");
    assert_eq!((&*error, code), ("", Some(0)));
}

#[test]
fn suppression_commands_need_a_database() {
    let empty = directory();
    let (printed, error, code) = pipe(&empty, &["suppression", "list"], b"");
    assert_eq!((&*printed, code), ("", Some(1)));
    assert!(error.starts_with("clientele: there is no database at "), "{error}");
}
