//! SMS over the gateway: the form, and the outcome of each answer.

use std::time::Duration;

use clientele::enums::{Channel, Provider, Reason};
use clientele::{
    delivery::channel::{Outcome, Outgoing},
    notify::Content,
    secret::Secret,
};

use super::{SHORT, by_sms, deferred, down, failure, now, outgoing, refused, sent, sms_to, unusable};
use crate::harness::peers::{Answering, GatewayPeer};

const NUMBER: &str = "(555) 123-4567";

#[tokio::test]
async fn message_is_a_form_in_the_shape_of_twilio() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    let message = Outgoing {
        content: Content {
            subject: "never shown".into(),
            text: "Grüße & bye\n+1=2".into(),
            html: None,
        },
        ..outgoing(NUMBER)
    };

    assert_eq!(
        channels.send(Channel::Sms, Provider::Primary, &message, now()).await,
        sent("SM17")
    );

    let submitted = peer.message(0).await;
    assert_eq!(submitted.line, "POST /send HTTP/1.1");
    assert_eq!(
        submitted.body,
        "To=%2B15551234567&From=%2B15550001111&Body=Gr%C3%BC%C3%9Fe+%26+bye%0A%2B1%3D2"
    );
    assert_eq!(submitted.form()[2], ("Body".into(), "Grüße & bye\n+1=2".into()));
    let header = |name: &str| submitted.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header("authorization"), Some("Basic YW5hOmh1bnRlcjI="));
    assert_eq!(header("idempotency-key"), Some("0193a5c0-17"));
    assert_eq!(header("user-agent"), Some("clientele/0.1.0"));
}

#[tokio::test]
async fn gateway_gets_the_url_for_its_receipts() {
    let (first, second) = (
        GatewayPeer::start(Answering::Accept).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let mut settings = first.settings();
    settings.status_callback_url = Secret::new("https://sms:hunter2@bank.test/api/notifications/receipts?a=b&c");
    settings.fallback.url = second.settings().url;
    let channels = by_sms(settings.clone());
    for provider in [Provider::Primary, Provider::Fallback] {
        let outcome = channels.send(Channel::Sms, provider, &outgoing(NUMBER), now()).await;
        assert_eq!(outcome, sent("SM17"));
    }
    let form = first.message(0).await.form();
    let url = "https://sms:hunter2@bank.test/api/notifications/receipts?a=b&c";
    assert_eq!(form[3..], [("StatusCallback".into(), url.into())]);
    // The fallback has its own.
    assert_eq!(second.message(0).await.form().len(), 3);
    settings.fallback.status_callback_url = Secret::new("https://bank.test/other");
    let channels = by_sms(settings);
    channels
        .send(Channel::Sms, Provider::Fallback, &outgoing(NUMBER), now())
        .await;
    let form = second.message(1).await.form();
    assert_eq!(form[3..], [("StatusCallback".into(), "https://bank.test/other".into())]);
}

#[tokio::test]
async fn gateway_without_credentials_gets_none() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let mut settings = peer.settings();
    settings.username.clear();
    assert_eq!(sms_to(&by_sms(settings), NUMBER).await, sent("SM17"));
    assert_eq!(peer.message(0).await.headers.get("authorization"), None);
}

#[tokio::test]
async fn messages_share_a_connection() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    for _ in 0..3 {
        assert_eq!(sms_to(&channels, NUMBER).await, sent("SM17"));
    }
    assert_eq!((peer.messages().len(), peer.connections()), (3, 1));
}

#[tokio::test]
async fn each_status_is_classified() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    let accepted = Outcome::Sent { provider_id: None };
    for (status, outcome) in [
        (200, accepted.clone()),
        (202, accepted),
        (302, unusable(Reason::Refused, "HTTP 302")),
        (307, unusable(Reason::Refused, "HTTP 307")),
        (400, refused(Reason::Refused, "HTTP 400")),
        (401, unusable(Reason::Credentials, "HTTP 401")),
        (403, unusable(Reason::Credentials, "HTTP 403")),
        (404, refused(Reason::Refused, "HTTP 404")),
        (407, unusable(Reason::Credentials, "HTTP 407")),
        (408, deferred(Reason::Deferred, "HTTP 408")),
        (422, refused(Reason::Refused, "HTTP 422")),
        (429, down(Reason::Deferred, "HTTP 429")),
        (500, down(Reason::ProviderError, "HTTP 500")),
        (503, down(Reason::ProviderError, "HTTP 503")),
    ] {
        let before = peer.messages().len();
        peer.set(Answering::Answer {
            status,
            headers: vec![("location", format!("http://{}/elsewhere", peer.address))],
            body: String::new(),
        });
        assert_eq!(sms_to(&channels, NUMBER).await, outcome, "{status}");
        assert_eq!(
            peer.messages().len(),
            before + 1,
            "{status} must not be followed or repeated"
        );
    }
}

