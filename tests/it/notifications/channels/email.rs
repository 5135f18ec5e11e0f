//! E-mail: envelopes, credentials and kept connections.

use clientele::delivery::settings::{EmailSettings, Encryption};
use clientele::enums::Reason;

use super::{by_email, down, email, email_to, refused, sent, unusable};
use crate::harness::peers::{Mailed, Mailing, SmtpOptions, SmtpPeer, Stage};

const ACCEPTED: &str = "2.0.0 Ok: queued as 17";

#[tokio::test]
async fn accepted_message_is_sent_and_named_by_the_reply() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());

    assert_eq!(email(&channels).await, sent(ACCEPTED));

    let Mailed {
        from,
        to,
        data: _,
        encrypted,
        user,
    } = peer.message(0).await;
    assert_eq!(
        (from.as_str(), to),
        ("service@bank.test", vec!["ines@example.test".to_owned()])
    );
    assert_eq!((encrypted, user), (false, None));
}

#[tokio::test]
async fn wrong_credentials_are_a_channel_fault() {
    for login_only in [false, true] {
        let options = SmtpOptions {
            credentials: Some(("ana", "hunter2")),
            login_only,
            ..SmtpOptions::default()
        };
        let peer = SmtpPeer::with(options, Mailing::Accept).await;
        assert_eq!(email(&by_email(peer.settings())).await, sent(ACCEPTED));
        assert_eq!(peer.message(0).await.user.as_deref(), Some("ana"));

        let mut wrong = peer.settings();
        wrong.username = "eve".into();
        assert_eq!(
            email(&by_email(wrong)).await,
            unusable(Reason::Credentials, "535 5.7.8 wrong credentials")
        );
        let mut none = peer.settings();
        none.username.clear();
        assert_eq!(
            email(&by_email(none)).await,
            unusable(Reason::Credentials, "530 5.7.0 authentication required")
        );
        assert_eq!(peer.messages().len(), 1);
    }
}

#[tokio::test]
async fn server_without_authentication_is_a_channel_fault() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let mut settings = peer.settings();
    settings.username = "ana".into();
    assert_eq!(
        email(&by_email(settings)).await,
        unusable(Reason::Credentials, "No compatible authentication mechanism was found")
    );
}

#[tokio::test]
async fn messages_share_a_connection_even_after_a_refusal() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    for _ in 0..3 {
        assert_eq!(email(&channels).await, sent(ACCEPTED));
    }
    peer.once([
        Mailing::Answer(Stage::Recipient, "550 5.1.1 no such mailbox"),
        Mailing::Answer(Stage::Message, "554 5.7.1 looks like spam"),
    ]);
    assert_eq!(
        email(&channels).await,
        refused(Reason::Refused, "550 5.1.1 no such mailbox")
    );
    assert_eq!(
        email(&channels).await,
        refused(Reason::Refused, "554 5.7.1 looks like spam")
    );
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    assert_eq!((peer.messages().len(), peer.connections()), (4, 1));
}

#[tokio::test]
async fn concurrent_messages_keep_a_bounded_number_of_connections() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    for _ in 0..2 {
        let all = futures_util::future::join_all((0..8).map(|_| email(&channels))).await;
        assert_eq!(all, vec![sent(ACCEPTED); 8]);
    }
    assert_eq!((peer.messages().len(), peer.connections()), (16, 8));
}

#[tokio::test]
async fn closed_kept_connection_loses_no_message() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    peer.hang_up();
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    assert_eq!((peer.messages().len(), peer.connections()), (2, 2));
}

#[tokio::test]
async fn kept_connection_is_replaced_after_its_share() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    peer.once([Mailing::Answer(Stage::Sender, "421 4.7.0 enough for one connection")]);
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    assert_eq!((peer.messages().len(), peer.connections()), (2, 2));
}

#[tokio::test]
async fn abandoned_attempt_does_not_share_its_connection() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    assert_eq!(email(&channels).await, sent(ACCEPTED));
    peer.set(Mailing::Hang(Stage::Message));
    let given_up = tokio::time::timeout(super::SHORT, email(&channels)).await;
    assert!(given_up.is_err());
    peer.set(Mailing::Answer(Stage::Recipient, "550 5.1.1 no such mailbox"));
    assert_eq!(
        email(&channels).await,
        refused(Reason::Refused, "550 5.1.1 no such mailbox")
    );
    assert_eq!((peer.messages().len(), peer.connections()), (1, 2));
}

#[tokio::test]
async fn unexpected_reply_never_counts_as_acceptance() {
    let peer = SmtpPeer::start(Mailing::Answer(Stage::Data, "250 2.0.0 Ok")).await;
    assert_eq!(
        email(&by_email(peer.settings())).await,
        down(Reason::ProviderError, "an answer out of turn: 250")
    );
    assert_eq!(peer.messages(), []);
}

#[tokio::test]
async fn not_exactly_one_address_is_refused_before_sending() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    for recipient in [
        "",
        "ines",
        "@example.test",
        "ines@",
        "ines@example.test, eve@evil.test",
        "ines@example.test,eve@evil.test",
        "ines@example.test;eve@evil.test",
        "Ines <ines@example.test>",
        "<ines@example.test>",
        "ines@example.test>",
        "ines@example.test> RCPT TO:<eve@evil.test",
        "ines@example.test\r\nBcc: eve@evil.test",
        "ines@example.test\nRCPT TO:<eve@evil.test>",
        "ines\r\n@example.test",
        "\"ines\r\n\"@example.test",
        "ines@example.test\r\n",
        "ines@example.test\0",
        " ines@example.test",
        "ines@example.test ",
        "ines@exam ple.test",
        "ines\u{85}@example.test",
        "to:ines@example.test, eve@evil.test;",
    ] {
        assert_eq!(
            email_to(&channels, recipient).await,
            refused(Reason::InvalidRecipient, "this is not an e-mail address"),
            "{recipient:?}"
        );
    }
    assert_eq!((peer.connections(), peer.messages()), (0, Vec::new()));
}

#[tokio::test]
async fn non_ascii_address_requires_a_server_that_accepts_it() {
    let options = SmtpOptions {
        utf8: true,
        ..SmtpOptions::default()
    };
    let able = SmtpPeer::with(options, Mailing::Accept).await;
    assert_eq!(
        email_to(&by_email(able.settings()), "inés@example.test").await,
        sent(ACCEPTED)
    );
    assert_eq!(able.message(0).await.to, ["inés@example.test"]);

    let unable = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(unable.settings());
    assert_eq!(
        email_to(&channels, "inés@example.test").await,
        refused(Reason::InvalidRecipient, "the mail server takes ASCII addresses only")
    );
    assert_eq!(unable.messages(), []);
}

#[tokio::test]
async fn internationalised_domain_is_sent_in_its_ascii_form() {
    let peer = SmtpPeer::start(Mailing::Accept).await;
    let channels = by_email(peer.settings());
    assert_eq!(email_to(&channels, "ines@bücher.test").await, sent(ACCEPTED));
    assert_eq!(peer.message(0).await.to, ["ines@xn--bcher-kva.test"]);
}

#[tokio::test]
async fn closed_port_is_a_connection_failure() {
    let settings = EmailSettings {
        port: Some(1),
        encryption: Encryption::None,
        ..SmtpPeer::start(Mailing::Accept).await.settings()
    };
    assert_eq!(
        email(&by_email(settings)).await,
        down(Reason::Connection, "Connection refused (os error 111)")
    );
}
