//! Users and tokens at the command line, and the first start.

use std::{io::Write, process::Stdio};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::program::{Server, clientele, directory, text, without_time};

/// Runs in this directory with a line on standard input. Returns standard output and standard error.
fn run(directory: &TempDir, arguments: &[&str], line: &str) -> (String, String) {
    let mut command = clientele(directory, arguments, &[("CLIENTELE_LOG__FILTER", "off")]);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(line.as_bytes())
        .expect("written");
    let output = child.wait_with_output().expect("it ends");
    let stderr = text(output.stderr);
    crate::harness::net::standard_error(&stderr);
    (text(output.stdout), stderr)
}

#[test]
fn users_and_tokens_are_managed_at_the_command_line() {
    let directory = directory();
    let said = |arguments: &[&str], line: &str| run(&directory, arguments, line);
    let ok = |text: &str| (text.to_owned(), String::new());
    let failed = |text: &str| (String::new(), format!("clientele: {text}\n"));
    let good = "correct horse battery\n";
    let add = [
        "user",
        "add",
        "ana",
        "--permissions",
        "VIEW_CLIENT,audit",
        "--view-sets",
        "facts",
    ];
    assert_eq!(
        said(&add, "short\n"),
        failed("The password must have at least 12 characters: a few random words will do.")
    );
    assert_eq!(said(&add, good), ok("the user ana has been added\n"));
    assert_eq!(said(&add, good), failed("There is a user of this name already."));
    assert_eq!(
        said(&["user", "list"], ""),
        ok("ana  VIEW_CLIENT,AUDIT  view sets facts  edit sets facts\n")
    );
    let rightless =
        "the user ben has been added without permissions: clientele user set ben --permissions VIEW_CLIENT\n";
    assert_eq!(said(&["user", "add", "ben"], good), ok(rightless));
    assert_eq!(
        said(&["user", "set", "ben", "--permissions", "VIEW_CLIENT"], ""),
        ok("the user ben has been changed\n")
    );
    assert_eq!(
        said(&["user", "list"], ""),
        ok("ana  VIEW_CLIENT,AUDIT  view sets facts  edit sets facts\n\
            ben  VIEW_CLIENT  view sets *  edit sets *\n")
    );
    assert_eq!(
        said(&["user", "remove", "ben"], ""),
        ok("the user ben has been removed\n")
    );
    let set = [
        "user",
        "set",
        "ana",
        "--permissions",
        "ALL",
        "--view-sets",
        "*",
        "--edit-sets",
        "*",
        "--active",
        "true",
    ];
    assert_eq!(said(&set, ""), ok("the user ana has been changed\n"));
    let (said_of_none, failure) = said(&["user", "set", "ana"], "");
    let nothing = "clientele: nothing has been changed: give an option, such as --permissions or --active\n";
    assert_eq!((&*said_of_none, &*failure), ("", nothing));
    assert_eq!(
        said(&["user", "password", "ana"], "another good one\n"),
        ok("the user ana has a new password\n")
    );
    assert_eq!(
        said(&["user", "remove", "ana"], ""),
        failed("This is the last active user with MANAGE_USERS: give that to another one first.")
    );
    assert_eq!(
        said(&["user", "password", "bo"], good),
        failed("there is no user of this name: `clientele user list` shows the users")
    );
    let create = ["token", "create", "a job", "--permissions", "VIEW_CLIENT", "--days"];
    for days in ["0", "1828"] {
        let sentence = format!(
            "invalid value '{days}' for '--days <DAYS>': {days} is not in 1..=1827 (see clientele token create --help)"
        );
        assert_eq!(said(&[&create[..], &[days]].concat(), ""), failed(&sentence));
    }
    assert_eq!(said(&["session", "list"], ""), ok(""));
    assert_eq!(
        said(&["session", "revoke", "gone"], ""),
        failed("there is no session with this key: `clientele session list` shows the sessions")
    );
    let (token, log) = said(&create[..5], "");
    assert!(token.starts_with("clt_") && token.len() == 48, "{token}{log}");
    let (listed, _) = said(&["token", "list"], "");
    let (key, rest) = listed.split_once("  ").expect("a key first");
    assert_eq!(log, format!("to revoke the token: clientele token revoke {key}\n"));
    assert_eq!(rest, "a job  VIEW_CLIENT  view sets *  edit sets *\n");
    assert_eq!(said(&["token", "revoke", key], ""), ok("the token has been revoked\n"));
    assert!(said(&["token", "list"], "").0.ends_with("(revoked)\n"));
    let (again, log) = said(&["token", "revoke", key], "");
    let before = "the token was revoked before, at TIME: nothing has changed\n";
    assert_eq!((without_time(&again).as_str(), log.as_str()), (before, ""));
    assert_eq!(
        said(&["token", "revoke", "nothing"], ""),
        failed("there is no token with this key: `clientele token list` shows the tokens")
    );

    let bo = ["user", "add", "bo", "--permissions", "VIEW_CLIENT"];
    assert_eq!(said(&bo, good).1, "");
    let limited = ["user", "set", "bo", "--role", "job", "--centres", ""];
    assert_eq!(said(&limited, ""), ok("the user bo has been changed\n"));
    let (users, _) = said(&["user", "list"], "");
    assert_eq!(
        users.lines().last(),
        Some("bo  VIEW_CLIENT  view sets *  edit sets *  centres none  role job")
    );
    assert_eq!(
        said(&["user", "remove", "bo"], ""),
        ok("the user bo has been removed\n")
    );
    let (again, log) = said(&["user", "remove", "bo"], "");
    let before = "the user bo was removed before, at TIME: nothing has changed\n";
    assert_eq!((without_time(&again).as_str(), log.as_str()), (before, ""));
    for never in ["b", "bob", "anna"] {
        assert_eq!(
            said(&["user", "remove", never], ""),
            failed("there is no user of this name: `clientele user list` shows the users")
        );
    }
    // A new user with the name of a removed one is another user.
    assert_eq!(said(&bo, good).1, "");
    assert_eq!(
        said(&["user", "remove", "bo"], ""),
        ok("the user bo has been removed\n")
    );
}

