//! Database failures under a started server: acknowledged changes are stored, refused ones leave nothing.
//!
//! The server is the real program with its default settings. Each test makes one kind of operation fail at every step
//! in
//! turn, until the operation succeeds because no step is left.

mod commands;
mod full_disk;
mod imports;
mod injector;
mod lists;
mod moved_file;
mod operation;
mod outage;
mod postgres;
pub mod proxy;
mod system_calls;
mod triggers;
mod work;
mod worker;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use clientele::{
    db::{Database, DatabaseSettings},
    delivery::{NotificationSettings, Worker, channel::Channels},
    notify::Messages,
    outbox_signal::OutboxSignal,
};

use self::operation::{Acknowledged, Caller, Stored};
use crate::harness::program::{self, Server};

/// Only requests use the database, so that a fault hits the request that it is meant for.
const NO_WORKER: (&str, &str) = ("CLIENTELE_NOTIFICATIONS__WORKER", "false");

/// The whole log of the many requests would take more time than the requests.
const SHORT_LOG: (&str, &str) = ("CLIENTELE_LOG__FILTER", "info");

/// The acknowledged changes.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<Acknowledged>,
}

impl Ledger {
    /// Asserts that every acknowledged row is in the database, that the database is sound, and that a server started
    /// on it continues where the last one ended.
    async fn assert_stored(&self, url: &str) {
        assert!(!self.acknowledged.is_empty(), "nothing was acknowledged");
        let database = Database::connect_to_look(url, &DatabaseSettings::default())
            .await
            .expect("the database is there");
        for Acknowledged {
            stored: Stored(sql), ..
        } in &self.acknowledged
        {
            assert_eq!(count(&database, sql).await, 1, "acknowledged, but not stored: {sql}");
        }
        assert_eq!(
            count(&database, WITHOUT_RECORD).await,
            0,
            "a client has no record of its creation"
        );
        assert_eq!(
            count(&database, WITHOUT_MESSAGE).await,
            0,
            "a client has no welcome message"
        );
        assert_eq!(count(&database, WITHOUT_CLIENT).await, 0, "a message has no client");
        if url.starts_with("sqlite:") {
            let row = database.read().one("PRAGMA integrity_check", []).await;
            let verdict: String = row.expect("read").expect("a row").try_get_by_index(0).expect("a text");
            assert_eq!(verdict, "ok");
        }
        database.close().await;
        let (directory, environment) = (program::directory(), [("DATABASE_URL", url)]);
        let verified = program::clientele(&directory, &["audit", "verify"], &environment).output();
        let output = verified.expect("the program starts");
        assert!(output.status.success(), "{}", program::text(output.stdout));
        self.assert_answers_are_kept(url).await;
        send_messages(url).await;
    }

    /// Repeats the requests that had a key: they are answered as before.
    async fn assert_answers_are_kept(&self, url: &str) {
        let server = Server::open(&[("DATABASE_URL", url)]);
        let caller = Caller::of(&server.address);
        for replay in self.acknowledged.iter().filter_map(|one| one.replay.as_ref()) {
            assert_eq!(
                caller.repeat(replay).await.as_ref(),
                Some(&replay.answer),
                "{}",
                replay.key
            );
        }
    }
}

/// Asserts that every message can still be sent, regardless of the worker that had claimed it.
async fn send_messages(url: &str) {
    let database = Database::connect(url, &DatabaseSettings::default())
        .await
        .expect("the database is there");
    let messages = Messages::new(database.clone(), OutboxSignal::default(), Default::default());
    let settings = NotificationSettings::default();
    let channels = Channels::new(&settings).expect("the default settings are valid");
    // Every lease has ended and every pause is over.
    let tomorrow = DateTime::<Utc>::from(SystemTime::now() + Duration::from_secs(86_400));
    let clock = Arc::new(move || tomorrow);
    let mut worker = Worker::new(messages, Arc::new(channels), Arc::new(settings), clock);
    while worker.step().await.expect("the database answers") > 0 {}
    assert_eq!(count(&database, NOT_SENT).await, 0, "a message was not sent");
    database.close().await;
}

const WITHOUT_RECORD: &str = "SELECT count(*) FROM client WHERE NOT EXISTS \
    (SELECT 1 FROM audit_record WHERE audit_record.subject_key = client.encoded_key)";
const WITHOUT_MESSAGE: &str = "SELECT count(*) FROM client WHERE NOT EXISTS \
    (SELECT 1 FROM message WHERE message.client_key = client.encoded_key)";
/// Without the messages of erased clients, which have no recipient.
const NOT_SENT: &str = "SELECT count(*) FROM message WHERE state <> 'SENT' AND recipient <> ''";
const WITHOUT_CLIENT: &str = "SELECT count(*) FROM message WHERE NOT EXISTS \
    (SELECT 1 FROM client WHERE client.encoded_key = message.client_key)";

async fn count(database: &Database, sql: &str) -> i64 {
    let row = database.read().one(sql, []).await;
    let row = row.expect("it can be read").expect("a count is a row");
    row.try_get_by_index(0).expect("a number")
}
