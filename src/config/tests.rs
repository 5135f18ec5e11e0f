//! Layering and the sentences about mistakes, by table.

mod notifications;

use std::io::Write;

use super::{Config, DatabaseUrl, Flags, LogFormat, load};
use crate::client::ClientState;
use crate::client::IdPattern;

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[test]
fn without_anything_the_defaults_hold() {
    assert_eq!(load(None, [], &Flags::default()).expect("valid"), Config::default());
}

#[test]
fn the_example_file_shows_exactly_the_settings_there_are_with_their_defaults() {
    let example: toml::Table = include_str!("../../config.example.toml").parse().expect("TOML");
    assert_eq!(toml::Table::try_from(Config::default()).expect("serialises"), example);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = file(concat!(
        "listen = '127.0.0.1:1'\ndatabase_url = 'sqlite:file.db'\nshutdown_timeout_seconds = 1\n",
        "[clients]\nid_pattern = '##'\nfirst_state = 'ACTIVE'\n[log]\nformat = 'json'\n"
    ));
    let variables = environment(&[
        ("CLIENTELE_CONFIG", "elsewhere.toml"),
        ("CLIENTELE_LISTEN", "127.0.0.1:2"),
        ("CLIENTELE_CLIENTS__ID_PATTERN", "######"),
        ("CLIENTELE_LEGACY__REQUIRE_ENCODED_KEY", "true"),
        ("CLIENTELE_LOG__FILTER", "warn,clientele=debug"),
        ("DATABASE_URL", "sqlite:environment.db"),
        ("HOME", "/home/ana"),
    ]);
    let flags = Flags {
        listen: Some(([127, 0, 0, 1], 3).into()),
        ..Flags::default()
    };

    let config = load(Some(file.path()), variables, &flags).expect("valid");

    let mut expected = Config {
        listen: ([127, 0, 0, 1], 3).into(),
        database_url: DatabaseUrl::new("sqlite:environment.db"),
        shutdown_timeout_seconds: 1,
        ..Config::default()
    };
    expected.clients.id_pattern = IdPattern::try_from("######".to_owned()).expect("a pattern");
    expected.clients.first_state = ClientState::Active;
    expected.legacy.require_encoded_key = true;
    expected.log.format = LogFormat::Json;
    expected.log.filter = "warn,clientele=debug".into();
    assert_eq!(config, expected);
}

#[test]
fn our_own_name_for_the_database_wins_over_the_common_one_and_the_flag_over_both() {
    let both = [
        ("DATABASE_URL", "sqlite:common.db"),
        ("CLIENTELE_DATABASE_URL", "sqlite:own.db"),
    ];
    let config = load(None, environment(&both), &Flags::default()).expect("valid");
    assert_eq!(config.database_url, DatabaseUrl::new("sqlite:own.db"));

    let flags = Flags {
        database_url: Some("sqlite:flag.db".into()),
        ..Flags::default()
    };
    let config = load(None, environment(&both), &flags).expect("valid");
    assert_eq!(config.database_url, DatabaseUrl::new("sqlite:flag.db"));
}

#[test]
fn a_mistake_in_the_file_is_one_sentence_that_names_it() {
    for (text, sentence) in [
        (
            "lisen = '127.0.0.1:1'",
            "unknown setting `lisen` in FILE; known there: listen, database_url, shutdown_timeout_seconds, database, \
             clients, legacy, graphql, notifications, log",
        ),
        (
            "[clients]\nid_patern = '###'",
            "unknown setting `clients.id_patern` in FILE; known there: id_pattern, first_state",
        ),
        (
            "[clients]\nid_pattern = 7",
            "`clients.id_pattern` in FILE must be a text",
        ),
        (
            "clients = 'ACTIVE'",
            "`clients` in FILE must be a section with settings of its own",
        ),
        (
            "[database]\nsqlite_synchronous = 'OFF'",
            "`database.sqlite_synchronous` in FILE must be one of FULL, NORMAL",
        ),
        (
            "[database]\nmax_connections = -1",
            "`database.max_connections` in FILE must be a whole number, 0 or more",
        ),
        (
            "listen = 'localhost'",
            "`listen` in FILE must be an address and a port, as in 127.0.0.1:8080",
        ),
        (
            "[log]\nfilter = 'info'\ndatabase_url = 'postgres://ana:secret@db/bank",
            "FILE is not TOML at line 3, column 46: invalid literal string, expected `'`",
        ),
    ] {
        let file = file(text);
        let error = load(Some(file.path()), [], &Flags::default())
            .expect_err(text)
            .to_string();
        assert_eq!(error.replace(&file.path().display().to_string(), "FILE"), sentence);
    }
}

