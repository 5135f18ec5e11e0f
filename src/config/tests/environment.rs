//! Tests of unknown and misspelt variables, and of those that name the file of a secret.

use std::path::Path;

use super::environment;
use crate::config::{Config, Flags, load};

fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
    load(None, environment(variables), &Flags::default()).map_err(|error| error.to_string())
}

/// The variables that Kubernetes sets for a service with one port of each protocol.
fn service_links(service: &str) -> Vec<(String, String)> {
    let mut links = vec![
        (format!("{service}_SERVICE_HOST"), "10.96.0.11".to_owned()),
        (format!("{service}_SERVICE_PORT"), "8080".to_owned()),
        (format!("{service}_SERVICE_PORT_HTTP"), "8080".to_owned()),
        (format!("{service}_PORT"), "tcp://10.96.0.11:8080".to_owned()),
    ];
    for protocol in ["tcp", "udp", "sctp"] {
        let name = format!("{service}_PORT_8080_{}", protocol.to_ascii_uppercase());
        links.extend([
            (name.clone(), format!("{protocol}://10.96.0.11:8080")),
            (format!("{name}_PROTO"), protocol.to_owned()),
            (format!("{name}_PORT"), "8080".to_owned()),
            (format!("{name}_ADDR"), "fd00::11".to_owned()),
        ]);
    }
    links
}

#[test]
fn service_links_of_kubernetes_are_ignored() {
    let links: Vec<_> = ["CLIENTELE", "CLIENTELE_WORKER"]
        .into_iter()
        .flat_map(service_links)
        .collect();
    assert_eq!(links.len(), 32);
    for link in &links {
        let config = load(None, [link.clone()], &Flags::default());
        assert_eq!(config.expect("ignored"), Config::default(), "{link:?}");
    }
    let more = service_links("CLIENTELE_V2_PORT")
        .into_iter()
        .chain(service_links("CLIENTELE__X"));
    let config = load(None, links.into_iter().chain(more), &Flags::default());
    assert_eq!(config.expect("ignored"), Config::default());
}

#[test]
fn other_unknown_variables_are_errors_with_suggestion() {
    for (name, value, suggested) in [
        ("CLIENTELE_LOG_FORMAT", "json", "CLIENTELE_LOG__FORMAT"),
        ("CLIENTELE__LOG__FORMAT", "json", "CLIENTELE_LOG__FORMAT"),
        ("CLIENTELE_LOG__FROMAT", "json", "CLIENTELE_LOG__FORMAT"),
        ("CLIENTELE_LISTENS", "1", "CLIENTELE_LISTEN"),
        ("CLIENTELE_CLIENT__ID_PATTERN", "###", "CLIENTELE_CLIENTS__ID_PATTERN"),
        (
            "CLIENTELE_NOTIFICATIONS_EMAIL_PORT",
            "25",
            "CLIENTELE_NOTIFICATIONS__EMAIL__PORT",
        ),
        (
            "CLIENTELE_NOTIFICATIONS_SMS_PASSWORD_FILE",
            "x",
            "CLIENTELE_NOTIFICATIONS__SMS__PASSWORD_FILE",
        ),
        ("CLIENTELE_HTTP__KEYFILE", "x", "CLIENTELE_HTTP__KEY_FILE"),
        ("CLIENTELE_DATABASEURL", "x", "CLIENTELE_DATABASE_URL"),
        ("CLIENTELE_MAX_CONNECTIONS", "1", "CLIENTELE_DATABASE__MAX_CONNECTIONS"),
    ] {
        let sentence = format!("unknown setting {name} in the environment: did you mean {suggested}?");
        assert_eq!(read(&[(name, value)]), Err(sentence));
    }
    // Similar to service links, but with other values.
    for (name, value) in [
        ("CLIENTELE_SERVICE_HOST", "mail.test"),
        ("CLIENTELE_SERVICE_PORT", "http"),
        ("CLIENTELE_PORT", "8080"),
        ("CLIENTELE_PORT_8080_TCP", "8080"),
        ("CLIENTELE_PORT_HTTP_TCP", "tcp://10.96.0.11:80"),
        ("CLIENTELE_PORT_8080_TCP_PROTO", "http"),
    ] {
        let error = read(&[(name, value)]).expect_err(name);
        assert!(
            error.starts_with(&format!("unknown setting {name} in the environment")),
            "{error}"
        );
    }
    // A setting remains a setting.
    assert_eq!(
        read(&[("CLIENTELE_NOTIFICATIONS__EMAIL__PORT", "tcp://10.96.0.11:25")]),
        Err("CLIENTELE_NOTIFICATIONS__EMAIL__PORT in the environment must be a whole number, 0 to 65535".to_owned())
    );
}

