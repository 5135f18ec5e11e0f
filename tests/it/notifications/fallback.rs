//! The second provider of a channel: which messages it gets, and what is recorded of it.

use chrono::TimeDelta;
use clientele::{delivery::NotificationSettings, secret::Secret};
use serde_json::json;

use super::{
    manual_worker::{Hand, settings, sms_settings},
    messages, metrics, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Answering, GatewayPeer, Mailing, Security, SmtpOptions, SmtpPeer, Stage},
};

on_both!(
    deferred_sms_goes_to_the_fallback_with_the_same_key,
    deferred_email_goes_to_the_fallback_with_the_same_message_id,
    attempts_alternate_between_the_providers,
    provider_that_is_down_is_left_out_and_probed,
    refused_message_does_not_go_to_the_fallback,
    refused_credentials_are_no_pause_with_a_fallback,
    channel_pauses_when_both_providers_are_down,
    requested_wait_is_of_the_provider_that_asks,
    attempt_that_could_outlast_its_lease_is_not_made,
);

fn sms(primary: &GatewayPeer, fallback: &GatewayPeer) -> NotificationSettings {
    let mut settings = sms_settings(primary);
    settings.sms.fallback = fallback.settings().primary();
    settings.sms.fallback.from = "bank".into();
    settings
}

/// Queues an SMS for each of this number of clients.
async fn owe(server: &TestServer, clients: usize) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    for _ in 0..clients {
        store_key(server, json!({ "client": reachable() })).await;
    }
}

/// The number of requests at each of the gateways.
fn requests(gateways: [&GatewayPeer; 2]) -> [usize; 2] {
    gateways.map(|gateway| gateway.messages().len())
}

async fn deferred_sms_goes_to_the_fallback_with_the_same_key(server: &TestServer) {
    let (primary, fallback) = (
        GatewayPeer::start(Answering::Drop).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let mut worker = Hand::new(server, sms(&primary, &fallback));
    owe(server, 1).await;
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!((message.state.as_str(), message.attempts), ("QUEUED", 1));
    assert_eq!((&message.provider, requests([&primary, &fallback])), (&None, [1, 0]));
    worker.wait(30);
    worker.step().await;
    let message = &messages(server).await[0];
    assert_eq!((message.state.as_str(), message.attempts), ("SENT", 2));
    assert_eq!(message.provider.as_deref(), Some("FALLBACK"));
    let [first, second] = [&primary.messages()[0], &fallback.messages()[0]];
    let key = Some(&message.encoded_key);
    assert_eq!(first.headers.get("idempotency-key"), key);
    assert_eq!(second.headers.get("idempotency-key"), key);
    let sender = |form: Vec<(String, String)>| form[1].1.clone();
    assert_eq!(
        (sender(first.form()), sender(second.form())),
        ("+15550001111".into(), "bank".into())
    );
    let shown = server
        .graphql("{ messages(first: 1) { nodes { provider providerId } } }", json!({}))
        .await;
    shown.data(json!({ "messages": { "nodes": [{ "provider": "FALLBACK", "providerId": "SM17" }] } }));
    assert_eq!(
        metrics(server, message.queued_at).await,
        [
            "messages_deferred_total{channel=\"SMS\",reason=\"CONNECTION\"} 1",
            "messages_sent_total{channel=\"SMS\",provider=\"FALLBACK\"} 1",
        ]
    );
}

async fn deferred_email_goes_to_the_fallback_with_the_same_message_id(server: &TestServer) {
    // The first server has accepted the message, and the answer is lost: the recipient gets it twice.
    let (primary, fallback) = (
        SmtpPeer::start(Mailing::Drop { stored: true }).await,
        SmtpPeer::start(Mailing::Accept).await,
    );
    let mut both = settings(&primary);
    both.email.fallback = fallback.settings().primary();
    both.email.fallback.from = "Bank <service@other.test>".into();
    let mut worker = Hand::new(server, both);
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.step().await;
    worker.wait(30);
    worker.step().await;
    let (first, second) = (primary.message(0).await, fallback.message(0).await);
    assert_eq!(
        (&*first.from, &*second.from),
        ("service@bank.test", "service@other.test")
    );
    let id = format!("Message-ID: <{}@bank.test>\r\n", messages(server).await[0].encoded_key);
    assert!(first.data.contains(&id) && second.data.contains(&id), "{}", second.data);
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), message.provider.as_deref()),
        ("SENT", Some("FALLBACK"))
    );
}

async fn attempts_alternate_between_the_providers(server: &TestServer) {
    let (primary, fallback) = (
        GatewayPeer::start(Answering::status(408)).await,
        GatewayPeer::start(Answering::status(408)).await,
    );
    let mut worker = Hand::new(server, sms(&primary, &fallback));
    owe(server, 1).await;
    for expected in [[1, 0], [1, 1], [2, 1], [2, 2], [3, 2]] {
        assert_eq!(worker.step().await, 1);
        assert_eq!(requests([&primary, &fallback]), expected);
        worker.wait(3_600);
    }
    assert_eq!(messages(server).await[0].attempts, 5);
}