#[tokio::test]
async fn gateway_reason_and_retry_time_are_kept() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    let answer = |status, headers, body: &str| Answering::Answer {
        status,
        headers,
        body: body.into(),
    };
    let twilios = r#"{"code": 21211, "message": "The 'To' number is\r\nnot valid", "status": 400}"#;
    peer.set(answer(400, vec![], twilios));
    assert_eq!(
        sms_to(&channels, NUMBER).await,
        refused(Reason::Refused, "HTTP 400, code 21211: The 'To' number is  not valid")
    );
    for (wait, seconds) in [("120", 120), ("Sun, 22 Nov 2026 12:01:30 GMT", 90), ("999999", 86_400)] {
        for (status, reason) in [(429, Reason::Deferred), (503, Reason::ProviderError)] {
            peer.set(answer(status, vec![("retry-after", wait.into())], "<html>"));
            let outcome = Outcome::Deferred {
                failure: failure(reason, &format!("HTTP {status}")),
                after: Some(Duration::from_secs(seconds)),
                provider_down: true,
            };
            assert_eq!(sms_to(&channels, NUMBER).await, outcome, "{status} {wait}");
        }
    }
    // An answer of any size, and of any form, is an answer.
    let accepted = Outcome::Sent { provider_id: None };
    peer.set(Answering::status(204));
    assert_eq!(sms_to(&channels, NUMBER).await, accepted);
    for body in ["x".repeat(1 << 20), r#"{"sid": 17}"#.into(), "[]".into(), "{".into()] {
        peer.set(answer(201, vec![], &body));
        assert_eq!(sms_to(&channels, NUMBER).await, accepted);
    }
}

#[tokio::test]
async fn hanging_or_disconnecting_gateway_is_retried() {
    let peer = GatewayPeer::start(Answering::Hang).await;
    let channels = by_sms(peer.settings()).with_timeout(SHORT);
    assert_eq!(
        sms_to(&channels, NUMBER).await,
        down(Reason::Timeout, "operation timed out")
    );
    peer.set(Answering::Accept);
    peer.once([Answering::Drop]);
    assert_eq!(
        sms_to(&channels, NUMBER).await,
        down(Reason::Connection, "connection closed before message completed")
    );
    assert_eq!(sms_to(&channels, NUMBER).await, sent("SM17"));
    let mut settings = peer.settings();
    settings.url = "http://127.0.0.1:1/send".into();
    assert_eq!(
        sms_to(&by_sms(settings), NUMBER).await,
        down(Reason::Connection, "Connection refused (os error 111)")
    );
}

#[tokio::test]
async fn text_has_at_most_1600_characters() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    for (length, outcome) in [
        (1_600, sent("SM17")),
        (1_601, refused(Reason::TooLong, "1601 characters, of at most 1600")),
    ] {
        let mut message = outgoing(NUMBER);
        message.content.text = "ü".repeat(length);
        assert_eq!(
            channels.send(Channel::Sms, Provider::Primary, &message, now()).await,
            outcome
        );
    }
    assert_eq!(peer.messages().len(), 1);
}

#[tokio::test]
async fn invalid_number_is_refused_before_sending() {
    let peer = GatewayPeer::start(Answering::Accept).await;
    let channels = by_sms(peer.settings());
    for recipient in [
        "",
        "555",
        "ines@example.test",
        "+1 555 123 4567\r\nX: y",
        "+999 123 4567",
    ] {
        assert_eq!(
            sms_to(&channels, recipient).await,
            refused(Reason::InvalidRecipient, "this is not a phone number"),
            "{recipient:?}"
        );
    }
    let mut anywhere = peer.settings();
    anywhere.default_region.clear();
    let anywhere = by_sms(anywhere);
    assert_eq!(
        sms_to(&anywhere, NUMBER).await,
        refused(
            Reason::InvalidRecipient,
            "this is not a phone number with + and a country code, and notifications.sms.default_region is empty"
        )
    );
    assert_eq!(peer.messages(), []);
    assert_eq!(sms_to(&anywhere, "+1 555 123 4567").await, sent("SM17"));
}
