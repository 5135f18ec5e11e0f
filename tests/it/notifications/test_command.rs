//! `clientele notify test`: one line with the outcome.

use std::{io::Write, net::TcpListener};

use crate::harness::{
    peers::{Answering, GatewayPeer, Mailing, Security, SmtpOptions, SmtpPeer, Stage},
    program::run,
};

const TO_INES: [&str; 4] = ["notify", "test", "--email", "ines@example.test"];

/// The flags with a mail server's address.
fn mail_server(peer: &SmtpPeer, encryption: &str) -> Vec<String> {
    let ca_file = peer.settings().ca_file.expect("a peer has one");
    [
        "email.transport=smtp".to_owned(),
        "email.host=localhost".to_owned(),
        format!("email.port={}", peer.address.port()),
        format!("email.encryption={encryption}"),
        format!("email.ca_file={}", ca_file.display()),
        "email.from=Bank <service@bank.test>".to_owned(),
    ]
    .into_iter()
    .map(|setting| format!("--set=notifications.{setting}"))
    .collect()
}

fn run_with(arguments: &[&str], flags: &[String], environment: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let all: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(flags.iter().map(String::as_str))
        .collect();
    run(&all, environment)
}

fn stopped(sentence: &str, code: i32) -> (String, String, Option<i32>) {
    (String::new(), format!("clientele: {sentence}\n"), Some(code))
}

