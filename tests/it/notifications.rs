//! Notifications: templates, queueing, delivery, and reads of messages.

mod channels;
mod erasure;
mod fallback;
mod killed;
mod limits;
pub mod manual_worker;
pub mod messages;
mod queueing;
mod quiet_hours;
mod rate;
mod receipt_command;
mod receipts;
mod sending;
mod suppressions;
mod templates;
mod test_command;
mod upkeep;
mod workers;

use chrono::{DateTime, Utc};
use clientele::caller::Caller;
use entity::message;
use prometheus_client::{encoding::text::encode, registry::Registry};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};

use crate::harness::{TestServer, graphql::define_template, with};

/// Stores a template of this id: CLIENT_CREATED by e-mail, unless `changes` say otherwise.
async fn template(server: &TestServer, id: &str, changes: Value) {
    let sms = changes["channel"] == "SMS";
    let variant = match sms {
        true => json!({ "language": "ENGLISH", "text": "Dear {CLIENT_NAME}" }),
        false => json!({ "language": "ENGLISH", "subject": "Welcome", "text": "Dear {CLIENT_NAME}" }),
    };
    let input =
        json!({ "templateId": id, "name": id, "event": "CLIENT_CREATED", "channel": "EMAIL", "variants": [variant] });
    define_template(server, with(input, changes)).await;
}

/// A client that can be reached on both channels.
fn reachable() -> Value {
    json!({ "firstName": "Ana", "lastName": "Cruz", "emailAddress": "ana@example.test",
        "mobilePhone1": "+14155550101" })
}

/// All messages, in the order of their creation.
async fn messages(server: &TestServer) -> Vec<message::Model> {
    let all = message::Entity::find().order_by_asc(message::Column::EncodedKey);
    all.all(server.services.db.read()).await.expect("the table can be read")
}

/// Each message as channel, template, language and recipient.
async fn queued(server: &TestServer) -> Vec<String> {
    let texts = messages(server).await.into_iter().map(|message| {
        assert_eq!((message.state.as_str(), message.attempts), ("QUEUED", 0));
        format!(
            "{} {} {} {}",
            message.channel, message.template_id, message.language, message.recipient
        )
    });
    texts.collect()
}

/// Queues this many copies of the only message.
async fn queue_copies(server: &TestServer, copies: usize) {
    let same = "client_key, event, channel, template_key, template_id, variant_key, language, recipient, \
        placeholders, created_at, queued_at";
    let sql = format!(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {copies}) \
         INSERT INTO message (encoded_key, {same}, due_at, state, attempts) \
         SELECT encoded_key || '-' || n, {same}, queued_at, 'QUEUED', 0 FROM message, number"
    );
    server.write(&sql).await.expect("written");
}

/// The metrics of messages that aren't 0, in order.
async fn metrics(server: &TestServer, now: DateTime<Utc>) -> Vec<String> {
    let messages = &server.services.messages;
    let read = messages.read_outbox(&Caller::operator(), now).await;
    read.expect("the database answers");
    let mut registry = Registry::default();
    messages.metrics.register(&mut registry);
    let mut page = String::new();
    encode(&mut page, &registry).expect("text");
    let lines = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Defines a custom field of text.
async fn define(server: &TestServer, id: &str) {
    server
        .define(vec![crate::harness::field(id, clientele::definitions::Kind::Text)])
        .await;
}