#[tokio::test]
async fn first_start_prints_the_password_once_on_the_terminal() {
    let server = Server::on_terminal(&[("CLIENTELE_LOG__FILTER", "trace")]);
    let line = server.greeting.lines().find(|line| line.starts_with("sign in"));
    let password = line.and_then(|line| line.strip_prefix("sign in     admin with the password "));
    let password = password.expect(&server.greeting).to_owned();
    assert!(
        server.greeting.contains(&format!("curl -u admin:{password} ")),
        "{}",
        server.greeting
    );
    let ask = async |password: Option<&str>, path: &str| {
        let mut request = Client::new().get(format!("{}{path}", server.address));
        if let Some(password) = password {
            request = request.basic_auth("admin", Some(password));
        }
        request.send().await.expect("an answer").status()
    };
    for path in ["/api/clients", "/metrics"] {
        assert_eq!(ask(Some(&password), path).await, StatusCode::OK, "{path}");
        assert_eq!(
            ask(Some("wrong password"), path).await,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(ask(None, path).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/health/live", "/health/ready", "/playground"] {
        assert_eq!(ask(None, path).await, StatusCode::OK, "{path}");
    }
    let query = "mutation($input: SignInInput!) { signIn(input: $input) { userErrors { code } } }";
    let input = json!({ "name": "admin", "password": password });
    let signed_in = Client::new().post(format!("{}/graphql", server.address));
    let signed_in = signed_in.json(&json!({ "query": query, "variables": { "input": input } }));
    assert_eq!(signed_in.send().await.expect("an answer").status(), StatusCode::OK);
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0));
    for secret in [password.as_str(), "wrong password", "argon2id"] {
        assert!(!log.contains(secret), "{log}");
    }
    let signed_in = log
        .lines()
        .find(|line| line.contains("route=\"/graphql\""))
        .expect("a line");
    assert!(
        signed_in.contains("caller=\"USER\" caller_key=\"01") && !signed_in.contains("admin"),
        "{signed_in}"
    );
    // The caller is recorded as a kind and a key, not as a name.
    let requests: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("route=\"/api/clients\""))
        .collect();
    let [known, wrong, anonymous] = requests[..] else {
        panic!("three requests: {log}")
    };
    assert!(
        known.contains("caller=\"USER\" caller_key=\"01") && !known.contains("admin"),
        "{known}"
    );
    assert!(
        !wrong.contains("caller") && !anonymous.contains("caller"),
        "{wrong} {anonymous}"
    );
}

#[tokio::test]
async fn first_start_without_terminal_prints_no_password() {
    let server = Server::start(&[]);
    let lines: Vec<&str> = server.greeting.lines().collect();
    assert_eq!(
        lines[3..5],
        [
            "sign in     admin, after you have set the password: clientele user password admin",
            "            (a generated password is shown on a terminal only)",
        ]
    );
    assert!(
        server.greeting.contains("\ncurl -u admin http://"),
        "{}",
        server.greeting
    );
    let password = "correct horse battery";
    let made = run(&server.directory, &["user", "password", "admin"], password);
    assert_eq!(made, ("the user admin has a new password\n".to_owned(), String::new()));
    let ask = Client::new().get(format!("{}/api/clients", server.address));
    let answer = ask.basic_auth("admin", Some(password)).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0));
    assert!(!log.contains("password is") && !log.contains(password), "{log}");
}

/// The commands of a container or service before its first start.
#[tokio::test]
async fn first_start_creates_no_user_when_one_exists() {
    let directory = directory();
    let add = ["user", "add", "admin", "--permissions", "ALL"];
    let added = run(&directory, &add, "correct horse battery\n");
    assert_eq!(added, ("the user admin has been added\n".to_owned(), String::new()));
    let server = Server::start_in(directory, &[]);
    assert!(
        server
            .greeting
            .contains("\nsign in     admin, or another user (clientele user list)\n"),
        "{}",
        server.greeting
    );
    let ask = Client::new().get(format!("{}/api/clients", server.address));
    let answer = ask.basic_auth("admin", Some("correct horse battery")).send().await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
}
