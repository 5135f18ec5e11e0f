//! Limits of the messages to one recipient and of one caller.

use chrono::{DateTime, TimeDelta, Utc};
use clientele::{
    caller::{Permission, Rights},
    delivery::NotificationSettings,
    message_guard::{MessageLimits, MessageSettings},
};
use serde_json::{Value, json};

use super::{manual_worker::Hand, messages, template};
use crate::harness::{
    Backend, Settings, TestServer,
    graphql::{data, store_key},
};

async fn limited(server: &TestServer, recipient_daily: u32, caller_hourly: u32) -> TestServer {
    let settings = Settings {
        messages: MessageSettings {
            limits: MessageLimits {
                recipient_daily,
                caller_hourly,
            },
            region: "US".to_owned(),
        },
        ..Settings::default()
    };
    server.another(settings).await
}

fn client(recipient: &str) -> Value {
    let member = if recipient.contains('@') {
        "emailAddress"
    } else {
        "mobilePhone1"
    };
    json!({ "client": { "firstName": "Ana", "lastName": "Cruz", member: recipient } })
}

/// The state of each message with its reason, in the order of their creation.
async fn states(server: &TestServer) -> Vec<String> {
    let all = messages(server).await.into_iter();
    all.map(|message| match message.reason {
        Some(reason) => format!("{} {reason}", message.state),
        None => message.state,
    })
    .collect()
}

/// Makes the counted messages that meet a condition as old as this.
fn aged(age: TimeDelta, condition: &str) -> String {
    let at = DateTime::<Utc>::from(std::time::SystemTime::now()) - age;
    let at = at.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    format!("UPDATE raised_message SET created_at = '{at}' WHERE {condition}")
}

const OVER: &str = "SUPPRESSED RECIPIENT_LIMIT";
const CALLER: &str = "SUPPRESSED CALLER_LIMIT";

fn creator() -> Rights {
    Rights::of([Permission::CreateClient, Permission::EditClient])
}

on_both!(
    recipient_gets_as_many_messages_as_the_limit_in_a_day,
    caller_raises_as_many_messages_as_the_limit_in_an_hour,
    limits_can_be_switched_off,
    messages_of_one_change_count_one_by_one,
    suppressed_messages_are_counted_and_can_be_resent,
    default_limits_hold,
    rejected_and_checked_input_counts_nothing,
    counting_uses_indexes,
);

async fn recipient_gets_as_many_messages_as_the_limit_in_a_day(server: &TestServer) {
    let server = limited(server, 2, 0).await;
    template(&server, "hello", json!({})).await;
    template(&server, "text", json!({ "channel": "SMS" })).await;
    // However it is written, and whatever client has it.
    for address in [
        "ana@example.test",
        "Ana@Example.Test",
        "ANA@example.test",
        "bo@example.test",
    ] {
        store_key(&server, client(address)).await;
    }
    assert_eq!(states(&server).await, ["QUEUED", "QUEUED", OVER, "QUEUED"]);
    for number in ["(415) 555-0101", "+1 415 555 0101", "4155550101"] {
        store_key(&server, client(number)).await;
    }
    assert_eq!(states(&server).await[4..], ["QUEUED", "QUEUED", OVER]);
    let suppressed = messages(&server).await.remove(2);
    assert_eq!(
        (suppressed.due_at, suppressed.attempts, suppressed.failed_at),
        (None, 0, None)
    );
    assert!(suppressed.placeholders.is_some(), "it can still be sent");
    // A day later the first message doesn't count any more.
    let age = |hours: i64| aged(TimeDelta::hours(hours), "recipient = 'ana@example.test'");
    server.write(&age(23)).await.expect("written");
    store_key(&server, client("ana@example.test")).await;
    server.write(&age(25)).await.expect("written");
    store_key(&server, client("ana@example.test")).await;
    assert_eq!(states(&server).await[7..], [OVER, "QUEUED"]);
    server.stop().await;
}

async fn caller_raises_as_many_messages_as_the_limit_in_an_hour(server: &TestServer) {
    let server = limited(server, 0, 2).await;
    template(&server, "hello", json!({})).await;
    let caller = server.as_caller(&creator());
    let other = server.as_caller(&Rights::of([Permission::CreateClient]));
    for at in 0..3 {
        store_key(&caller, client(&format!("a{at}@example.test"))).await;
    }
    store_key(&other, client("b@example.test")).await;
    // Callers without authentication are anonymous.
    for at in 0..3 {
        store_key(&server, client(&format!("c{at}@example.test"))).await;
    }
    let queued = "QUEUED";
    assert_eq!(
        states(&server).await,
        [queued, queued, CALLER, queued, queued, queued, queued]
    );
    for (minutes, expected) in [(59, CALLER), (61, queued)] {
        server
            .write(&aged(TimeDelta::minutes(minutes), "caller IS NOT NULL"))
            .await
            .expect("written");
        store_key(&caller, client("a@example.test")).await;
        assert_eq!(states(&server).await.last().map(String::as_str), Some(expected));
    }
    server.stop().await;
}

async fn limits_can_be_switched_off(server: &TestServer) {
    let server = limited(server, 0, 0).await;
    template(&server, "hello", json!({})).await;
    let caller = server.as_caller(&creator());
    for _ in 0..25 {
        store_key(&caller, client("ana@example.test")).await;
    }
    assert_eq!(states(&server).await, ["QUEUED"; 25]);
    server.stop().await;
}

