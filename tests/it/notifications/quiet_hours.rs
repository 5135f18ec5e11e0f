//! Quiet hours: no SMS is sent in them, and none uses an attempt.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Days, NaiveTime, Utc};
use clientele::delivery::{NotificationSettings, settings::QuietHoursSettings};
use serde_json::json;

use super::{
    manual_worker::{Hand, settings, sms_settings},
    messages, metrics, queue_copies, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Answering, GatewayPeer, Mailing, SmtpPeer},
    program::Server,
};

on_both!(
    message_waits_for_the_end_without_an_attempt,
    message_of_the_last_moment_is_sent,
    no_attempt_begins_in_quiet_hours,
    message_of_a_dead_worker_waits_as_well,
    more_messages_than_one_batch_wait,
    messages_are_sent_in_the_order_of_their_queueing_afterwards,
);

/// From 21:00 to 08:00 in Berlin, where these are 20:00 and 07:00 UTC in winter.
fn quiet(settings: NotificationSettings) -> NotificationSettings {
    let mut settings = settings;
    settings.sms.quiet_hours = QuietHoursSettings {
        from: "21:00".into(),
        to: "08:00".into(),
        zone: "Europe/Berlin".into(),
    };
    settings
}

/// A time of a day in winter, some days ahead of the clock.
fn winter(days: u64, time: &str) -> DateTime<Utc> {
    let year = DateTime::<Utc>::from(SystemTime::now() + Duration::from_secs(300 * 86_400));
    let day = year.format("%Y-12-01").to_string();
    let day: chrono::NaiveDate = day.parse().expect("a day");
    let time: NaiveTime = time.parse().expect("a time");
    (day + Days::new(days)).and_time(time).and_utc()
}

async fn message_waits_for_the_end_without_an_attempt(server: &TestServer) {
    let (mail, gateway) = (
        SmtpPeer::start(Mailing::Accept).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let both = NotificationSettings {
        email: settings(&mail).email,
        ..quiet(sms_settings(&gateway))
    };
    let mut worker = Hand::new(server, both);
    template(server, "hello", json!({})).await;
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.wait_until(winter(0, "20:00:00"));
    // The e-mail is sent.
    assert_eq!((worker.step().await, mail.messages().len()), (1, 1));
    let sms = async || {
        let all = messages(server).await;
        all.into_iter().find(|message| message.channel == "SMS").expect("one")
    };
    let waiting = sms().await;
    assert_eq!((waiting.state.as_str(), waiting.attempts), ("QUEUED", 0));
    assert_eq!(
        (waiting.due_at, &waiting.lease, &waiting.reason),
        (Some(winter(1, "07:00:00")), &None, &None)
    );
    for time in ["20:00:01", "23:59:59"] {
        worker.wait_until(winter(0, time));
        assert_eq!(worker.step().await, 0);
    }
    worker.wait_until(winter(1, "06:59:59.999999"));
    assert_eq!(worker.step().await, 0);
    // It was written once.
    assert_eq!(sms().await, waiting);
    let deferred = "messages_deferred_total{channel=\"SMS\",reason=\"QUIET_HOURS\"} 1";
    assert!(metrics(server, worker.now()).await.contains(&deferred.to_owned()));
    assert_eq!(gateway.connections(), 0);
    worker.wait_until(winter(1, "07:00:00"));
    assert_eq!(worker.step().await, 1);
    let sent = sms().await;
    assert_eq!(
        (sent.state.as_str(), sent.attempts, sent.sent_at),
        ("SENT", 1, Some(worker.now()))
    );
}

async fn message_of_the_last_moment_is_sent(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, quiet(sms_settings(&gateway)));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.wait_until(winter(0, "19:59:59.999999"));
    assert_eq!(worker.step().await, 1);
    assert_eq!(messages(server).await[0].state, "SENT");
}

async fn no_attempt_begins_in_quiet_hours(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    gateway.once([Answering::Hang]);
    let one = NotificationSettings {
        concurrency: 1,
        ..quiet(sms_settings(&gateway))
    };
    let mut worker = Hand::with_timeout(server, one, Some(Duration::from_millis(400)));
    template(server, "text", json!({ "channel": "SMS" })).await;
    for _ in 0..2 {
        store_key(server, json!({ "client": reachable() })).await;
    }
    worker.wait_until(winter(0, "19:59:59"));
    // Both are claimed. Quiet hours begin while the first one is being sent.
    let clock = worker.clock();
    let (claimed, ()) = tokio::join!(worker.step(), async {
        gateway.message(0).await;
        clock.set(winter(0, "20:00:00"));
    });
    assert_eq!((claimed, gateway.messages().len()), (2, 1));
    worker.wait(60);
    assert_eq!(worker.step().await, 0);
    let mut waiting: Vec<_> = messages(server).await;
    waiting.sort_by_key(|message| message.attempts);
    let shown: Vec<_> = waiting
        .iter()
        .map(|message| (message.attempts, message.reason.as_deref(), message.due_at))
        .collect();
    let end = Some(winter(1, "07:00:00"));
    assert_eq!(shown, [(0, None, end), (1, Some("TIMEOUT"), end)]);
    worker.wait_until(winter(1, "07:00:00"));
    worker.finish().await;
    assert!(messages(server).await.iter().all(|message| message.state == "SENT"));
}

