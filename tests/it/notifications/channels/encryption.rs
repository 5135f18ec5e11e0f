//! Required encryption, and trusted certificates.

use std::io::Write;

use clientele::delivery::channel::{Channels, Outcome};
use clientele::delivery::settings::{EmailTransport, Encryption, NotificationSettings};
use clientele::enums::Reason;

use super::{by_email, by_sms, down, email, sent, sms_to};
use crate::harness::peers::{Answering, GatewayPeer, Mailing, Security, SmtpOptions, SmtpPeer};

async fn peer(security: Security) -> SmtpPeer {
    let options = SmtpOptions {
        security,
        credentials: Some(("ana", "hunter2")),
        ..SmtpOptions::default()
    };
    SmtpPeer::with(options, Mailing::Accept).await
}

#[tokio::test]
async fn starttls_and_implicit_tls_encrypt_everything() {
    for security in [Security::Starttls, Security::Tls] {
        let peer = peer(security).await;
        let channels = by_email(peer.settings());
        for _ in 0..2 {
            assert_eq!(email(&channels).await, sent("2.0.0 Ok: queued as 17"), "{security:?}");
        }
        for message in peer.messages() {
            assert_eq!((message.encrypted, message.user.as_deref()), (true, Some("ana")));
        }
        assert_eq!((peer.messages().len(), peer.connections()), (2, 1));
    }
}

#[tokio::test]
async fn server_without_starttls_gets_no_message_or_password() {
    let peer = peer(Security::None).await;
    let mut settings = peer.settings();
    settings.encryption = Encryption::Starttls;
    assert_eq!(
        email(&by_email(settings)).await,
        down(Reason::Tls, "the mail server doesn't offer STARTTLS")
    );
    assert_eq!(peer.messages(), []);
}

#[tokio::test]
async fn unknown_or_mismatched_certificate_is_refused() {
    for security in [Security::Starttls, Security::Tls] {
        let peer = peer(security).await;
        let mut unknown = peer.settings();
        // Another authority's.
        let other = SmtpPeer::start(Mailing::Accept).await;
        unknown.ca_file = other.settings().ca_file;
        let outcome = email(&by_email(unknown)).await;
        assert_eq!(
            outcome,
            down(Reason::Tls, "invalid peer certificate: UnknownIssuer"),
            "{security:?}"
        );

        let mut misnamed = peer.settings();
        misnamed.host = "127.0.0.1".into();
        let outcome = email(&by_email(misnamed)).await;
        let Outcome::Deferred { failure, .. } = &outcome else {
            panic!("{outcome:?}");
        };
        let detail = failure.detail.as_deref().unwrap_or_default();
        assert!(
            failure.reason == Reason::Tls && detail.contains("not valid for name \"127.0.0.1\""),
            "{outcome:?}"
        );
        assert_eq!(peer.messages(), []);
    }
}

#[tokio::test]
async fn server_without_expected_tls_is_an_encryption_failure() {
    let peer = peer(Security::None).await;
    let mut settings = peer.settings();
    settings.encryption = Encryption::Tls;
    assert_eq!(
        email(&by_email(settings)).await,
        down(Reason::Tls, "received corrupt message of type InvalidContentType")
    );
}

#[tokio::test]
async fn gateway_is_trusted_by_its_certificate() {
    let peer = GatewayPeer::encrypted(Answering::Accept).await;
    assert_eq!(sms_to(&by_sms(peer.settings()), "555 123 4567").await, sent("SM17"));
    let mut unknown = peer.settings();
    unknown.ca_file = None;
    assert_eq!(
        sms_to(&by_sms(unknown), "555 123 4567").await,
        down(Reason::Tls, "invalid peer certificate: UnknownIssuer")
    );
    assert_eq!(peer.messages().len(), 1);
}

#[tokio::test]
async fn certificate_file_must_not_be_empty() {
    let mut empty = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = empty.path().to_owned();
    let refusal = |path: &std::path::Path| {
        let mut settings = NotificationSettings::default();
        settings.email.transport = EmailTransport::Smtp;
        settings.email.host = "localhost".into();
        settings.email.from = "service@bank.test".into();
        settings.email.ca_file = Some(path.to_owned());
        let error = Channels::new(&settings).expect_err("refused").to_string();
        error.replace(&path.display().to_string(), "FILE")
    };
    let key = "notifications.email.ca_file";
    assert_eq!(refusal(&path), format!("{key}: FILE holds no certificate in PEM"));
    empty
        .write_all(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    assert_eq!(
        refusal(&path),
        format!("{key}: FILE holds a certificate that can't be used")
    );
    empty.write_all(b"-----BEGIN CERTIFICATE-----\n!").expect("written");
    assert_eq!(refusal(&path), format!("{key}: FILE is not PEM"));
    assert_eq!(
        refusal("/nowhere/ca.pem".as_ref()),
        format!("{key}: can't read FILE: No such file or directory (os error 2)")
    );
}