#[test]
fn channel_without_provider_fails_and_names_the_settings() {
    for (flag, recipient, section, transport, place) in [
        ("--email", "ines@example.test", "email", "smtp", "host"),
        ("--sms", "+15551234567", "sms", "http", "url"),
    ] {
        let sentence = format!(
            "not sent: no provider is configured. notifications.{section}.transport is \"log\", which only writes to \
             the log: set it to \"{transport}\", and set notifications.{section}.{place} and \
             notifications.{section}.from"
        );
        assert_eq!(run(&["notify", "test", flag, recipient], &[]), stopped(&sentence, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_test_uses_the_settings() {
    let options = SmtpOptions {
        security: Security::Starttls,
        credentials: Some(("ana", "0123")),
        ..SmtpOptions::default()
    };
    let peer = SmtpPeer::with(options, Mailing::Accept).await;
    let flags = mail_server(&peer, "starttls");
    let user = ("CLIENTELE_NOTIFICATIONS__EMAIL__USERNAME", "ana");
    let password = "CLIENTELE_NOTIFICATIONS__EMAIL__PASSWORD";

    assert_eq!(
        run_with(&TO_INES, &flags, &[user, (password, "0123")]),
        (
            "sent: the provider has accepted it as 2.0.0 Ok: queued as 17\n".into(),
            String::new(),
            Some(0)
        )
    );
    let message = peer.message(0).await;
    assert_eq!((message.encrypted, message.user.as_deref()), (true, Some("ana")));
    assert!(
        message.data.contains("\r\nSubject: Test message of clientele\r\n"),
        "{}",
        message.data
    );

    assert_eq!(
        run_with(&TO_INES, &flags, &[user, (password, "hunter2")]),
        stopped(
            "not sent: the provider doesn't accept the credentials (535 5.7.8 wrong credentials); check \
             notifications.email.username and password",
            1
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_is_one_line_with_advice() {
    let peer = SmtpPeer::start(Mailing::Answer(Stage::Recipient, "451 4.7.1 greylisted")).await;
    assert_eq!(
        run_with(&TO_INES, &mail_server(&peer, "none"), &[]),
        stopped(
            "not sent: the provider asks to be tried later (451 4.7.1 greylisted); the server would try again",
            1
        )
    );
    assert_eq!(
        run_with(&TO_INES, &mail_server(&peer, "starttls"), &[]),
        stopped(
            "not sent: no encrypted connection could be established (the mail server doesn't offer STARTTLS); check \
             notifications.email.encryption and ca_file; the server would try again",
            1
        )
    );
    let malformed = ["notify", "test", "--email", "absent"];
    assert_eq!(
        run_with(&malformed, &mail_server(&peer, "none"), &[]),
        stopped(
            "not sent: the recipient can't be reached (this is not an e-mail address)",
            1
        )
    );
}

#[test]
fn server_without_smtp_names_port_and_encryption() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream
                .expect("a connection")
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let flags = [
        "email.transport=smtp",
        "email.host=127.0.0.1",
        &format!("email.port={port}"),
        "email.encryption=none",
        "email.from=service@bank.test",
    ]
    .map(|setting| format!("--set=notifications.{setting}"));
    let (printed, failure, code) = run_with(&TO_INES, &flags, &[]);
    assert_eq!((printed.as_str(), code), ("", Some(1)));
    assert!(
        failure.starts_with("clientele: not sent: there is no connection to the provider (")
            && failure
                .ends_with("); check notifications.email.host, port and encryption; the server would try again\n"),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sms_test_uses_the_settings() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let url = peer.settings().url;
    let environment = [
        ("CLIENTELE_NOTIFICATIONS__SMS__TRANSPORT", "http"),
        ("CLIENTELE_NOTIFICATIONS__SMS__URL", url.as_str()),
        ("CLIENTELE_NOTIFICATIONS__SMS__FROM", "+15550001111"),
        ("CLIENTELE_NOTIFICATIONS__SMS__DEFAULT_REGION", "US"),
    ];
    let command = ["notify", "test", "--sms", "(555) 123-4567"];
    assert_eq!(
        run(&command, &environment),
        (
            "sent: the provider has accepted it as SM17\n".into(),
            String::new(),
            Some(0)
        )
    );
    let form = peer.message(0).await.form();
    assert_eq!(form[0], ("To".into(), "+15551234567".into()));
    assert_eq!(form[1], ("From".into(), "+15550001111".into()));

    peer.set(Answering::Answer {
        status: 503,
        headers: vec![("retry-after", "60".into())],
        body: String::new(),
    });
    assert_eq!(
        run(&command, &environment),
        stopped(
            "not sent: the provider failed (HTTP 503); the server would try again in 60 s at the earliest",
            1
        )
    );
}

/// The variables of a gateway and of a second one.
fn two_gateways<'a>(primary: &'a str, fallback: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("CLIENTELE_NOTIFICATIONS__SMS__TRANSPORT", "http"),
        ("CLIENTELE_NOTIFICATIONS__SMS__URL", primary),
        ("CLIENTELE_NOTIFICATIONS__SMS__FROM", "+15550001111"),
        ("CLIENTELE_NOTIFICATIONS__SMS__FALLBACK__URL", fallback),
        ("CLIENTELE_NOTIFICATIONS__SMS__FALLBACK__FROM", "bank"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_provider_can_be_tested() {
    let primary = GatewayPeer::start(Answering::Accept).await;
    let fallback = GatewayPeer::start(Answering::Accept).await;
    let (first, second) = (primary.settings().url, fallback.settings().url);
    let command = |provider| ["notify", "test", "--sms", "+15551234567", "--provider", provider];
    let sent = (
        "sent: the provider has accepted it as SM17\n".to_owned(),
        String::new(),
        Some(0),
    );
    for provider in ["primary", "fallback"] {
        assert_eq!(run(&command(provider), &two_gateways(&first, &second)), sent);
    }
    let sender = |peer: &GatewayPeer| {
        let requests: Vec<_> = peer
            .messages()
            .iter()
            .map(|request| request.form()[1].1.clone())
            .collect();
        requests
    };
    assert_eq!(
        (sender(&primary), sender(&fallback)),
        (vec!["+15550001111".into()], vec!["bank".into()])
    );

    fallback.set(Answering::status(401));
    assert_eq!(
        run(&command("fallback"), &two_gateways(&first, &second)),
        stopped(
            "not sent: the provider doesn't accept the credentials (HTTP 401); check \
             notifications.sms.fallback.username and password",
            1
        )
    );
    assert_eq!(
        run(&command("fallback"), &two_gateways(&first, &second)[..3]),
        stopped(
            "not sent: no fallback is configured: set notifications.sms.fallback.url, or leave out --provider",
            2
        )
    );
    let mail = SmtpPeer::start(Mailing::Accept).await;
    assert_eq!(
        run_with(
            &[&TO_INES[..], &["--provider", "fallback"]].concat(),
            &mail_server(&mail, "none"),
            &[]
        ),
        stopped(
            "not sent: no fallback is configured: set notifications.email.fallback.host, or leave out --provider",
            2
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sms_test_is_sent_in_quiet_hours_and_says_so() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let url = peer.settings().url;
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let time = |hours| (now + chrono::TimeDelta::hours(hours)).format("%H:%M").to_string();
    let run_between = |from: i64, to: i64| {
        let (from, to) = (time(from), time(to));
        let quiet = |key: &str, value: &str| format!("--set=notifications.sms.quiet_hours.{key}={value}");
        let flags = [quiet("from", &from), quiet("to", &to), quiet("zone", "UTC")];
        let command = ["notify", "test", "--sms", "+15551234567"];
        let (output, log, code) = run_with(&command, &flags, &two_gateways(&url, "")[..3]);
        assert_eq!((log, code), (String::new(), Some(0)));
        (output, to)
    };
    let sent = "sent: the provider has accepted it as SM17\n";
    let (output, to) = run_between(-2, 2);
    let note = format!("these are quiet hours: messages to clients wait until {to} UTC\n");
    assert_eq!(output, format!("{sent}{note}"));
    assert_eq!(run_between(2, 4).0, sent);
}

#[test]
fn wrong_setting_or_flag_is_one_line() {
    let hint = "(see clientele notify test --help)";
    let smtp = [
        "--set=notifications.email.transport=smtp",
        "--set=notifications.email.host=mail.test",
    ];
    for (arguments, sentence) in [
        (
            vec!["notify", "test"],
            format!("the following required arguments were not provided: <--email <ADDRESS>|--sms <NUMBER>> {hint}"),
        ),
        (
            vec!["notify", "test", "--email", "a@b.test", "--provider", "second"],
            format!("invalid value 'second' for '--provider <PROVIDER>' [possible values: primary, fallback] {hint}"),
        ),
        (
            vec!["notify", "test", "--email", "a@b.test", smtp[0]],
            "notifications.email.host is missing: with transport = \"smtp\" there must be a mail server".into(),
        ),
        (
            vec![
                "notify",
                "test",
                "--email",
                "a@b.test",
                smtp[0],
                smtp[1],
                "--set=notifications.email.from=service@bank.test",
                "--set=notifications.email.ca_file=/no/ca",
            ],
            "notifications.email.ca_file: can't read /no/ca: No such file or directory (os error 2)".into(),
        ),
        (
            vec!["config", "--set", "notifications.email.password:hunter2"],
            "--set takes KEY=VALUE, as in --set log.format=json".into(),
        ),
        (
            vec!["config", "--set", "notifications.email.port=hunter2"],
            "`notifications.email.port` in the command line must be a whole number, 0 to 65535".into(),
        ),
    ] {
        assert_eq!(run(&arguments, &[]), stopped(&sentence, 2), "{arguments:?}");
    }
}
