//! cargo bench --bench messages -- DATABASE_URL [MESSAGES]
//!
//! Measures the cost of a message: creating a client with and without a template, in turns in one run; and the messages
//! per second that one worker sends to a mail server on loopback. The database must be empty or from an earlier run.

#[path = "../tests/it/harness"]
#[expect(dead_code, unused_imports, reason = "the tests ask more of the mail server")]
mod harness {
    pub mod peers;
}

use std::{sync::Arc, time::Instant};

use async_graphql::MaybeUndefined::{Undefined, Value};
use chrono::Utc;
use clientele::{
    caller::Caller,
    client::ClientParts,
    db::{Database, DatabaseSettings},
    delivery::{NotificationSettings, Worker, channel::Channels},
    enums::{Channel, Event},
    message_guard::{MessageLimits, MessageSettings},
    notify::template::{MessageTemplateVariantInput, UpsertMessageTemplate},
    services::{ServiceSettings, Services},
    upsert::{AddressInput, ClientInput, IdDocumentInput, UpsertClient},
};
use futures_util::{StreamExt, stream};
use harness::peers::{Mailing, SmtpPeer};

/// The number of clients created concurrently.
const CONCURRENT: usize = 8;
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let url = arguments
        .first()
        .expect("usage: cargo bench --bench messages -- DATABASE_URL [MESSAGES]");
    let messages: usize = arguments
        .get(1)
        .map_or(5_000, |number| number.parse().expect("a number"));
    let db = Database::connect(url, &DatabaseSettings::default())
        .await
        .expect("the database answers");
    db.migrate().await.expect("migrations run");
    // All messages go to one recipient.
    let unlimited = ServiceSettings {
        messages: MessageSettings {
            limits: MessageLimits {
                recipient_daily: 0,
                caller_hourly: 0,
            },
            ..MessageSettings::default()
        },
        ..ServiceSettings::default()
    };
    let services = Services::new(db, unlimited);
    let clients = messages / ROUNDS;
    // Warm-up.
    create(&services, clients).await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (active, times) in [false, true].into_iter().zip(&mut times) {
            template(&services, active).await;
            times.push(create(&services, clients).await);
        }
    }
    let [without, with] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("create without a template {:>6.0} /s", clients as f64 / without);
    println!(
        "create with a message     {:>6.0} /s, {:.2} times the time",
        clients as f64 / with,
        with / without
    );
    send(&services, clients * ROUNDS).await;
}

/// Creates clients with an address and a document. Returns the duration in seconds.
async fn create(services: &Services, clients: usize) -> f64 {
    let input = UpsertClient {
        client: ClientInput {
            first_name: Value("Ada".to_owned()),
            last_name: Value("Bakker".to_owned()),
            email_address: Value("ada@example.test".to_owned()),
            ..ClientInput::default()
        },
        addresses: Value(vec![AddressInput {
            line1: Value("1 Test Lane".to_owned()),
            ..AddressInput::default()
        }]),
        id_documents: Value(vec![IdDocumentInput {
            document_type: Value("Passport".to_owned()),
            document_id: Value("X1234567".to_owned()),
            ..IdDocumentInput::default()
        }]),
        ..UpsertClient::default()
    };
    let begun = Instant::now();
    let create = async |_| {
        let answer = services
            .clients
            .upsert(&Caller::operator(), &input, ClientParts::default(), now())
            .await;
        assert!(answer.expect("the database answers").is_ok());
    };
    stream::iter(0..clients).for_each_concurrent(CONCURRENT, create).await;
    begun.elapsed().as_secs_f64()
}

async fn template(services: &Services, active: bool) {
    let input = UpsertMessageTemplate {
        template_id: "bench".to_owned(),
        encoded_key: Undefined,
        name: Value("Measured".to_owned()),
        event: Some(Event::ClientCreated),
        channel: Some(Channel::Email),
        active: Some(active),
        default_language: None,
        variants: Value(vec![MessageTemplateVariantInput {
            language: clientele::enums::Language::English,
            subject: Value("Welcome, {CLIENT_FIRST_NAMES}".to_owned()),
            text: "Dear {CLIENT_NAME}, your id is {CLIENT_ID}.".to_owned(),
            html: Value("<p>Dear {CLIENT_NAME}, your id is {CLIENT_ID}.</p>".to_owned()),
        }]),
        conditions: Undefined,
        client_mutation_id: None,
    };
    let answer = services
        .templates
        .upsert(&Caller::operator(), &input, std::time::SystemTime::now().into())
        .await;
    assert!(answer.expect("the database answers").is_ok());
}

/// Sends the queued messages.
async fn send(services: &Services, messages: usize) {
    let mail = SmtpPeer::start(Mailing::Accept).await;
    let settings = NotificationSettings {
        email: mail.settings(),
        ..NotificationSettings::default()
    };
    let channels = Arc::new(Channels::new(&settings).expect("the settings are sound"));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let worker = Worker::new(services.messages.clone(), channels, Arc::new(settings), Arc::new(now));
    let begun = Instant::now();
    let running = tokio::spawn(worker.run(stopped, std::time::Duration::from_secs(10)));
    mail.message(messages - 1).await;
    let seconds = begun.elapsed().as_secs_f64();
    stop.send_replace(true);
    running.await.expect("the worker ends");
    println!(
        "one worker sends          {:>6.0} messages/s",
        messages as f64 / seconds
    );
}

#[expect(clippy::disallowed_methods, reason = "a measurement is a door")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