#[test]
fn every_secret_can_come_from_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let key = "0123456789abcdef0123456789abcdef";
    let config = read(&[
        (
            "CLIENTELE_DATABASE_URL_FILE",
            &file("url", "postgres://ana:hunter2@db/bank\n"),
        ),
        ("CLIENTELE_AUDIT__KEY_FILE", &file("key", &format!("{key}\r\n"))),
        (
            "CLIENTELE_AUDIT__PREVIOUS_KEYS_FILE",
            &file("keys", &format!("[\"{key}{key}\"]\n")),
        ),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__USERNAME", "ana"),
        (
            "CLIENTELE_NOTIFICATIONS__EMAIL__PASSWORD_FILE",
            &file("mail", " 0123\n\n"),
        ),
        ("CLIENTELE_NOTIFICATIONS__SMS__USERNAME", "ana"),
        ("CLIENTELE_NOTIFICATIONS__SMS__PASSWORD_FILE", &file("sms", "hunter2")),
        ("CLIENTELE_AUTHENTICATION__JWT__ISSUER", "https://issuer.test"),
        ("CLIENTELE_AUTHENTICATION__JWT__AUDIENCE", "bank"),
        ("CLIENTELE_AUTHENTICATION__JWT__ALGORITHMS", "[\"HS256\"]"),
        ("CLIENTELE_AUTHENTICATION__JWT__KEY_FILE", &file("jwt", key)),
        ("CLIENTELE_TELEMETRY__OTLP_HEADERS_FILE", &file("otlp", "key=hunter2\n")),
    ])
    .expect("valid");
    assert_eq!(config.database_url.reveal(), "postgres://ana:hunter2@db/bank");
    assert_eq!(config.audit.key.reveal(), key);
    assert_eq!(config.audit.previous_keys[0].reveal(), format!("{key}{key}"));
    assert_eq!(config.notifications.email.password.reveal(), " 0123\n");
    assert_eq!(config.notifications.sms.password.reveal(), "hunter2");
    assert_eq!(config.authentication.jwt.key.reveal(), key);
    assert_eq!(config.telemetry.otlp_headers.reveal(), "key=hunter2");

    let common = file("common", "sqlite:common.db\n");
    let of = |variables: &[(&str, &str)]| read(variables).map(|config| config.database_url.to_string());
    assert_eq!(of(&[("DATABASE_URL_FILE", &common)]), Ok("sqlite:common.db".to_owned()));
    let own = ("CLIENTELE_DATABASE_URL", "sqlite:own.db");
    assert_eq!(
        of(&[("DATABASE_URL_FILE", &common), own]),
        Ok("sqlite:own.db".to_owned())
    );
}

#[test]
fn file_of_secret_must_be_readable_and_only_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("empty"), "\n").expect("written");
    std::fs::write(path("bytes"), [0xff]).expect("written");
    let name = "CLIENTELE_AUDIT__KEY_FILE";
    for (file, reason) in [
        (path("none"), "No such file or directory (os error 2)"),
        (path(""), "Is a directory (os error 21)"),
        (path("bytes"), "stream did not contain valid UTF-8"),
    ] {
        let sentence = format!(
            "the file {:?}, which {name} names, can't be read: {reason}",
            Path::new(&file)
        );
        assert_eq!(read(&[(name, &file)]), Err(sentence));
    }
    for secret in ["", "postgres://ana:hunter2@db/bank", "aHVudGVyMg=="] {
        let sentence = format!("the file that {name} names can't be read: No such file or directory (os error 2)");
        assert_eq!(read(&[(name, secret)]), Err(sentence));
    }
    let sentence = format!("the file {:?}, which {name} names, is empty", path("empty"));
    assert_eq!(read(&[(name, &path("empty"))]), Err(sentence));
    std::fs::write(path("secret"), "sqlite:x.db").expect("written");
    for secret in ["CLIENTELE_AUDIT__KEY", "CLIENTELE_DATABASE_URL", "DATABASE_URL"] {
        let in_file = format!("{secret}_FILE");
        let both = [(secret, "sqlite:y.db"), (&in_file, &path("secret"))];
        let sentence = format!("{secret} and {in_file} are both set in the environment: remove one");
        for variables in [both, [both[1], both[0]]] {
            assert_eq!(read(&variables), Err(sentence.clone()));
        }
    }
    // A setting whose name ends in `_FILE`.
    assert_eq!(
        read(&[("CLIENTELE_HTTP__KEY_FILE", "server.key")]),
        Err("http.certificate_file is missing: there is a key".to_owned())
    );
}

#[test]
fn mistyped_sslmode_of_environment_is_error() {
    for mode in ["require", "verify-full", "Prefer"] {
        assert_eq!(read(&[("PGSSLMODE", mode)]), Ok(Config::default()));
    }
    assert_eq!(
        read(&[("PGSSLMODE", "required")]),
        Err(
            "PGSSLMODE in the environment must be disable, allow, prefer, require, verify-ca or verify-full".to_owned()
        )
    );
}
