//! The issuer, the mail server, the SMS gateway and the ports.

use std::{net::TcpListener, process::Command};

use serde_json::json;

use super::{Examined, examine};
use crate::{
    harness::{
        peers::{
            Answering, Certificate, Collecting, CollectorPeer, GatewayPeer, Mailing, Security, SmtpOptions, SmtpPeer,
        },
        program::{Server, clientele, directory, text},
    },
    sign_in::{Key, issuer},
};

const SEND: &str = "See docs/notifications.md#send";

/// Runs the command with the settings of a mail server.
pub fn with_mail_server(peer: &SmtpPeer, environment: &[(&str, &str)]) -> Examined {
    let settings = peer.settings();
    let encryption = serde_json::to_value(settings.encryption).expect("a text");
    let ca_file = settings.ca_file.expect("a peer has one");
    let settings = [
        "transport=smtp".to_owned(),
        "host=localhost".to_owned(),
        format!("port={}", peer.address.port()),
        format!("encryption={}", encryption.as_str().expect("a text")),
        format!("ca_file={}", ca_file.display()),
        "from=service@bank.test".to_owned(),
    ]
    .map(|setting| format!("--set=notifications.email.{setting}"));
    let arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    examine(&arguments, environment)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_server_is_signed_in_at_and_gets_no_message() {
    let options = |security| SmtpOptions {
        security,
        credentials: Some(("ana", "0123")),
        ..SmtpOptions::default()
    };
    let user = ("CLIENTELE_NOTIFICATIONS__EMAIL__USERNAME", "ana");
    let password = "CLIENTELE_NOTIFICATIONS__EMAIL__PASSWORD";
    for security in [Security::Starttls, Security::Tls] {
        let peer = SmtpPeer::with(options(security), Mailing::Accept).await;
        let reached = "OK       email: the mail server accepts connections and the credentials.";
        with_mail_server(&peer, &[user, (password, "0123")]).says("email", &format!("{reached} {SEND}"));
        let refused = "PROBLEM  email: the provider doesn't accept the credentials (535 5.7.8 wrong credentials). \
            Check notifications.email.username and password.";
        with_mail_server(&peer, &[user, (password, "hunter2")]).says("email", &format!("{refused} {SEND}"));
        assert_eq!((peer.messages(), peer.connections()), (Vec::new(), 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_server_without_encryption_or_away_is_a_problem() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let starttls = [("CLIENTELE_NOTIFICATIONS__EMAIL__ENCRYPTION", "starttls")];
    let plain = with_mail_server(&peer, &[]);
    plain.says(
        "email",
        &format!("OK       email: the mail server accepts connections and the credentials. {SEND}"),
    );
    let port = peer.address.port().to_string();
    let arguments = |port: &str| {
        [
            "transport=smtp",
            "host=localhost",
            "from=service@bank.test",
            &format!("port={port}"),
        ]
        .map(|setting| format!("--set=notifications.email.{setting}"))
    };
    let examine_at = |port: &str| {
        let arguments = arguments(port);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        examine(&arguments, &starttls)
    };
    examine_at(&port).says(
        "email",
        &format!(
            "PROBLEM  email: no encrypted connection could be established (the mail server doesn't offer STARTTLS). \
             Check notifications.email.encryption and ca_file. {SEND}"
        ),
    );
    examine_at("1").says(
        "email",
        &format!(
            "PROBLEM  email: there is no connection to the provider (Connection refused (os error 111)). Check \
             notifications.email.host, port and encryption. {SEND}"
        ),
    );
}

fn with_gateway(url: &str, peer: Option<&GatewayPeer>) -> Examined {
    let mut settings = vec![
        "transport=http".to_owned(),
        format!("url={url}"),
        "from=+15550001111".to_owned(),
        "username=ana".to_owned(),
        "password=hunter2".to_owned(),
    ];
    let ca_file = peer.and_then(|peer| peer.settings().ca_file);
    settings.extend(ca_file.map(|file| format!("ca_file={}", file.display())));
    let settings: Vec<String> = settings
        .iter()
        .map(|setting| format!("--set=notifications.sms.{setting}"))
        .collect();
    let arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    examine(&arguments, &[])
}

/// Any answer shows that the gateway is reached: this request is none for a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_is_reached_without_credentials_and_message() {
    let reached = format!("OK       sms: the gateway's host answers; the credentials weren't tried. {SEND}");
    for peer in [
        GatewayPeer::start(Answering::status(404)).await,
        GatewayPeer::encrypted(Answering::status(401)).await,
    ] {
        with_gateway(&peer.settings().url, Some(&peer)).says("sms", &reached);
        let requests = peer.messages();
        assert_eq!(requests.len(), 1);
        assert_eq!((&*requests[0].line, &*requests[0].body), ("HEAD / HTTP/1.1", ""));
        assert_eq!(requests[0].headers.get("authorization"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_is_away_or_not_trusted_is_a_problem() {
    with_gateway("http://127.0.0.1:1/send", None).says(
        "sms",
        &format!(
            "PROBLEM  sms: there is no connection to the provider (Connection refused (os error 111)). Check \
             notifications.sms.url. {SEND}"
        ),
    );
    let peer = GatewayPeer::encrypted(Answering::Accept).await;
    let examined = with_gateway(&peer.settings().url, None);
    let line = examined.line("sms");
    assert!(
        line.starts_with("PROBLEM  sms: no encrypted connection could be established (")
            && line.ends_with(&format!("). Check notifications.sms.ca_file. {SEND}")),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallbacks_are_checked_as_well() {
    let (first, second) = (
        GatewayPeer::start(Answering::status(404)).await,
        GatewayPeer::start(Answering::status(404)).await,
    );
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let port = mail.address.port().to_string();
    let (first, second) = (first.settings().url, second.settings().url);
    let examine_with = |url: &str, port: &str| {
        let settings = [
            "sms.transport=http".to_owned(),
            "sms.from=bank".to_owned(),
            format!("sms.url={first}"),
            format!("sms.fallback.url={url}"),
            "email.transport=smtp".to_owned(),
            "email.from=service@bank.test".to_owned(),
            "email.host=127.0.0.1".to_owned(),
            "email.port=1".to_owned(),
            "email.fallback.host=127.0.0.1".to_owned(),
            "email.fallback.encryption=none".to_owned(),
            format!("email.fallback.port={port}"),
        ];
        let settings = settings.map(|setting| format!("--set=notifications.{setting}"));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        examine(&settings, &[])
    };
    let examined = examine_with(&second, &port);
    let reached = "the gateway's host answers; the credentials weren't tried.";
    examined.says("sms", &format!("OK       sms: {reached} {SEND}"));
    examined.says("sms_fallback", &format!("OK       sms_fallback: {reached} {SEND}"));
    examined.says(
        "email_fallback",
        &format!("OK       email_fallback: the mail server accepts connections and the credentials. {SEND}"),
    );
    let refused = "there is no connection to the provider (Connection refused (os error 111))";
    let examined = examine_with("http://127.0.0.1:1/", "2");
    examined.says(
        "sms_fallback",
        &format!("PROBLEM  sms_fallback: {refused}. Check notifications.sms.fallback.url. {SEND}"),
    );
    examined.says(
        "email_fallback",
        &format!(
            "PROBLEM  email_fallback: {refused}. Check notifications.email.fallback.host, port and encryption. {SEND}"
        ),
    );
}

/// Each provider is built by itself, so that the others are still checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_file_of_a_provider_is_reported_once() {
    let first = GatewayPeer::start(Answering::status(404)).await;
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let settings = [
        "sms.transport=http".to_owned(),
        "sms.from=bank".to_owned(),
        format!("sms.url={}", first.settings().url),
        "sms.fallback.url=https://other.test/".to_owned(),
        "email.transport=smtp".to_owned(),
        "email.from=service@bank.test".to_owned(),
        "email.host=127.0.0.1".to_owned(),
        "email.port=1".to_owned(),
        "email.fallback.host=127.0.0.1".to_owned(),
        "email.fallback.encryption=none".to_owned(),
        format!("email.fallback.port={}", mail.address.port()),
    ]
    .map(|setting| format!("--set=notifications.{setting}"));
    let examine_with = |file: &str| {
        let file = format!("--set=notifications.{file}=/nowhere/ca.pem");
        let settings: Vec<&str> = settings.iter().chain([&file]).map(String::as_str).collect();
        examine(&settings, &[])
    };
    let reached = "the gateway's host answers; the credentials weren't tried.";
    let accepts = "the mail server accepts connections and the credentials.";
    let unread = "can't read /nowhere/ca.pem: No such file or directory (os error 2). Correct the setting.";
    let examined = examine_with("sms.fallback.ca_file");
    examined.says("sms", &format!("OK       sms: {reached} {SEND}"));
    examined.says(
        "sms_fallback",
        &format!("PROBLEM  sms_fallback: notifications.sms.fallback.ca_file: {unread} {SEND}"),
    );
    examined.says("email_fallback", &format!("OK       email_fallback: {accepts} {SEND}"));
    assert_eq!(
        examined.output.matches("/nowhere/ca.pem").count(),
        1,
        "{}",
        examined.output
    );
    let examined = examine_with("email.ca_file");
    examined.says(
        "email",
        &format!("PROBLEM  email: notifications.email.ca_file: {unread} {SEND}"),
    );
    examined.says("email_fallback", &format!("OK       email_fallback: {accepts} {SEND}"));
    assert_eq!(
        examined.output.matches("/nowhere/ca.pem").count(),
        1,
        "{}",
        examined.output
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_must_publish_keys_for_the_algorithms() {
    let (url, published) = issuer().await;
    let examine_with = |url: &str, algorithms: &str| {
        examine(
            &[],
            &[
                ("CLIENTELE_AUTHENTICATION__JWT__ISSUER", "https://issuer.test"),
                ("CLIENTELE_AUTHENTICATION__JWT__AUDIENCE", "clientele"),
                ("CLIENTELE_AUTHENTICATION__JWT__JWKS_URL", url),
                ("CLIENTELE_AUTHENTICATION__JWT__ALGORITHMS", algorithms),
            ],
        )
    };
    let link = "See docs/access.md#tokens-of-an-issuer";
    let unreachable = |reason: &str| {
        format!(
            "PROBLEM  issuer: the issuer's keys can't be fetched: {reason}. Check authentication.jwt.jwks_url, the \
             issuer, and proxies and firewalls in between. {link}"
        )
    };
    let failing = examine_with(&url, r#"["ES256"]"#);
    failing.says("issuer", &unreachable("it answers with the status 500"));
    let refusing = examine_with("http://127.0.0.1:1/keys", r#"["ES256"]"#);
    refusing.says("issuer", &unreachable("Connection refused (os error 111)"));
    *published.lock().expect("no panic") = Some(json!({ "keys": [Key::new("a").public()] }));
    let one = format!("OK       issuer: the issuer publishes 1 key that can verify tokens. {link}");
    examine_with(&url, r#"["ES256"]"#).says("issuer", &one);
    let none = format!(
        "PROBLEM  issuer: the issuer publishes no key for the accepted algorithms. Add the algorithm of its keys to \
         authentication.jwt.algorithms, or correct authentication.jwt.jwks_url. {link}"
    );
    examine_with(&url, r#"["RS256"]"#).says("issuer", &none);
    *published.lock().expect("no panic") = Some(json!({ "keys": [Key::new("a").public(), Key::new("b").public()] }));
    let two = format!("OK       issuer: the issuer publishes 2 keys that can verify tokens. {link}");
    examine_with(&url, r#"["ES256"]"#).says("issuer", &two);
}

#[test]
fn configured_key_of_an_issuer_needs_no_connection() {
    let examined = examine(
        &[],
        &[
            ("CLIENTELE_AUTHENTICATION__JWT__ISSUER", "https://issuer.test"),
            ("CLIENTELE_AUTHENTICATION__JWT__AUDIENCE", "clientele"),
            ("CLIENTELE_AUTHENTICATION__JWT__ALGORITHMS", r#"["HS256"]"#),
            ("CLIENTELE_AUTHENTICATION__JWT__KEY", "0123456789abcdef0123456789abcdef"),
        ],
    );
    examined.says(
        "issuer",
        "OK       issuer: authentication.jwt.key can verify tokens. See docs/access.md#tokens-of-an-issuer",
    );
}

/// Runs the command for a port; the last --listen wins.
fn examine_port(port: &str, arguments: &[&str]) -> Examined {
    let directory = directory();
    let mut all = vec!["doctor", "--listen", port];
    all.extend(arguments);
    let output = clientele(&directory, &all, &[]).output().expect("the program starts");
    Examined {
        output: text(output.stdout),
        code: output.status.code(),
    }
}

fn served(address: &str) -> String {
    format!(
        "a clientele listens on {address} already. If it isn't the server of this database, choose another address."
    )
}

#[test]
fn port_must_be_free_or_served_by_this_program() {
    let start = "See docs/operations.md#start";
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    // It closes each connection without an answer.
    std::thread::spawn(move || other.incoming().for_each(drop));
    let to_do = "Stop the other program, or choose another address.";
    let used = format!(": can't listen on {address}: another program uses this port. {to_do} {start}");
    examine_port(&address, &[]).says("listen", &format!("PROBLEM  listen{used}"));
    let worker = format!("--set=notifications.worker_listen={address}");
    examine_port("127.0.0.1:0", &[&worker]).says("worker_listen", &format!("PROBLEM  worker_listen{used}"));
    let server = Server::start(&[]);
    let address = server.address.trim_start_matches("http://");
    let served = format!("WARNING  listen: {} {start}", served(address));
    examine_port(address, &[]).says("listen", &served);
    let unknown = "PROBLEM  listen: can't listen on no-such-host.invalid:80: the host name no-such-host.invalid \
        can't be resolved: check it, and the name service.";
    examine_port("no-such-host.invalid:80", &[]).says("listen", &format!("{unknown} {to_do} {start}"));
}

#[test]
fn own_server_with_tls_is_recognised() {
    let directory = directory();
    let certificate = Certificate::new();
    let (file, key) = (directory.path().join("server.pem"), directory.path().join("server.key"));
    std::fs::write(&file, certificate.pem()).expect("written");
    std::fs::write(&key, certificate.key_pem()).expect("written");
    Command::new("chmod").arg("600").arg(&key).status().expect("chmod");
    let tls = [("certificate", &file), ("key", &key)];
    let tls = tls.map(|(name, file)| format!("--set=http.{name}_file={}", file.display()));
    let server = Server::start_with(&["--listen", "127.0.0.1:0", &tls[0], &tls[1]], &[]);
    let address = server.address.trim_start_matches("https://");
    let served = format!("WARNING  listen: {} See docs/operations.md#start", served(address));
    examine_port(address, &[&tls[0], &tls[1]]).says("listen", &served);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_gets_empty_exports_with_the_headers() {
    let see = "See docs/telemetry.md#settings";
    let to_do = "Check telemetry.otlp_endpoint (the port for OTLP by HTTP, mostly 4318), telemetry.otlp_headers and \
        the collector.";
    let doesnt = "PROBLEM  telemetry: the collector doesn't accept exports";
    let examine_at = |endpoint: &str| {
        let endpoint = format!("telemetry.otlp_endpoint={endpoint}");
        examine(
            &["--set", &endpoint, "--set", "telemetry.otlp_headers=api-key=s3cret"],
            &[],
        )
    };
    let collector = CollectorPeer::start(Collecting::Accept).await;
    examine_at(&collector.endpoint()).says(
        "telemetry",
        &format!("OK       telemetry: the collector accepts exports. {see}"),
    );
    let exports = collector.exports();
    let paths: Vec<&str> = exports.iter().map(|export| &*export.path).collect();
    assert_eq!(paths, ["/v1/traces", "/v1/logs"]);
    assert!(
        exports
            .iter()
            .all(|export| export.headers["api-key"] == "s3cret" && export.body.is_empty())
    );
    collector.once([Collecting::Accept, Collecting::Answer(404)]);
    examine_at(&collector.endpoint()).says(
        "telemetry",
        &format!("{doesnt}: for logs, it answers with the status 404. {to_do} {see}"),
    );
    examine_at("http://127.0.0.1:1").says(
        "telemetry",
        &format!("{doesnt}: for traces, Connection refused (os error 111). {to_do} {see}"),
    );
}
