//! `clientele config`: the source of each value, and hidden secrets.

use std::{io::Write, process::Stdio};

use clientele::config::{Flags, load};

use crate::harness::program::{clientele, directory, text};

const SECRETS: [&str; 4] = ["topsecret1", "topsecret2", "topsecret3", "topsecret4"];

#[test]
fn config_prints_sources_and_hides_secrets() {
    let directory = directory();
    let [in_file, in_variable, in_list, in_flag] = SECRETS;
    let file = format!(
        "shutdown_timeout_seconds = 7\n[authentication.jwt]\nissuer = \"https://ana:{in_file}@login.test/\"\naudience \
         = \"x\"\njwks_url = \"https://login.test/keys?api_key={in_file}&p%77d={in_file}#{in_file}\"\n\
         [audit]\nprevious_keys = [\"{in_list}, which has to be long\"]\n"
    );
    std::fs::write(directory.path().join("my.toml"), file).expect("written");
    let set = format!("notifications.sms.url=https://sms.test/send?token={in_flag}");
    let database = format!("postgres://teller:{in_variable}@db/bank");
    let environment = [
        ("DATABASE_URL", database.as_str()),
        ("CLIENTELE_LOG__FORMAT", "json"),
        ("CLIENTELE_log__FILTER", "warn"),
        ("CLIENTELE_CLIENTS__ID_PATTERN", "######"),
        ("CLIENTELE_HTTP__QUEUE", "5"),
    ];
    let arguments = [
        "config",
        "--config",
        "my.toml",
        "--listen",
        "127.0.0.1:1",
        "--set",
        &set,
        "--set",
        "http.queue=6",
    ];
    let mut command = clientele(&directory, &arguments, &environment);
    let output = command
        .env_remove("CLIENTELE_LOG__FILTER")
        .output()
        .expect("the program starts");
    assert_eq!((text(output.stderr).as_str(), output.status.code()), ("", Some(0)));
    let printed = text(output.stdout);
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{printed}");
    }
    let first = "listen = \"127.0.0.1:1\"  # the command line\n\
                 database_url = \"postgres://teller:***@db/bank\"  # environment variable DATABASE_URL\n";
    let log = "[log]\nformat = \"json\"  # environment variable CLIENTELE_LOG__FORMAT\n\
                filter = \"warn\"  # environment variable CLIENTELE_log__FILTER\n";
    assert!(printed.starts_with(first) && printed.contains(log), "{printed}");
    for line in [
        "listen = \"127.0.0.1:1\"  # the command line",
        "database_url = \"postgres://teller:***@db/bank\"  # environment variable DATABASE_URL",
        "shutdown_timeout_seconds = 7  # file my.toml",
        "shutdown_delay_seconds = 0  # default",
        "queue = 6  # the command line",
        "id_pattern = \"######\"  # environment variable CLIENTELE_CLIENTS__ID_PATTERN",
        "issuer = \"https://***@login.test/\"  # file my.toml",
        "jwks_url = \"https://login.test/keys?api_key=***&p%77d=***#***\"  # file my.toml",
        "url = \"https://sms.test/send?token=***\"  # the command line",
        "previous_keys = [\"***\"]  # file my.toml",
        "filter = \"warn\"  # environment variable CLIENTELE_log__FILTER",
        "allowed_origins = []  # default",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    let values = printed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('['));
    for line in values {
        assert!(line.contains("  # "), "{line}");
    }
    printed.parse::<toml::Table>().expect("TOML");
}

/// The output loads to the same configuration, whatever the name of the file is.
#[test]
fn printed_configuration_is_a_configuration() {
    let directory = directory();
    let name = "a\n[log]\rformat = 7 # \"\u{1b}.toml";
    let text_of_it = "[graphql.roles.\"a.b c\"]\ndepth = 3\n[notifications.email]\nfrom = \"a # b \
                      <service@bank.test>\"\n[notifications.sms]\nfrom = \"\"\"\n[log]\n# a 'b' \\\"\"\"\"\n";
    std::fs::write(directory.path().join(name), text_of_it).expect("written");
    let mut command = clientele(&directory, &["config", "--config", name], &[]);
    let output = command
        .env_remove("CLIENTELE_LOG__FILTER")
        .output()
        .expect("the program starts");
    assert_eq!((text(output.stderr).as_str(), output.status.code()), ("", Some(0)));
    let again = directory.path().join("again.toml");
    let printed = text(output.stdout);
    std::fs::write(&again, &printed).expect("written");
    let read = |file| load(Some(file), [], &Flags::default()).expect("a configuration");
    assert_eq!(read(&again), read(&directory.path().join(name)));
    let source = "depth = 3  # file a\u{fffd}[log]\u{fffd}format = 7 # \"\u{fffd}.toml";
    assert!(printed.lines().any(|line| line == source), "{printed}");
}

#[test]
fn configuration_can_be_read_from_a_pipe() {
    let directory = directory();
    for (settings, line) in [
        (
            "shutdown_timeout_seconds = 7\n",
            "shutdown_timeout_seconds = 7  # file /dev/stdin",
        ),
        ("wrong = 7\n", ""),
    ] {
        let mut command = clientele(&directory, &["config", "--config", "/dev/stdin"], &[]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(settings.as_bytes())
            .expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.success(), !line.is_empty());
        let printed = text(output.stdout);
        assert!(
            line.is_empty() || printed.lines().any(|printed| printed == line),
            "{printed}"
        );
    }
}
