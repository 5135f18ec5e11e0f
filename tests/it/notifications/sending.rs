//! Delivery of messages: sent, retried or failed, with the same text at every attempt.

use chrono::TimeDelta;
use clientele::{delivery::NotificationSettings, secret::Secret};
use serde_json::{Value, json};

use super::{
    manual_worker::{Hand, settings, sms_settings},
    messages, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Answering, GatewayPeer, Mailing, SmtpOptions, SmtpPeer, Stage},
    with,
};

fn answering(status: u16, headers: &[(&'static str, &str)], body: Value) -> Answering {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    Answering::Answer {
        status,
        headers,
        body: body.to_string(),
    }
}

on_both!(
    message_is_sent_and_recorded,
    transient_failure_is_retried_with_growing_delays,
    message_fails_after_the_last_attempt,
    too_old_message_fails,
    permanent_failure_is_not_retried,
    text_message_goes_to_the_full_number,
    retry_time_of_the_gateway_is_used,
    every_attempt_sends_the_same_text,
    unreadable_message_fails,
    text_of_a_later_version_waits_for_a_newer_server,
    waiting_for_a_channel_uses_no_attempts,
    redirect_of_the_gateway_pauses_the_channel,
);

async fn message_is_sent_and_recorded(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!((worker.step().await, worker.step().await), (1, 0));
    let sent = mail.message(0).await;
    assert_eq!(sent.to, ["ana@example.test"]);
    assert!(sent.data.contains("\r\nSubject: Welcome\r\n"), "{}", sent.data);
    assert!(sent.data.trim_end().ends_with("\r\n\r\nDear Ana Cruz"), "{}", sent.data);
    let message = &messages(server).await[0];
    assert!(
        sent.data
            .contains(&format!("Message-ID: <{}@bank.test>\r\n", message.encoded_key)),
        "{}",
        sent.data
    );
    assert_eq!(
        (message.state.as_str(), message.attempts, message.sent_at),
        ("SENT", 1, Some(worker.now()))
    );
    assert_eq!(
        (message.due_at, &message.lease, &message.reason, message.failed_at),
        (None, &None, &None, None)
    );
    assert!(message.provider_id.is_some());
    assert_eq!(message.provider.as_deref(), Some("PRIMARY"));
}

async fn transient_failure_is_retried_with_growing_delays(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Answer(Stage::Recipient, "451 4.7.1 greylisted")).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    for (attempt, bound) in [(1, 30), (2, 60), (3, 120), (4, 240)] {
        assert_eq!(worker.step().await, 1);
        let message = &messages(server).await[0];
        assert_eq!(
            (message.state.as_str(), message.attempts, message.reason.as_deref()),
            ("QUEUED", attempt, Some("DEFERRED"))
        );
        assert_eq!(message.detail.as_deref(), Some("451 4.7.1 greylisted"));
        let wait = message.due_at.expect("it is tried again") - worker.now();
        assert!(
            wait >= TimeDelta::zero() && wait <= TimeDelta::seconds(bound),
            "{attempt}: {wait}"
        );
        worker.wait(bound);
    }
    mail.set(Mailing::Accept);
    assert_eq!(worker.step().await, 1);
    let message = &messages(server).await[0];
    assert_eq!(
        (
            message.state.as_str(),
            message.attempts,
            &message.reason,
            &message.detail
        ),
        ("SENT", 5, &None, &None)
    );
}

async fn message_fails_after_the_last_attempt(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Answer(Stage::Message, "451 later")).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            attempts: 3,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    for _ in 0..3 {
        assert_eq!(worker.step().await, 1);
        worker.wait(3_600);
    }
    assert_eq!(worker.step().await, 0);
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.attempts, message.reason.as_deref()),
        ("FAILED", 3, Some("DEFERRED"))
    );
    assert_eq!(message.failed_at, Some(worker.now() - TimeDelta::hours(1)));
}

async fn too_old_message_fails(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Answer(Stage::Message, "451 later")).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            max_age_hours: 1,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    assert_eq!(messages(server).await[0].state, "QUEUED");
    worker.wait(3_600);
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!((message.state.as_str(), message.attempts), ("FAILED", 2));
}