async fn provider_that_is_down_is_left_out_and_probed(server: &TestServer) {
    let (primary, fallback) = (
        GatewayPeer::start(Answering::status(503)).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let few = NotificationSettings {
        concurrency: 1,
        breaker_failures: 2,
        ..sms(&primary, &fallback)
    };
    let mut worker = Hand::new(server, few);
    owe(server, 6).await;
    worker.finish().await;
    // Two messages failed there, and the four others went to the fallback without an attempt at the first provider.
    let sent = async || {
        let all = messages(server).await;
        let by = |name: &str| {
            all.iter()
                .filter(|message| message.provider.as_deref() == Some(name))
                .count()
        };
        [by("PRIMARY"), by("FALLBACK")]
    };
    assert_eq!(requests([&primary, &fallback]), [2, 4]);
    assert_eq!(sent().await, [0, 4]);
    let is_open = "messages_breaker_open{channel=\"SMS\",provider=\"PRIMARY\"} 1".to_owned();
    assert!(metrics(server, worker.now()).await.contains(&is_open));
    worker.wait(30);
    worker.finish().await;
    assert_eq!((requests([&primary, &fallback]), sent().await), ([2, 6], [0, 6]));
    // The pause is over: one of the new messages is the probe, which fails.
    let more = async |clients: usize| {
        for _ in 0..clients {
            store_key(server, json!({ "client": reachable() })).await;
        }
    };
    more(3).await;
    worker.finish().await;
    assert_eq!((requests([&primary, &fallback]), sent().await), ([3, 8], [0, 8]));
    // The next one succeeds, and the provider is back.
    primary.set(Answering::Accept);
    more(3).await;
    worker.wait(60);
    worker.finish().await;
    assert_eq!(sent().await, [3, 9]);
    assert!(!metrics(server, worker.now()).await.contains(&is_open));
}

async fn refused_message_does_not_go_to_the_fallback(server: &TestServer) {
    let (primary, fallback) = (
        GatewayPeer::start(Answering::status(400)).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let mut worker = Hand::new(server, sms(&primary, &fallback));
    owe(server, 1).await;
    worker.step().await;
    worker.wait(3_600);
    assert_eq!(worker.step().await, 0);
    let message = &messages(server).await[0];
    assert_eq!((message.state.as_str(), message.attempts), ("FAILED", 1));
    assert_eq!(requests([&primary, &fallback]), [1, 0]);
}

async fn refused_credentials_are_no_pause_with_a_fallback(server: &TestServer) {
    let options = SmtpOptions {
        credentials: Some(("bank", "right")),
        security: Security::Starttls,
        ..SmtpOptions::default()
    };
    let (primary, fallback) = (
        SmtpPeer::with(options, Mailing::Accept).await,
        SmtpPeer::start(Mailing::Accept).await,
    );
    let mut both = settings(&primary);
    both.email.password = Secret::new("wrong");
    both.email.fallback = fallback.settings().primary();
    both.concurrency = 1;
    let mut worker = Hand::new(server, both);
    template(server, "hello", json!({})).await;
    for _ in 0..3 {
        store_key(server, json!({ "client": reachable() })).await;
    }
    worker.finish().await;
    for message in messages(server).await {
        assert_eq!(
            (message.state.as_str(), message.attempts, message.provider.as_deref()),
            ("SENT", 1, Some("FALLBACK"))
        );
    }
    assert_eq!((primary.connections(), fallback.messages().len()), (1, 3));
}

async fn channel_pauses_when_both_providers_are_down(server: &TestServer) {
    let (primary, fallback) = (
        GatewayPeer::start(Answering::status(503)).await,
        GatewayPeer::start(Answering::status(503)).await,
    );
    let one = NotificationSettings {
        concurrency: 1,
        breaker_failures: 1,
        ..sms(&primary, &fallback)
    };
    let mut worker = Hand::new(server, one);
    owe(server, 5).await;
    worker.finish().await;
    assert_eq!(requests([&primary, &fallback]), [1, 1]);
    worker.wait(29);
    assert_eq!(worker.step().await, 0);
    worker.wait(1);
    worker.finish().await;
    assert_eq!(requests([&primary, &fallback]), [2, 2]);
    let open = |provider: &str| format!("messages_breaker_open{{channel=\"SMS\",provider=\"{provider}\"}} 1");
    let shown = metrics(server, worker.now()).await;
    for provider in ["PRIMARY", "FALLBACK"] {
        assert!(shown.contains(&open(provider)), "{shown:?}");
    }
    let untouched = messages(server)
        .await
        .into_iter()
        .filter(|message| message.attempts == 0);
    assert!(untouched.count() >= 1);
}

async fn requested_wait_is_of_the_provider_that_asks(server: &TestServer) {
    let wait = Answering::Answer {
        status: 429,
        headers: vec![("retry-after", "7200".into())],
        body: String::new(),
    };
    let (primary, fallback) = (
        GatewayPeer::start(wait.clone()).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let one = NotificationSettings {
        breaker_failures: 1,
        ..sms(&primary, &fallback)
    };
    let mut worker = Hand::new(server, one);
    owe(server, 1).await;
    worker.step().await;
    let waits = messages(server).await[0].due_at.expect("it is tried again") - worker.now();
    assert!(waits <= TimeDelta::seconds(30), "{waits}");
    // The first provider's circuit is open: the next attempt would be the fallback's again.
    fallback.set(wait);
    worker.wait(30);
    worker.step().await;
    assert_eq!(requests([&primary, &fallback]), [1, 1]);
    let waits = messages(server).await[0].due_at.expect("it is tried again") - worker.now();
    assert_eq!(waits, TimeDelta::hours(2));
}

async fn attempt_that_could_outlast_its_lease_is_not_made(server: &TestServer) {
    let (primary, fallback) = (
        SmtpPeer::start(Mailing::Answer(Stage::Recipient, "451 later")).await,
        SmtpPeer::start(Mailing::Accept).await,
    );
    let mut both = settings(&primary);
    both.email.fallback = fallback.settings().primary();
    // No attempt at the fallback could end before the lease does: none is made.
    both.email.fallback.timeout_seconds = 120;
    let mut worker = Hand::new(server, both);
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(worker.step().await, 1);
    assert_eq!((primary.connections(), messages(server).await[0].attempts), (0, 0));
}
