//! Several workers, and failing providers: claims, leases, the circuit breaker and the shutdown.

use std::{collections::HashSet, time::Duration};

use clientele::{delivery::NotificationSettings, secret::Secret};
use serde_json::json;
use tokio::sync::watch;

use super::{
    manual_worker::{Hand, settings, sms_settings},
    messages, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Answering, GatewayPeer, Mailing, Security, SmtpOptions, SmtpPeer, Stage},
    with,
};

/// A template, and clients that each have a queued message of it.
async fn owe(server: &TestServer, clients: usize) {
    template(server, "hello", json!({})).await;
    for number in 0..clients {
        // One recipient gets a limited number of messages a day.
        let address = json!({ "emailAddress": format!("ana{number}@example.test") });
        store_key(server, json!({ "client": with(reachable(), address) })).await;
    }
}

/// The number of messages in each of these states.
async fn states<const N: usize>(server: &TestServer, names: [&str; N]) -> [usize; N] {
    let all = messages(server).await;
    names.map(|name| all.iter().filter(|message| message.state == name).count())
}

on_both!(
    refused_credentials_pause_the_channel_and_cost_no_attempt,
    failing_provider_is_probed_by_one_worker,
    parallel_workers_send_each_message_once,
    messages_of_a_dead_worker_are_taken_over_after_the_lease,
    worker_without_its_lease_changes_nothing,
    stopping_worker_finishes_sending_and_releases_the_rest,
    running_worker_is_notified_of_new_messages_at_once,
    one_refused_message_does_not_block_others,
);

async fn refused_credentials_pause_the_channel_and_cost_no_attempt(server: &TestServer) {
    let options = SmtpOptions {
        credentials: Some(("bank", "right")),
        security: Security::Starttls,
        ..SmtpOptions::default()
    };
    let mail = SmtpPeer::with(options, Mailing::Accept).await;
    let mut wrong = settings(&mail);
    wrong.email.password = Secret::new("wrong");
    wrong.concurrency = 1;
    let mut worker = Hand::new(server, wrong);
    owe(server, 6).await;
    for pause in [30, 60, 120, 240, 300, 300] {
        worker.step().await;
        // The provider is not called before the pause is over.
        assert_eq!(worker.step().await, 0);
        worker.wait(pause - 1);
        assert_eq!(worker.step().await, 0);
        worker.wait(1);
    }
    assert_eq!(mail.connections(), 6);
    for message in messages(server).await {
        assert_eq!(
            (message.state.as_str(), message.attempts, &message.lease),
            ("QUEUED", 0, &None)
        );
    }
    assert!(
        messages(server)
            .await
            .iter()
            .any(|message| message.reason.as_deref() == Some("CREDENTIALS"))
    );
    Hand::new(server, settings(&mail)).finish().await;
    // Its clock is behind: messages released later are due later.
    let mut late = Hand::new(server, settings(&mail));
    late.wait(3_600);
    late.finish().await;
    assert_eq!(states(server, ["SENT"]).await, [6]);
}

async fn failing_provider_is_probed_by_one_worker(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Greet("421 closing")).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            ..settings(&mail)
        },
    );
    owe(server, 12).await;
    worker.finish().await;
    assert_eq!(mail.connections(), 5);
    worker.wait(30);
    assert_eq!((worker.step().await, worker.step().await), (1, 0));
    assert_eq!(mail.connections(), 6);
    let tried = |messages: Vec<entity::message::Model>| messages.iter().filter(|message| message.attempts > 0).count();
    assert!(tried(messages(server).await) <= 6);
    mail.set(Mailing::Accept);
    worker.wait(60);
    assert_eq!(worker.step().await, 1);
    worker.finish().await;
    worker.wait(60);
    worker.finish().await;
    assert_eq!(states(server, ["SENT"]).await, [12]);
}