async fn messages_of_one_change_count_one_by_one(server: &TestServer) {
    let server = limited(server, 2, 3).await;
    for id in ["a", "b", "c"] {
        template(&server, id, json!({})).await;
        template(&server, &format!("{id}-sms"), json!({ "channel": "SMS" })).await;
    }
    let caller = server.as_caller(&creator());
    let mut both = client("ana@example.test");
    both["client"]["mobilePhone1"] = json!("+14155550101");
    store_key(&caller, both).await;
    let mut states = states(&server).await;
    states.sort();
    // Two e-mails and a text message; then the third e-mail is over one limit, and the other texts over the other.
    assert_eq!(states, ["QUEUED", "QUEUED", "QUEUED", CALLER, CALLER, OVER]);
    server.stop().await;
}

async fn suppressed_messages_are_counted_and_can_be_resent(server: &TestServer) {
    let server = limited(server, 1, 0).await;
    template(&server, "hello", json!({})).await;
    for _ in 0..3 {
        store_key(&server, client("ana@example.test")).await;
    }
    let mut page = String::new();
    let mut registry = prometheus_client::registry::Registry::default();
    server.services.messages.metrics.register(&mut registry);
    prometheus_client::encoding::text::encode(&mut page, &registry).expect("text");
    let counted = "messages_suppressed_total{channel=\"EMAIL\",reason=\"RECIPIENT_LIMIT\"} 2\n";
    assert!(page.contains(counted), "{page}");
    let resend = "mutation($filter: MessageFilter) { resendMessages(input: { filter: $filter }) { resent } }";
    // A resend of all failed messages leaves them alone.
    for (filter, resent) in [
        (json!({}), 0),
        (json!({ "states": ["QUEUED"] }), 0),
        (json!({ "states": ["SUPPRESSED", "SENT"] }), 2),
    ] {
        let answer = data(&server, resend, json!({ "filter": filter })).await;
        assert_eq!(answer["resendMessages"]["resent"], resent, "{filter}");
    }
    assert_eq!(states(&server).await, ["QUEUED"; 3]);
    let mut worker = Hand::new(&server, NotificationSettings::default());
    worker.finish().await;
    assert_eq!(states(&server).await, ["SENT"; 3]);
    server.stop().await;
}

async fn default_limits_hold(server: &TestServer) {
    template(server, "hello", json!({})).await;
    for _ in 0..21 {
        store_key(server, client("ana@example.test")).await;
    }
    let expected = [vec!["QUEUED"; 20], vec![OVER]].concat();
    assert_eq!(states(server).await, expected);
    assert_eq!(MessageLimits::default().caller_hourly, 10_000);
}

async fn rejected_and_checked_input_counts_nothing(server: &TestServer) {
    let server = limited(server, 1, 0).await;
    template(&server, "hello", json!({})).await;
    let upsert = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } } }";
    let mut checked = client("ana@example.test");
    checked["validateOnly"] = json!(true);
    data(&server, upsert, json!({ "input": checked })).await;
    store_key(&server, client("ana@example.test")).await;
    assert_eq!(states(&server).await, ["QUEUED"]);
    server.stop().await;
}

async fn counting_uses_indexes(server: &TestServer) {
    template(server, "hello", json!({})).await;
    let caller = server.as_caller(&creator());
    store_key(&caller, client("ana@example.test")).await;
    server.statements();
    store_key(&caller, client("ana@example.test")).await;
    let statements = server.statements();
    let sql = statements
        .iter()
        .find(|sql| sql.contains("FROM suppression s"))
        .expect("the check");
    let explain = match server.backend {
        Backend::Sqlite => format!("EXPLAIN QUERY PLAN {sql}"),
        Backend::Postgres => {
            // Planned by statistics: many messages of many recipients and callers.
            for sql in [
                "ALTER TABLE raised_message DROP CONSTRAINT raised_message_client_key_encoded_key_fkey",
                "INSERT INTO raised_message SELECT 'c' || n, 'm' || n, 'EMAIL', 'r' || n % 20000 || '@example.test', \
                 'USER:' || n % 50, now() - n * interval '1 second' FROM generate_series(1, 200000) n",
                "ANALYZE raised_message",
            ] {
                server.write(sql).await.expect("written");
            }
            let rows = r#"'[{"channel":"EMAIL","recipient":"r1@example.test"}]'"#;
            let values = [
                ("$1", rows),
                ("$2", "'yesterday'"),
                ("$3", "'yesterday'"),
                ("$4", "'USER:1'"),
            ];
            let bound = values
                .iter()
                .fold(sql.clone(), |sql, (name, value)| sql.replace(name, value));
            format!("EXPLAIN {bound}")
        }
    };
    let rows = server.services.db.read().all(explain, []).await.expect("a plan");
    let column = if server.backend == Backend::Sqlite { 3 } else { 0 };
    let steps = rows
        .iter()
        .map(|row| row.try_get_by_index::<String>(column).expect("a text"));
    let plan = steps.collect::<Vec<_>>().join("\n");
    for index in ["raised_message_by_recipient", "raised_message_by_caller"] {
        assert!(plan.contains(index), "{index}\n{sql}\n{plan}");
    }
    assert!(
        !plan.contains("SCAN m") && !plan.contains("Seq Scan on raised_message"),
        "{plan}"
    );
}
