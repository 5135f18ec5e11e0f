//! Tests of settings as text, from variables and from `--set`.

use std::net::SocketAddr;

use super::environment;
use crate::config::{Config, ConfigError, Flags, LogFormat, load};

/// Reads a configuration from the environment and `--set`.
pub(super) fn read(variables: &[(&str, &str)], set: &[&str]) -> Result<Config, ConfigError> {
    let flags = Flags {
        set: set.iter().map(|&setting| setting.to_owned()).collect(),
        ..Flags::default()
    };
    load(None, environment(variables), &flags)
}

#[test]
fn text_settings_keep_what_looks_like_another_type() {
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
            read(&[("CLIENTELE_NOTIFICATIONS__SMS__FROM", text)], &[]),
            read(&[], &[&format!("notifications.sms.from={text}")]),
        ] {
            assert_eq!(config.expect("valid").notifications.sms.from, text);
        }
    }
    let config = read(
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
fn every_setting_has_a_flag_that_overrides_the_variable() {
    let config = read(
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
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 1)).into());
}

#[test]
fn lists_have_the_syntax_of_the_file() {
    let config = read(
        &[
            ("CLIENTELE_HTTP__TRUSTED_PROXIES", r#"["10.0.0.0/8", "192.0.2.7"]"#),
            ("CLIENTELE_AUDIT__PREVIOUS_KEYS", r#"["environment"]"#),
            ("CLIENTELE_CORS__ALLOWED_ORIGINS", r#"["https://environment.test"]"#),
        ],
        &[
            r#"cors.allowed_origins=["https://a.test", 'https://b.test']"#,
            r#"authentication.jwt.algorithms=["ES256",]"#,
            "audit.previous_keys=[]",
            // A text that looks like a list stays a text.
            "notifications.sms.from=[]",
        ],
    )
    .expect("valid");
    assert_eq!(config.cors.allowed_origins, ["https://a.test", "https://b.test"]);
    assert_eq!(config.audit.previous_keys.len(), 0);
    let proxies: Vec<String> = config.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32"]);
    assert_eq!(
        toml::Value::try_from(&config.authentication.jwt.algorithms)
            .expect("TOML")
            .to_string(),
        r#"["ES256"]"#
    );
    assert_eq!(config.notifications.sms.from, "[]");
}

#[test]
fn unreadable_list_is_refused_without_its_contents() {
    for (key, text) in [
        ("cors.allowed_origins", "hunter2"),
        ("cors.allowed_origins", "hunter2,another"),
        ("cors.allowed_origins", ""),
        ("cors.allowed_origins", r#"["hunter2"#),
        ("cors.allowed_origins", "{ hunter2 = 1 }"),
        ("cors.allowed_origins", "[]\nhunter2 = 1"),
        ("audit.previous_keys", "hunter2"),
    ] {
        let error = read(&[], &[&format!("{key}={text}")]).expect_err(text).to_string();
        let sentence = r#"must be a list of texts, as in ["one", "another"]"#;
        assert_eq!(error, format!("`{key}` in the command line {sentence}"), "{text}");
    }
    for (set, sentence) in [
        (
            "cors.allowed_origins=[7]",
            "`cors.allowed_origins.0` in the command line must be a text in quotes",
        ),
        (
            r#"http.trusted_proxies=["hunter2"]"#,
            "`http.trusted_proxies.0` in the command line: a network is an address and a length, as in 10.0.0.0/8, or \
             one address",
        ),
    ] {
        assert_eq!(read(&[], &[set]).expect_err(set).to_string(), sentence);
    }
    let error = read(&[("CLIENTELE_CORS__ALLOWED_ORIGINS", "hunter2")], &[]).expect_err("no list");
    assert_eq!(
        error.to_string(),
        r#"CLIENTELE_CORS__ALLOWED_ORIGINS in the environment must be a list of texts, as in ["one", "another"]"#
    );
}

#[test]
fn invalid_flag_is_one_sentence_without_its_value() {
    for (set, sentence) in [
        ("hunter2", "--set takes KEY=VALUE, as in --set log.format=json"),
        ("=hunter2", "--set takes KEY=VALUE, as in --set log.format=json"),
        (
            "notifications..password=hunter2",
            "--set takes KEY=VALUE, as in --set log.format=json",
        ),
        (
            "notifications.email.passwort=hunter2",
            "unknown setting `notifications.email.passwort` in the command line: did you mean \
             `notifications.email.password`?",
        ),
        (
            "log_format=json",
            "unknown setting `log_format` in the command line: did you mean `log.format`?",
        ),
        (
            "max_connections=1",
            "unknown setting `max_connections` in the command line: did you mean `database.max_connections`?",
        ),
        (
            "graphql.roles.reporting.tokenz=1",
            "unknown setting `graphql.roles.reporting.tokenz` in the command line; known there: tokens, directives, \
             depth, aliases, root_fields, complexity, batch",
        ),
        (
            "audit.key_file=hunter2",
            "unknown setting `audit.key_file` in the command line: only a variable names the file of a secret: \
             CLIENTELE_AUDIT__KEY_FILE",
        ),
        (
            "notifications.email.port=hunter2",
            "`notifications.email.port` in the command line must be a whole number, 0 to 65535",
        ),
        (
            "notifications.email.port=65536",
            "`notifications.email.port` in the command line must be between 1 and 65535",
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
            "`notifications.worker_listen` in the command line must be an address and a port, as in 127.0.0.1:8080, \
             localhost:8080 or [::]:8080",
        ),
    ] {
        assert_eq!(read(&[], &[set]).expect_err(set).to_string(), sentence);
    }
}
