//! Tests of layering and error messages, by table.

mod environment;
mod flags;
mod notifications;
mod telemetry;

use std::io::Write;
use std::net::SocketAddr;

use super::{Config, DatabaseUrl, Flags, LogFormat, load};
use clientele_domain::client::IdPattern;
use clientele_domain::enums::ClientState;

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
fn defaults_apply_without_any_source() {
    assert_eq!(load(None, [], &Flags::default()).expect("valid"), Config::default());
}

#[test]
fn example_file_lists_all_settings_with_defaults() {
    let example: toml::Table = include_str!("../../config.example.toml").parse().expect("TOML");
    assert_eq!(toml::Table::try_from(Config::default()).expect("serialises"), example);
}

#[test]
fn flags_override_variables_which_override_the_file() {
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
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 3)).into()),
        ..Flags::default()
    };

    let config = load(Some(file.path()), variables, &flags).expect("valid");

    let mut expected = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 3)).into(),
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
fn own_variable_overrides_the_common_database_url() {
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
fn invalid_file_is_one_sentence_with_its_name() {
    for (text, sentence) in [
        (
            "lisen = '127.0.0.1:1'",
            "unknown setting `lisen` in FILE: did you mean `listen`?",
        ),
        (
            "[log]\ncolour = true",
            "unknown setting `log.colour` in FILE; known there: format, filter",
        ),
        (
            "[notification.e-mail]\nhost = 'x'",
            "unknown setting `notification.e-mail.host` in FILE: did you mean `notifications.email.host`?",
        ),
        (
            "'postgres://ana:secret@db' = 1",
            "unknown setting `***` in FILE; known there: listen, database_url, shutdown_delay_seconds, \
             shutdown_timeout_seconds, http, answers, rate_limit, database, clients, legacy, graphql, cors, \
             playground, authentication, idempotency, notifications, audit, changes, log, telemetry",
        ),
        (
            "[clients]\nid_patern = '###'",
            "unknown setting `clients.id_patern` in FILE: did you mean `clients.id_pattern`?",
        ),
        (
            "[clients]\nid_pattern = 7",
            "`clients.id_pattern` in FILE must be a text in quotes",
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
            "`database.max_connections` in FILE must be between 1 and 1000",
        ),
        (
            "shutdown_delay_seconds = -1",
            "`shutdown_delay_seconds` in FILE must be a whole number, 0 or more",
        ),
        (
            "[notifications]\nkeep_messages_days = 99999999999",
            "`notifications.keep_messages_days` in FILE must be at most 36500",
        ),
        (
            "[idempotency]\nhours = 99999999999",
            "`idempotency.hours` in FILE must be between 1 and 720: outcomes hold personal data",
        ),
        (
            "[idempotency]\nhours = 721",
            "idempotency.hours must be between 1 and 720: outcomes hold personal data",
        ),
        (
            "[rate_limit]\nburst = 4294967296",
            "`rate_limit.burst` in FILE must be at most 4294967295",
        ),
        (
            "[notifications.email]\nport = 65536",
            "`notifications.email.port` in FILE must be between 1 and 65535",
        ),
        (
            "[notifications.sms.quiet_hours]\nfrom = 21:00",
            "`notifications.sms.quiet_hours.from` in FILE must be a text in quotes, as in \"21:00\"",
        ),
        (
            "[sms.fallback]\nrate_per_minute = 1",
            "unknown setting `sms.fallback.rate_per_minute` in FILE: did you mean \
             `notifications.sms.rate_per_minute`?",
        ),
        (
            "listen = 'localhost'",
            "`listen` in FILE must be an address and a port, as in 127.0.0.1:8080, localhost:8080 or [::]:8080",
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
fn invalid_variable_is_one_sentence_with_its_name() {
    for (name, value, sentence) in [
        (
            "CLIENTELE_CLIENTS__ID_PATERN",
            "###",
            "unknown setting CLIENTELE_CLIENTS__ID_PATERN in the environment: did you mean \
             CLIENTELE_CLIENTS__ID_PATTERN?",
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
fn invalid_value_is_one_sentence_with_valid_ones() {
    for (name, value, sentence) in [
        (
            "DATABASE_URL",
            "mysql://ana:secret@db/bank",
            "database_url must begin with sqlite: or postgres://, as in postgres://USER:PASSWORD@HOST/NAME",
        ),
        (
            "CLIENTELE_SHUTDOWN_TIMEOUT_SECONDS",
            "3601",
            "shutdown_timeout_seconds must be at most 3600",
        ),
        (
            "CLIENTELE_SHUTDOWN_DELAY_SECONDS",
            "3601",
            "shutdown_delay_seconds must be at most 3600",
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
            "CLIENTELE_DATABASE__DISTRIBUTED",
            "true",
            "database.distributed needs PostgreSQL with the extension Citus, and database_url names a SQLite file",
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
            "CLIENTELE_CLIENTS__ID_PATTERN in the environment: an id pattern has at most 32 characters; this one has \
             33",
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
            "CLIENTELE_DATABASE__REQUEST_TIMEOUT_SECONDS",
            "0",
            "database.request_timeout_seconds must be between 1 and 3600",
        ),
        (
            "CLIENTELE_GRAPHQL__TRUSTED_DOCUMENTS",
            "only",
            "graphql.trusted_documents and graphql.trusted_documents_file need each other",
        ),
        ("CLIENTELE_GRAPHQL__BATCH", "0", "graphql.batch must be at least 1"),
        (
            "CLIENTELE_HTTP__KEY_FILE",
            "server.key",
            "http.certificate_file is missing: there is a key",
        ),
        (
            "CLIENTELE_HTTP__CERTIFICATE_FILE",
            "server.pem",
            "http.key_file is missing: there is a certificate",
        ),
        (
            "CLIENTELE_ANSWERS__BYTES",
            "8388607",
            "answers.bytes must be at least 8388608: the largest client that may be stored must fit",
        ),
        (
            "CLIENTELE_ANSWERS__BYTES_TOGETHER",
            "16777216",
            "answers.bytes_together must be at least twice answers.bytes",
        ),
        (
            "CLIENTELE_AUDIT__PREVIOUS_KEYS",
            r#"["another key of 31 characters: 6"]"#,
            "each of audit.previous_keys must have at least 32 characters",
        ),
        (
            "CLIENTELE_AUTHENTICATION__JWT__JWKS_MAX_AGE_SECONDS",
            "60",
            "authentication.jwt.jwks_max_age_seconds must be at least twice jwks_refresh_seconds",
        ),
        (
            "CLIENTELE_AUTHENTICATION__JWT__JWKS_URL",
            "https://ana:hunter2@issuer.test/keys",
            "authentication.jwt.jwks_url must not hold credentials: published keys are fetched without",
        ),
        (
            "CLIENTELE_AUTHENTICATION__JWT__JWKS_URL",
            "https://hunter2@issuer.test/keys",
            "authentication.jwt.jwks_url must not hold credentials: published keys are fetched without",
        ),
        (
            "CLIENTELE_AUTHENTICATION__SESSIONS__ACCESS_TOKEN_SECONDS",
            "3601",
            "authentication.sessions.access_token_seconds must be between 60 and 3600",
        ),
        (
            "CLIENTELE_AUTHENTICATION__SESSIONS__IDLE_SECONDS",
            "2592001",
            "authentication.sessions.idle_seconds must be between 60 and 2592000",
        ),
        (
            "CLIENTELE_AUTHENTICATION__SESSIONS__LIFETIME_SECONDS",
            "31536001",
            "authentication.sessions.lifetime_seconds must be between 60 and 31536000",
        ),
        (
            "CLIENTELE_AUTHENTICATION__SESSIONS__IDLE_SECONDS",
            "899",
            "authentication.sessions.idle_seconds must be at least access_token_seconds: otherwise a session ends \
             before its access token",
        ),
        (
            "CLIENTELE_AUTHENTICATION__SESSIONS__LIFETIME_SECONDS",
            "43199",
            "authentication.sessions.lifetime_seconds must be at least idle_seconds",
        ),
        (
            "CLIENTELE_HTTP__IDLE_TIMEOUT_SECONDS",
            "0",
            "http.idle_timeout_seconds must be between 1 and 3600",
        ),
        (
            "CLIENTELE_LOG__FILTER",
            "clientele=loud",
            "log.filter must be a level, or levels by module, as in `info` or `warn,clientele=debug,http_server=info`",
        ),
    ] {
        let error = load(None, environment(&[(name, value)]), &Flags::default()).expect_err(name);
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn named_file_must_exist() {
    let error = load(Some("/nowhere/clientele.toml".as_ref()), [], &Flags::default()).expect_err("missing");
    assert_eq!(
        error.to_string(),
        "can't read the configuration file /nowhere/clientele.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn printed_configuration_holds_no_password() {
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

#[test]
fn replicas_are_postgres_servers_and_hidden() {
    let read = |urls: &str, database: &str| {
        let variables = [("CLIENTELE_DATABASE__REPLICA_URLS", urls), ("DATABASE_URL", database)];
        load(None, environment(&variables), &Flags::default()).map_err(|error| error.to_string())
    };
    let primary = "postgres://ana:hunter2@db/bank";
    let replicas = r#"["postgres://ana:hunter2@replica-1/bank", "postgres://ana:hunter2@replica-2/bank"]"#;
    let config = read(replicas, primary).expect("valid");
    let urls: Vec<&str> = config.database.replica_urls.iter().map(|url| url.reveal()).collect();
    let expected = ["replica-1", "replica-2"].map(|host| format!("postgres://ana:hunter2@{host}/bank"));
    assert_eq!(urls, expected);
    let printed = format!("{config:?}\n{}", toml::to_string(&config).expect("serialises"));
    assert!(
        printed.contains("replica_urls = [\"***\", \"***\"]") && !printed.contains("hunter2"),
        "{printed}"
    );
    for (urls, database, sentence) in [
        (
            replicas,
            "sqlite:x.db",
            "database.replica_urls needs PostgreSQL: remove it, or set database_url to a PostgreSQL server",
        ),
        (
            r#"["sqlite:hunter2.db"]"#,
            primary,
            "address 1 of database.replica_urls must be an address of PostgreSQL, as in postgres://USER:PASSWORD@HOST/NAME",
        ),
        (
            r#"["postgres://ana@db/bank", "postgres://ana:hunter2@db/bank?ssl=true"]"#,
            primary,
            "address 2 of database.replica_urls has the parameter ssl, which doesn't encrypt the connection: write \
             sslmode=require, or sslmode=verify-full, which also checks the server's certificate",
        ),
        (
            r#"["postgres://ana:hunter2@r/bank", "postgres://ana:hunter2@r/bank"]"#,
            primary,
            "address 2 of database.replica_urls is listed twice: remove one of them",
        ),
        (
            primary,
            primary,
            "CLIENTELE_DATABASE__REPLICA_URLS in the environment must be a list of texts, as in [\"one\", \"another\"]",
        ),
    ] {
        assert_eq!(read(urls, database), Err(sentence.to_owned()));
    }
}

#[test]
fn roles_and_origins_are_read_and_checked() {
    let read = |text: &str| load(Some(file(text).path()), [], &Flags::default()).map_err(|error| error.to_string());
    let config = read("[graphql.roles.reporting]\ncomplexity = 7\n[cors]\nallowed_origins = ['https://app.bank.test']");
    let config = config.expect("valid");
    assert_eq!(config.graphql.roles["reporting"].complexity, Some(7));
    assert_eq!(config.cors.allowed_origins, ["https://app.bank.test"]);
    assert_eq!(
        read("[cors]\nallowed_origins = ['https://app.bank.test/']").expect_err("a path"),
        "cors.allowed_origins must be origins, as in https://app.bank.test or http://localhost:5173"
    );
    for name in ["x request", "", "*", "x-ä"] {
        assert_eq!(
            read(&format!("[cors]\nallowed_headers = ['{name}']")).expect_err("no name"),
            "cors.allowed_headers must be names of headers, as in x-request-id: list each one, as * is not supported"
        );
    }
    assert_eq!(
        read("[cors]\nmax_age_seconds = 86401").expect_err("too long"),
        "cors.max_age_seconds must be at most 86400"
    );
    let text = "[graphql]\npersisted_query_bytes = 9\ntrusted_documents = 'only'\ntrusted_documents_file = 'x'";
    assert_eq!(
        read(text).expect_err("both"),
        "graphql.persisted_query_bytes must be 0 where graphql.trusted_documents is only"
    );
}
