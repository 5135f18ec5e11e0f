//! Metrics of messages, and removal of old message bodies.

use chrono::{DateTime, TimeDelta, Utc};
use clientele::{
    caller::Caller,
    db::Dialect,
    delivery::{NotificationSettings, remove_bodies, remove_messages},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::json;

use super::{
    manual_worker::{Hand, settings},
    messages, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Mailing, SmtpPeer, Stage},
    with,
};

/// The metrics of messages, without counters at zero.
async fn values(server: &TestServer, now: DateTime<Utc>) -> Vec<String> {
    let read = server.services.messages.read_outbox(&Caller::operator(), now).await;
    read.expect("the database answers");
    let mut registry = Registry::default();
    server.services.messages.metrics.register(&mut registry);
    let mut page = String::new();
    encode(&mut page, &registry).expect("text");
    let counts = |line: &&str| !(line.starts_with('#') || line.contains("_total{") && line.ends_with(" 0"));
    let mut lines: Vec<String> = page.lines().filter(counts).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

on_both!(
    metrics_count_waiting_and_finished_messages,
    bodies_of_sent_messages_are_removed_and_records_stay,
    old_messages_are_removed_unless_they_are_to_be_sent,
    texts_of_suppressed_messages_and_what_limits_counted_are_removed,
    early_receipts_are_removed_in_batches,
    released_message_is_not_counted,
    upkeep_and_sending_find_their_rows_by_their_indexes,
);

async fn metrics_count_waiting_and_finished_messages(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    mail.once([
        Mailing::Answer(Stage::Recipient, "451 later"),
        Mailing::Answer(Stage::Recipient, "550 no"),
    ]);
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    template(server, "text", json!({ "channel": "SMS" })).await;
    for _ in 0..4 {
        store_key(
            server,
            json!({ "client": with(reachable(), json!({ "mobilePhone1": null })) }),
        )
        .await;
    }
    worker.finish().await;
    let queued_at = messages(server)
        .await
        .into_iter()
        .find(|message| message.state == "QUEUED")
        .expect("one waits")
        .queued_at;
    assert_eq!(
        values(server, queued_at + TimeDelta::seconds(90)).await,
        [
            "messages_breaker_open{channel=\"EMAIL\",provider=\"PRIMARY\"} 0",
            "messages_breaker_open{channel=\"SMS\",provider=\"PRIMARY\"} 0",
            "messages_deferred_total{channel=\"EMAIL\",reason=\"DEFERRED\"} 1",
            "messages_failed_total{channel=\"EMAIL\",reason=\"REFUSED\"} 1",
            "messages_oldest_queued_age_seconds{channel=\"EMAIL\"} 90",
            "messages_oldest_queued_age_seconds{channel=\"SMS\"} 0",
            "messages_queued{channel=\"EMAIL\"} 1",
            "messages_queued{channel=\"SMS\"} 0",
            "messages_quiet{channel=\"SMS\"} 0",
            "messages_sent_total{channel=\"EMAIL\",provider=\"PRIMARY\"} 2",
        ]
    );
}

async fn bodies_of_sent_messages_are_removed_and_records_stay(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    let first = worker.now();
    worker.wait(60);
    mail.once([Mailing::Answer(Stage::Recipient, "550 no")]);
    for _ in 0..2 {
        store_key(server, json!({ "client": reachable() })).await;
    }
    worker.finish().await;
    store_key(server, json!({ "client": reachable() })).await;
    let before = messages(server).await;
    let db = &server.services.db;
    assert_eq!(remove_bodies(db, first).await.expect("written"), 0);
    assert_eq!(
        remove_bodies(db, first + TimeDelta::seconds(1)).await.expect("written"),
        1
    );
    let mut expected = before.clone();
    expected[0].placeholders = None;
    assert_eq!(messages(server).await, expected);
    // One that failed may be sent again, and one that waits will be.
    assert_eq!(remove_bodies(db, first + TimeDelta::days(1)).await.expect("written"), 1);
    let mut kept: Vec<_> = messages(server)
        .await
        .into_iter()
        .map(|message| (message.state, message.placeholders.is_some()))
        .collect();
    // The order of two messages that are due together is not defined.
    kept.sort();
    let one = |state: &str, kept| (state.to_owned(), kept);
    assert_eq!(
        kept,
        [
            one("FAILED", true),
            one("QUEUED", true),
            one("SENT", false),
            one("SENT", false)
        ]
    );
}

async fn old_messages_are_removed_unless_they_are_to_be_sent(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    mail.once([Mailing::Answer(Stage::Recipient, "550 no")]);
    store_key(server, json!({ "client": reachable() })).await;
    worker.finish().await;
    store_key(server, json!({ "client": reachable() })).await;
    let before = messages(server).await;
    let states: Vec<_> = before.iter().map(|message| &*message.state).collect();
    assert_eq!(states, ["SENT", "FAILED", "QUEUED"]);
    let db = &server.services.db;
    assert_eq!(remove_messages(db, before[0].created_at).await.expect("written"), 0);
    assert_eq!(messages(server).await, before);
    assert_eq!(remove_messages(db, before[1].created_at).await.expect("written"), 1);
    assert_eq!(messages(server).await, before[1..]);
    let later = before[2].created_at + TimeDelta::days(1);
    assert_eq!(remove_messages(db, later).await.expect("written"), 1);
    assert_eq!(messages(server).await, before[2..]);
    assert_eq!(remove_messages(db, later).await.expect("written"), 0);
}

async fn texts_of_suppressed_messages_and_what_limits_counted_are_removed(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let worker = Hand::new(server, settings(&mail));
    template(server, "hello", json!({})).await;
    for _ in 0..2 {
        store_key(server, json!({ "client": reachable() })).await;
    }
    let suppress = "UPDATE message SET state = 'SUPPRESSED', due_at = NULL, reason = 'CALLER_LIMIT' WHERE encoded_key \
        = (SELECT min(encoded_key) FROM message)";
    server.write(suppress).await.expect("written");
    let kept = async || {
        let sql = "SELECT count(recipient) FROM raised_message";
        let row = server
            .services
            .db
            .read()
            .one(sql, [])
            .await
            .expect("read")
            .expect("a row");
        let texts = messages(server).await.into_iter();
        let texts: Vec<bool> = texts.map(|message| message.placeholders.is_some()).collect();
        (texts, row.try_get_by_index::<i64>(0).expect("a number"))
    };
    const HOUR: i64 = 3_600;
    for (hours, expected) in [
        (24, (vec![true, true], 2)),
        (26 - 24, (vec![true, true], 0)),
        (29 * 24 - 26, (vec![true, true], 0)),
        (2 * 24, (vec![false, true], 0)),
    ] {
        worker.wait(hours * HOUR);
        worker.remove_expired().await;
        assert_eq!(kept().await, expected, "{}", worker.now());
    }
}

async fn early_receipts_are_removed_in_batches(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let worker = Hand::new(server, settings(&mail));
    let receipts = "INSERT INTO provider_message (provider_id, created_at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
        SELECT i + 1 FROM n WHERE i < 2500) SELECT 'p' || i, created_at FROM n, (SELECT min(created_at) AS created_at \
        FROM message) m";
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    server.write(receipts).await.expect("written");
    for (hours, expected) in [(23, 2_500), (2, 0)] {
        worker.wait(hours * 3_600);
        worker.remove_expired().await;
        let sql = "SELECT count(*) FROM provider_message";
        let row = server
            .services
            .db
            .read()
            .one(sql, [])
            .await
            .expect("read")
            .expect("a row");
        assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), expected);
    }
}

