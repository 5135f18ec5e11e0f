//! The outcome of each failure of a mail server, by stage.

use clientele::delivery::channel::Outcome;
use clientele::enums::Reason;

use super::{SHORT, by_email, deferred, down, email, refused, sent, unusable};
use crate::harness::peers::{Mailing, SmtpPeer, Stage};

#[tokio::test]
async fn each_reply_is_classified_by_code_and_stage() {
    let cases: [(Mailing, Outcome); 14] = [
        (
            Mailing::Greet("421 4.3.2 too busy"),
            down(Reason::Deferred, "421 4.3.2 too busy"),
        ),
        (Mailing::Greet("450 later"), down(Reason::Deferred, "450 later")),
        (
            Mailing::Greet("554 5.7.1 go away"),
            unusable(Reason::Refused, "554 5.7.1 go away"),
        ),
        (
            Mailing::Answer(Stage::Sender, "421 4.7.0 closing"),
            down(Reason::Deferred, "421 4.7.0 closing"),
        ),
        (
            Mailing::Answer(Stage::Sender, "452 4.3.1 disk full"),
            down(Reason::Deferred, "452 4.3.1 disk full"),
        ),
        (
            Mailing::Answer(Stage::Sender, "553 5.1.8 sender unknown"),
            refused(Reason::Refused, "553 5.1.8 sender unknown"),
        ),
        (
            Mailing::Answer(Stage::Recipient, "451 4.7.1 greylisted"),
            deferred(Reason::Deferred, "451 4.7.1 greylisted"),
        ),
        (
            Mailing::Answer(Stage::Recipient, "421 4.7.0 closing"),
            down(Reason::Deferred, "421 4.7.0 closing"),
        ),
        (
            Mailing::Answer(Stage::Recipient, "550 5.1.1 no such mailbox"),
            refused(Reason::Refused, "550 5.1.1 no such mailbox"),
        ),
        (
            Mailing::Answer(Stage::Recipient, "535 5.7.8 log in first"),
            unusable(Reason::Credentials, "535 5.7.8 log in first"),
        ),
        (
            Mailing::Answer(Stage::Data, "451 4.3.0 not now"),
            deferred(Reason::Deferred, "451 4.3.0 not now"),
        ),
        (
            Mailing::Answer(Stage::Message, "451 4.3.0 not now"),
            deferred(Reason::Deferred, "451 4.3.0 not now"),
        ),
        (
            Mailing::Answer(Stage::Message, "554-5.7.1 looks\r\n554 5.7.1 like spam"),
            refused(Reason::Refused, "554 5.7.1 looks like spam"),
        ),
        (
            Mailing::Answer(Stage::Message, "nonsense"),
            down(Reason::Connection, "error Tag at: nonsense"),
        ),
    ];
    for (behaviour, outcome) in cases {
        let peer = SmtpPeer::start(behaviour.clone()).await;
        let channels = by_email(peer.settings());
        assert_eq!(email(&channels).await, outcome, "{behaviour:?}");
        assert_eq!(peer.messages(), [], "{behaviour:?}");

        peer.set(Mailing::Accept);
        assert_eq!(
            email(&channels).await,
            sent("2.0.0 Ok: queued as 17"),
            "after {behaviour:?}"
        );
    }
}

#[tokio::test]
async fn silent_server_is_a_timeout_at_every_stage() {
    for stage in [
        Stage::Greeting,
        Stage::Sender,
        Stage::Recipient,
        Stage::Data,
        Stage::Message,
    ] {
        let peer = SmtpPeer::start(Mailing::Hang(stage)).await;
        let channels = by_email(peer.settings()).with_timeout(SHORT);
        assert_eq!(
            email(&channels).await,
            down(Reason::Timeout, "no answer within 0.4 s"),
            "{stage:?}"
        );

        peer.set(Mailing::Accept);
        let channels = channels.with_timeout(SHORT * 50);
        assert_eq!(
            email(&channels).await,
            sent("2.0.0 Ok: queued as 17"),
            "after {stage:?}"
        );
        assert_eq!((peer.messages().len(), peer.connections()), (1, 2), "{stage:?}");
    }
}

#[tokio::test]
async fn disconnect_after_the_message_has_an_unknown_outcome() {
    for stored in [false, true] {
        let peer = SmtpPeer::start(Mailing::Drop { stored }).await;
        let channels = by_email(peer.settings());
        assert_eq!(email(&channels).await, down(Reason::Connection, "incomplete response"));
        assert_eq!(peer.messages().len(), usize::from(stored));

        peer.set(Mailing::Accept);
        assert_eq!(email(&channels).await, sent("2.0.0 Ok: queued as 17"));
        let ids: Vec<_> = peer
            .messages()
            .iter()
            .map(|message| message_id(&message.data))
            .collect();
        assert_eq!(ids, vec!["<0193a5c0-17@bank.test>"; 1 + usize::from(stored)]);
    }
}

fn message_id(data: &str) -> String {
    let line = data.lines().find_map(|line| line.strip_prefix("Message-ID: "));
    line.expect("there is one").to_owned()
}
