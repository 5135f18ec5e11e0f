//! cargo bench --bench history --features unrecorded -- DATABASE_URL [CLIENTS]
//!
//! Measures the cost of the audit log: creating clients, and changing one member of each, with and without it, in turns
//! in one run. The database must be empty or from an earlier run.

use std::time::Instant;

use async_graphql::MaybeUndefined::Value;
use chrono::Utc;
use clientele::{
    audit::AuditLog,
    caller::Caller,
    client::{ClientParts, Clients},
    db::{Database, DatabaseSettings},
    definitions::DefinitionsCache,
    upsert::{AddressInput, ClientInput, IdDocumentInput, UpsertClient},
};
use futures_util::{StreamExt, stream};

/// The number of clients written concurrently.
const CONCURRENT: usize = 8;
const ROUNDS: usize = 15;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let url = arguments.next();
    let url = url.expect("usage: cargo bench --bench history --features unrecorded -- DATABASE_URL [CLIENTS]");
    let clients = arguments
        .next()
        .map_or(6_000, |number| number.parse().expect("a number"));
    let clients = clients / ROUNDS;
    let db = Database::connect(&url, &DatabaseSettings::default()).await;
    let db = db.expect("the database answers");
    db.migrate().await.expect("migrations run");
    let service = |audit| {
        let definitions = DefinitionsCache::new(db.clone());
        Clients::new(
            db.clone(),
            definitions,
            audit,
            Default::default(),
            Default::default(),
            Default::default(),
        )
    };
    let with = service(AuditLog::new(db.clone(), Default::default()));
    let without = service(AuditLog::left_out(db.clone()));
    // The first round is a warm-up.
    for service in [&with, &without] {
        let keys = create(service, clients).await;
        change(service, &keys).await;
    }
    let mut times = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for round in 0..ROUNDS {
        let mut turns = [(&with, 0), (&without, 1)];
        turns.rotate_left(round % 2);
        for (service, which) in turns {
            let begun = Instant::now();
            let keys = create(service, clients).await;
            times[0][which].push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            change(service, &keys).await;
            times[1][which].push(begun.elapsed().as_secs_f64());
        }
    }
    for (name, times) in ["create", "change"].into_iter().zip(times) {
        let [with, without] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        let [with_rate, without_rate] = [with, without].map(|seconds| clients as f64 / seconds);
        let ratio = with / without;
        println!(
            "{name}: {without_rate:>6.0} /s without history, {with_rate:>6.0} /s with it, {ratio:.2} times the time"
        );
    }
}

/// Creates clients with an address and a document, and returns their keys.
async fn create(service: &Clients, clients: usize) -> Vec<String> {
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
    let create = async |_| upsert(service, &input).await;
    stream::iter(0..clients)
        .map(create)
        .buffer_unordered(CONCURRENT)
        .collect()
        .await
}

/// Changes one member of each client.
async fn change(service: &Clients, keys: &[String]) {
    let change = async |key: &String| {
        let mut input = UpsertClient::default();
        input.client.encoded_key = Value(key.clone());
        input.client.notes = Value("changed".to_owned());
        upsert(service, &input).await;
    };
    stream::iter(keys).for_each_concurrent(CONCURRENT, change).await;
}

async fn upsert(service: &Clients, input: &UpsertClient) -> String {
    let answer = service
        .upsert(&Caller::operator(), input, ClientParts::default(), now())
        .await;
    let upserted = answer.expect("the database answers").expect("a sound client");
    upserted.client.client.encoded_key
}

#[expect(clippy::disallowed_methods, reason = "a measurement is a door")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