async fn released_message_is_not_counted(server: &TestServer) {
    let mail = SmtpPeer::start(Mailing::Answer(Stage::Sender, "451 later")).await;
    let mut worker = Hand::new(
        server,
        NotificationSettings {
            concurrency: 1,
            breaker_failures: 2,
            ..settings(&mail)
        },
    );
    template(server, "hello", json!({})).await;
    for _ in 0..5 {
        store_key(server, json!({ "client": reachable() })).await;
    }
    // The breaker opens after two: the others are released. Then one of them probes.
    worker.finish().await;
    worker.wait(30);
    worker.finish().await;
    let deferred = values(server, worker.now())
        .await
        .into_iter()
        .filter(|line| line.contains("deferred"))
        .collect::<Vec<_>>();
    assert_eq!(
        deferred,
        ["messages_deferred_total{channel=\"EMAIL\",reason=\"DEFERRED\"} 3"]
    );
}

async fn upkeep_and_sending_find_their_rows_by_their_indexes(server: &TestServer) {
    if server.services.db.read().dialect != Dialect::Sqlite {
        return;
    }
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let mut worker = Hand::new(server, settings(&mail));
    server.statements();
    worker.finish().await;
    remove_bodies(&server.services.db, worker.now()).await.expect("written");
    remove_messages(&server.services.db, worker.now())
        .await
        .expect("written");
    values(server, worker.now()).await;
    let mut found = Vec::new();
    for sql in server
        .statements()
        .into_iter()
        .filter(|sql| sql.contains("message") && !sql.contains("message_variant"))
    {
        let plan = server
            .services
            .db
            .read()
            .all(format!("EXPLAIN QUERY PLAN {sql}"), [])
            .await
            .expect("a plan");
        for step in plan {
            let step: String = step.try_get("", "detail").expect("a text");
            // Every table is searched by an index, never scanned.
            assert!(!step.starts_with("SCAN message"), "{sql}: {step}");
            if let Some((_, index)) = step.split_once("SEARCH message USING ") {
                found.push(index.split(" (").next().unwrap_or_default().to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(
        found,
        [
            "COVERING INDEX message_due",
            "COVERING INDEX sqlite_autoindex_message_1",
            "INDEX message_by_creation",
            "INDEX message_due",
            "INDEX message_with_body",
            "INDEX sqlite_autoindex_message_1",
        ]
    );
}
