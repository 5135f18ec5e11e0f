//! Settings as text, from variables and from `--set`.

use super::environment;
use crate::config::{Config, ConfigError, Flags, LogFormat, load};

/// What the environment and `--set` say about a setting.
pub(super) fn said(environment_says: &[(&str, &str)], set: &[&str]) -> Result<Config, ConfigError> {
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