#[test]
fn a_mistake_in_the_environment_is_one_sentence_that_names_the_variable() {
    for (name, value, sentence) in [
        (
            "CLIENTELE_CLIENTS__ID_PATERN",
            "###",
            "unknown setting CLIENTELE_CLIENTS__ID_PATERN in the environment; known there: id_pattern, first_state",
        ),
        (
            "CLIENTELE_LOG",
            "debug",
            "CLIENTELE_LOG in the environment must be a section with settings of its own",
        ),
        (
            "CLIENTELE_DATABASE",
            "postgres://ana:secret@db/bank",
            "CLIENTELE_DATABASE in the environment must be a section with settings of its own",
        ),
        (
            "CLIENTELE_LEGACY__REQUIRE_ENCODED_KEY",
            "yes",
            "CLIENTELE_LEGACY__REQUIRE_ENCODED_KEY in the environment must be true or false",
        ),
    ] {
        let error = load(None, environment(&[(name, value)]), &Flags::default()).expect_err(name);
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn a_value_that_cant_be_meant_is_one_sentence_that_says_what_can() {
    for (name, value, sentence) in [
        (
            "DATABASE_URL",
            "mysql://ana:secret@db/bank",
            "database_url must begin with sqlite: or postgres://, not as in mysql://ana:***@db/bank",
        ),
        (
            "CLIENTELE_SHUTDOWN_TIMEOUT_SECONDS",
            "3601",
            "shutdown_timeout_seconds must be at most 3600",
        ),
        (
            "CLIENTELE_DATABASE__MAX_CONNECTIONS",
            "0",
            "database.max_connections must be between 1 and 1000",
        ),
        (
            "CLIENTELE_DATABASE__ACQUIRE_TIMEOUT_SECONDS",
            "0",
            "database.acquire_timeout_seconds must be between 1 and 3600",
        ),
        (
            "CLIENTELE_CLIENTS__ID_PATTERN",
            "CLIENT",
            "CLIENTELE_CLIENTS__ID_PATTERN in the environment: an id pattern needs at least one # (digit), @ (capital \
             letter) or $ (either)",
        ),
        (
            "CLIENTELE_CLIENTS__ID_PATTERN",
            "#################################",
            "CLIENTELE_CLIENTS__ID_PATTERN in the environment: an id pattern has at most 32 characters; this one has 33",
        ),
        (
            "CLIENTELE_CLIENTS__FIRST_STATE",
            "EXITED",
            "CLIENTELE_CLIENTS__FIRST_STATE in the environment: a new client can be PENDING_APPROVAL, INACTIVE or \
             ACTIVE, and nothing else",
        ),
        (
            "CLIENTELE_GRAPHQL__BODY_BYTES",
            "100",
            "graphql.body_bytes must be at least 4096",
        ),
        (
            "CLIENTELE_LOG__FILTER",
            "clientele=loud",
            "log.filter must be a level, or levels by module, as in `info` or `warn,clientele=debug`",
        ),
    ] {
        let error = load(None, environment(&[(name, value)]), &Flags::default()).expect_err(name);
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn a_file_that_was_named_must_exist() {
    let error = load(Some("/nowhere/clientele.toml".as_ref()), [], &Flags::default()).expect_err("missing");
    assert_eq!(
        error.to_string(),
        "can't read the configuration file /nowhere/clientele.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn a_printed_configuration_shows_no_password() {
    let flags = Flags {
        database_url: Some("postgres://ana:secret@db/bank".into()),
        ..Flags::default()
    };
    let config = load(None, [], &flags).expect("valid");
    let printed = format!("{config:?}\n{}", toml::to_string(&config).expect("serialises"));
    assert!(
        printed.contains("postgres://ana:***@db/bank") && !printed.contains("secret"),
        "{printed}"
    );
}

/// What the environment and `--set` say about a setting.
fn said(environment_says: &[(&str, &str)], set: &[&str]) -> Result<Config, super::ConfigError> {
    let flags = Flags {
        set: set.iter().map(|&setting| setting.to_owned()).collect(),
        ..Flags::default()
    };
    load(None, environment(environment_says), &flags)
}

#[test]
fn a_text_that_reads_as_a_number_or_a_truth_value_stays_what_was_written() {
    for text in [
        "0049",
        "+15551234567",
        "1e5",
        "true",
        "-7",
        "007",
        "12.50",
        "",
        "a=b",
        " x ",
    ] {
        for config in [
            said(&[("CLIENTELE_NOTIFICATIONS__SMS__FROM", text)], &[]),
            said(&[], &[&format!("notifications.sms.from={text}")]),
        ] {
            assert_eq!(config.expect("valid").notifications.sms.from, text);
        }
    }
    let config = said(
        &[
            ("CLIENTELE_NOTIFICATIONS__EMAIL__USERNAME", "12345"),
            ("CLIENTELE_NOTIFICATIONS__EMAIL__PASSWORD", "0123"),
            ("CLIENTELE_NOTIFICATIONS__EMAIL__PORT", "2525"),
            ("CLIENTELE_NOTIFICATIONS__WORKER", "false"),
            ("CLIENTELE_NOTIFICATIONS__ATTEMPTS", "3"),
        ],
        &[],
    );
    let notifications = config.expect("valid").notifications;
    assert_eq!(notifications.email.username, "12345");
    assert_eq!(notifications.email.password.reveal(), "0123");
    assert_eq!(notifications.email.port, Some(2525));
    assert_eq!((notifications.worker, notifications.attempts), (false, 3));
}

#[test]
fn every_setting_can_be_set_by_flag_which_wins_over_the_environment() {
    let config = said(
        &[
            ("CLIENTELE_NOTIFICATIONS__EMAIL__HOST", "environment.test"),
            ("CLIENTELE_NOTIFICATIONS__EMAIL__PORT", "1"),
            ("CLIENTELE_LOG__FORMAT", "text"),
        ],
        &[
            "notifications.email.host=flag.test",
            "notifications.email.port=2",
            "notifications.email.port=3",
            "log.format=json",
            "database.max_connections=5",
            "listen=127.0.0.1:1",
        ],
    )
    .expect("valid");
    assert_eq!(config.notifications.email.host, "flag.test");
    assert_eq!(config.notifications.email.port, Some(3));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.database.max_connections, 5);
    assert_eq!(config.listen, ([127, 0, 0, 1], 1).into());
}

#[test]
fn a_mistake_in_a_flag_is_one_sentence_that_repeats_no_value() {
    for (set, sentence) in [
        ("hunter2", "--set takes KEY=VALUE, as in --set log.format=json"),
        ("=hunter2", "--set takes KEY=VALUE, as in --set log.format=json"),
        (
            "notifications..password=hunter2",
            "--set takes KEY=VALUE, as in --set log.format=json",
        ),
        (
            "notifications.email.passwort=hunter2",
            "unknown setting `notifications.email.passwort` in the command line; known there: transport, from, host, \
             port, encryption, username, password, ca_file, hello_name, timeout_seconds",
        ),
        (
            "notifications.email.port=hunter2",
            "`notifications.email.port` in the command line must be a whole number, 0 to 65535",
        ),
        (
            "notifications.email.port=65536",
            "`notifications.email.port` in the command line must be a whole number, 0 to 65535",
        ),
        (
            "notifications.worker=hunter2",
            "`notifications.worker` in the command line must be true or false",
        ),
        (
            "notifications.email=hunter2",
            "`notifications.email` in the command line must be a section with settings of its own",
        ),
        (
            "notifications.email.encryption=ssl",
            "`notifications.email.encryption` in the command line must be one of starttls, tls, none",
        ),
        (
            "notifications.worker_listen=8081",
            "`notifications.worker_listen` in the command line must be an address and a port, as in 127.0.0.1:8080",
        ),
    ] {
        assert_eq!(said(&[], &[set]).expect_err(set).to_string(), sentence);
    }
}