async fn permanent_failure_is_not_retried(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Answer(Stage::Recipient, "550 5.1.1 no such mailbox")).await;
    let gateway = GatewayPeer::start(answering(
        400,
        &[],
        json!({ "code": 21211, "message": "Invalid 'To' Phone Number" }),
    ))
    .await;
    let both = NotificationSettings {
        sms: gateway.settings(),
        ..settings(&mail)
    };
    let mut worker = Hand::new(server, both);
    template(server, "hello", json!({})).await;
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    store_key(
        server,
        json!({ "client": with(reachable(), json!({ "emailAddress": null, "mobilePhone1": "call me" })) }),
    )
    .await;
    worker.finish().await;
    let failed: Vec<String> = messages(server)
        .await
        .into_iter()
        .map(|message| {
            assert_eq!(
                (message.state.as_str(), message.attempts, message.due_at),
                ("FAILED", 1, None)
            );
            format!(
                "{} {} {}",
                message.channel,
                message.reason.unwrap_or_default(),
                message.detail.unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        failed,
        [
            "EMAIL REFUSED 550 5.1.1 no such mailbox",
            "SMS REFUSED HTTP 400, code 21211: Invalid 'To' Phone Number",
            "SMS INVALID_RECIPIENT this is not a phone number",
        ]
    );
}

async fn text_message_goes_to_the_full_number(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    let long = json!({ "language": "ENGLISH", "text": "{CLIENT_FIRST_NAMES}".repeat(7) });
    template(server, "text", json!({ "channel": "SMS" })).await;
    template(server, "long", json!({ "channel": "SMS", "variants": [long] })).await;
    store_key(
        server,
        json!({ "client": with(reachable(), json!({ "firstName": "A".repeat(255),
        "mobilePhone1": "(415) 555-0101" })) }),
    )
    .await;
    worker.finish().await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        gateway.messages()[0].form(),
        [
            pair("To", "+14155550101"),
            pair("From", "+15550001111"),
            pair("Body", &format!("Dear {} Cruz", "A".repeat(255))),
        ]
    );
    let ends: Vec<_> = messages(server)
        .await
        .into_iter()
        .map(|message| (message.template_id, message.state, message.reason))
        .collect();
    assert!(
        ends.contains(&("long".to_owned(), "FAILED".to_owned(), Some("TOO_LONG".to_owned()))),
        "{ends:?}"
    );
    assert!(ends.contains(&("text".to_owned(), "SENT".to_owned(), None)), "{ends:?}");
}

async fn retry_time_of_the_gateway_is_used(server: &TestServer) {
    let gateway = GatewayPeer::start(answering(429, &[("retry-after", "7200")], json!({}))).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.due_at),
        ("QUEUED", Some(worker.now() + TimeDelta::hours(2)))
    );
}

async fn every_attempt_sends_the_same_text(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Drop { stored: true }).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    let key = store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    assert_eq!(messages(server).await[0].state, "QUEUED");
    // The client and the template change, and then the template is deleted.
    store_key(
        server,
        json!({ "client": { "encodedKey": key, "lastName": "Other", "emailAddress": "other@example.test" } }),
    )
    .await;
    let other = json!({ "language": "ENGLISH", "subject": "Other", "text": "Other {CLIENT_LAST_NAME}" });
    template(server, "hello", json!({ "variants": [other] })).await;
    let delete = "mutation { deleteMessageTemplate(input: { templateId: \"hello\" }) { userErrors { code } } }";
    server
        .graphql(delete, json!({}))
        .await
        .data(json!({ "deleteMessageTemplate": { "userErrors": [] } }));
    mail.set(Mailing::Accept);
    worker.wait(60);
    worker.step().await;
    let [first, second] = &mail.messages()[..] else {
        panic!("two were accepted")
    };
    assert_eq!(first.to, ["ana@example.test"]);
    // Except for the time it was sent.
    let lasting = |data: &str| {
        data.lines()
            .filter(|line| !line.starts_with("Date:"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!((lasting(&first.data), &first.to), (lasting(&second.data), &second.to));
    assert_eq!(messages(server).await[0].state, "SENT");
}

async fn unreadable_message_fails(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    server
        .write("UPDATE message SET placeholders = '[]'")
        .await
        .expect("written");
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.reason.as_deref()),
        ("FAILED", Some("UNRENDERABLE"))
    );
    assert_eq!(mail.messages(), []);
}

async fn text_of_a_later_version_waits_for_a_newer_server(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    server
        .write("UPDATE message_variant SET text = 'Dear {CLIENT_TITLE}'")
        .await
        .expect("written");
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.reason.as_deref()),
        ("QUEUED", Some("UNRENDERABLE"))
    );
}

async fn waiting_for_a_channel_uses_no_attempts(server: &TestServer) {
    let options = SmtpOptions {
        credentials: Some(("bank", "right")),
        ..SmtpOptions::default()
    };
    let mail = SmtpPeer::with(options, Mailing::Answer(Stage::Recipient, "451 greylisted")).await;
    let mut wrong = settings(&mail);
    wrong.email.password = Secret::new("wrong");
    wrong.max_age_hours = 1;
    let right = NotificationSettings {
        max_age_hours: 1,
        ..settings(&mail)
    };
    let (mut worker, mut mended) = (Hand::new(server, wrong), Hand::new(server, right));
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    assert_eq!(messages(server).await[0].reason.as_deref(), Some("CREDENTIALS"));
    mended.wait(3 * 24 * 3_600);
    mended.step().await;
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.attempts, message.reason.as_deref()),
        ("QUEUED", 1, Some("DEFERRED"))
    );
}

async fn redirect_of_the_gateway_pauses_the_channel(server: &TestServer) {
    let gateway = GatewayPeer::start(answering(308, &[("location", "https://elsewhere.test/")], json!({}))).await;
    let mut worker = Hand::new(server, sms_settings(&gateway));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.attempts, message.reason.as_deref()),
        ("QUEUED", 0, Some("REFUSED"))
    );
    assert_eq!(worker.step().await, 0);
}