async fn parallel_workers_send_each_message_once(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut workers = Vec::from_iter((0..4).map(|_| Hand::new(server, settings(&mail))));
    owe(server, 200).await;
    futures_util::future::join_all(workers.iter_mut().map(Hand::finish)).await;
    let sent = mail.messages();
    let ids: HashSet<&str> = sent
        .iter()
        .filter_map(|mail| mail.data.lines().find(|line| line.starts_with("Message-ID:")))
        .collect();
    assert_eq!((sent.len(), ids.len()), (200, 200));
    assert_eq!(states(server, ["SENT"]).await, [200]);
}

async fn messages_of_a_dead_worker_are_taken_over_after_the_lease(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Hang(Stage::Message)).await;
    let (mut dying, mut other) = (Hand::new(server, settings(&mail)), Hand::new(server, settings(&mail)));
    owe(server, 1).await;
    let dead = tokio::select! {
        _ = dying.step() => false,
        () = mail.connected(1) => true,
    };
    assert!(dead);
    drop(dying);
    assert_eq!(states(server, ["SENDING"]).await, [1]);
    mail.set(Mailing::Accept);
    other.wait(119);
    assert_eq!(other.step().await, 0);
    other.wait(2);
    assert_eq!(other.step().await, 1);
    let message = &messages(server).await[0];
    assert_eq!((message.state.as_str(), message.attempts), ("SENT", 1));
}

async fn worker_without_its_lease_changes_nothing(server: &TestServer) {
    let (deaf, mail) = (
        SmtpPeer::start(Mailing::Hang(Stage::Message)).await,
        SmtpPeer::start(Mailing::Accept).await,
    );
    let mut slow = Hand::with_timeout(server, settings(&deaf), Some(Duration::from_secs(2)));
    let mut other = Hand::new(server, settings(&mail));
    owe(server, 1).await;
    let overtaken = async {
        deaf.connected(1).await;
        other.wait(300);
        assert_eq!(other.step().await, 1);
        messages(server).await
    };
    let (_, after) = tokio::join!(slow.step(), overtaken);
    assert_eq!(after[0].state, "SENT");
    assert_eq!(messages(server).await, after);
}

async fn stopping_worker_finishes_sending_and_releases_the_rest(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Hang(Stage::Message)).await;
    let worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 2,
            ..settings(&mail)
        },
    )
    .into_worker();
    owe(server, 5).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(worker.run(stopped, Duration::ZERO));
    mail.connected(2).await;
    stop.send_replace(true);
    running.await.expect("it ends");
    assert_eq!(states(server, ["QUEUED", "SENDING", "SENT"]).await, [5, 0, 0]);
    for message in messages(server).await {
        assert_eq!((message.attempts, &message.lease), (0, &None));
    }
}

async fn running_worker_is_notified_of_new_messages_at_once(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    // It would look again after an hour.
    let settings = NotificationSettings {
        poll_seconds: 3_600,
        ..settings(&mail)
    };
    let worker = Hand::new(server, settings).into_worker();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(worker.run(stopped, Duration::from_secs(10)));
    owe(server, 3).await;
    mail.message(2).await;
    stop.send_replace(true);
    running.await.expect("it ends");
    assert_eq!(states(server, ["SENT"]).await, [3]);
}

async fn one_refused_message_does_not_block_others(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            ..sms_settings(&gateway)
        },
    );
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    gateway.once([Answering::status(403)]);
    worker.step().await;
    assert_eq!(messages(server).await[0].attempts, 0);
    // The channel could be at fault: all messages wait. Then another one succeeds.
    store_key(server, json!({ "client": reachable() })).await;
    server
        .write("UPDATE message SET due_at = queued_at WHERE attempts = 0 AND reason IS NULL")
        .await
        .expect("written");
    worker.wait(30);
    worker.step().await;
    assert_eq!(states(server, ["SENT"]).await, [1]);
    // The message is at fault: the next refusal counts as its attempt and pauses nothing.
    gateway.set(Answering::status(403));
    worker.step().await;
    let refused = messages(server)
        .await
        .into_iter()
        .find(|message| message.state == "QUEUED")
        .expect("it waits");
    assert_eq!((refused.attempts, refused.reason.as_deref()), (1, Some("CREDENTIALS")));
    gateway.set(Answering::Accept);
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(worker.step().await, 1);
}