async fn message_of_a_dead_worker_waits_as_well(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Hang).await;
    let mut dying = Hand::new(server, quiet(sms_settings(&gateway)));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    dying.wait_until(winter(0, "19:59:59"));
    let dead = tokio::select! {
        _ = dying.step() => false,
        _ = gateway.message(0) => true,
    };
    assert!(dead);
    drop(dying);
    let mut other = Hand::new(server, quiet(sms_settings(&gateway)));
    gateway.set(Answering::Accept);
    other.wait_until(winter(0, "20:10:00"));
    assert_eq!(other.step().await, 0);
    let message = &messages(server).await[0];
    assert_eq!(
        (message.state.as_str(), &message.lease, message.due_at),
        ("QUEUED", &None, Some(winter(1, "07:00:00")))
    );
    other.wait_until(winter(1, "07:00:00"));
    assert_eq!(other.step().await, 1);
    assert_eq!(gateway.messages().len(), 2);
}

async fn more_messages_than_one_batch_wait(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let mut worker = Hand::new(server, quiet(sms_settings(&gateway)));
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, json!({ "client": reachable() })).await;
    queue_copies(server, 2_000).await;
    worker.wait_until(winter(0, "22:00:00"));
    assert_eq!(worker.step().await, 0);
    let end = Some(winter(1, "07:00:00"));
    let all = messages(server).await;
    assert_eq!(all.iter().filter(|message| message.due_at == end).count(), 2_001);
    let deferred = "messages_deferred_total{channel=\"SMS\",reason=\"QUIET_HOURS\"} 2001";
    assert!(metrics(server, worker.now()).await.contains(&deferred.to_owned()));
}

async fn messages_are_sent_in_the_order_of_their_queueing_afterwards(server: &TestServer) {
    let gateway = GatewayPeer::start(Answering::Accept).await;
    let one = NotificationSettings {
        concurrency: 1,
        ..quiet(sms_settings(&gateway))
    };
    let mut one = one;
    // One message for each claim.
    one.sms.rate_per_minute = Some(1);
    let mut worker = Hand::new(server, one);
    template(server, "text", json!({ "channel": "SMS" })).await;
    let mut numbers = Vec::new();
    for last in 1..=4 {
        let number = format!("+1415555010{last}");
        let client = json!({ "firstName": "Ana", "lastName": "Cruz", "mobilePhone1": number });
        store_key(server, json!({ "client": client })).await;
        numbers.push(number);
    }
    // The reverse of the order of their keys, which is that of the table.
    let reverse = "UPDATE message SET queued_at = '2026-01-01T00:00:0' || (9 - CAST(substr(recipient, 12, 1) \
        AS INTEGER)) || '.000000Z'";
    let reverse = match server.database_url().starts_with("sqlite:") {
        true => reverse.to_owned(),
        false => reverse
            .replace("'2026", "('2026")
            .replace("'.000000Z'", "'.000000Z')::timestamptz"),
    };
    server.write(&reverse).await.expect("written");
    worker.wait_until(winter(0, "22:00:00"));
    assert_eq!(worker.step().await, 0);
    worker.wait_until(winter(1, "07:00:00"));
    for _ in 0..4 {
        assert_eq!(worker.step().await, 1);
        worker.wait(60);
    }
    let sent = gateway
        .messages()
        .into_iter()
        .map(|message| message.form()[0].1.clone());
    numbers.reverse();
    assert_eq!(sent.collect::<Vec<_>>(), numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_log_of_a_server_show_whether_it_is_quiet() {
    let now = DateTime::<Utc>::from(SystemTime::now());
    for (from, to, quiet) in [(-2, 2, 1), (2, 4, 0)] {
        let time = |hours| (now + chrono::TimeDelta::hours(hours)).format("%H:%M").to_string();
        let server = Server::start(&[
            ("CLIENTELE_AUTHENTICATION__PUBLIC_METRICS", "true"),
            ("CLIENTELE_NOTIFICATIONS__SMS__QUIET_HOURS__FROM", &time(from)),
            ("CLIENTELE_NOTIFICATIONS__SMS__QUIET_HOURS__TO", &time(to)),
            ("CLIENTELE_NOTIFICATIONS__SMS__QUIET_HOURS__ZONE", "UTC"),
        ]);
        let answer = reqwest::get(format!("{}/metrics", server.address))
            .await
            .expect("an answer");
        let page = answer.text().await.expect("text");
        let line = format!("\nclientele_messages_quiet{{channel=\"SMS\"}} {quiet}\n");
        assert!(page.contains(&line), "{page}");
        server.signal("TERM");
        let (log, _) = server.wait();
        let line = format!(
            r#"quiet hours are set channel="SMS" from="{}" to="{}" zone="UTC""#,
            time(from),
            time(to)
        );
        assert!(log.contains(&line), "{log}");
    }
}
