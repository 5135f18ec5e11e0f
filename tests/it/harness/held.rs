//! Transactions that hold a lock on PostgreSQL until the test releases them.

use chrono::{DateTime, Utc};
use clientele::{
    db::{Step, Transaction, Work},
    error::Result,
};
use tokio::sync::{Notify, watch};

use super::TestServer;

/// A transaction that takes a lock, and makes its changes when it is released.
pub struct HeldLock {
    /// The statement that takes the lock. Its result is the process id of the backend.
    lock: String,
    changes: Vec<String>,
    backend: watch::Sender<Option<i32>>,
    released: Notify,
}

impl HeldLock {
    /// Locks a client as an upsert does.
    pub fn of_client(key: &str, changes: impl IntoIterator<Item = String>) -> Self {
        let lock = format!("SELECT pg_backend_pid() FROM client WHERE encoded_key = '{key}' FOR NO KEY UPDATE");
        Self::new(lock, changes)
    }

    /// Takes an advisory lock.
    pub fn of_number(number: i64) -> Self {
        Self::new(
            format!("SELECT pg_backend_pid() FROM pg_advisory_xact_lock({number})"),
            [],
        )
    }

    /// Claims a unique value of a custom field for a client.
    pub fn of_claim(field_key: &str, value: &str, client_key: &str) -> Self {
        let claim = format!(
            "INSERT INTO custom_field_claim (field_key, value, client_key) VALUES ('{field_key}', '{value}', \
             '{client_key}') RETURNING pg_backend_pid()"
        );
        Self::new(claim, [])
    }

    /// Takes the slots of a channel up to a time.
    pub fn of_rate(channel: &str, until: &DateTime<Utc>) -> Self {
        let lock = format!("SELECT pg_backend_pid() FROM channel_rate WHERE channel = '{channel}' FOR UPDATE");
        let at = entity::instant::to_text(until);
        let change = format!("UPDATE channel_rate SET next_at = '{at}' WHERE channel = '{channel}'");
        Self::new(lock, [change])
    }

    /// Gives a stored client another id, which is in use only after the release.
    pub fn of_id(id: &str, client_key: &str) -> Self {
        let lock = format!(
            "INSERT INTO client_id_claim (client_id, client_key) VALUES ('{id}', '{client_key}') \
             RETURNING pg_backend_pid()"
        );
        let change = format!("UPDATE client SET client_id = '{id}' WHERE encoded_key = '{client_key}'");
        Self::new(lock, [change])
    }

    /// Holds a unique value of a custom field back: no client can claim it before the release.
    pub fn of_value(field_key: &str, value: &str) -> Self {
        let unclaim = format!("DELETE FROM custom_field_claim WHERE field_key = '{field_key}' AND value = '{value}'");
        Self {
            changes: vec![unclaim],
            ..Self::of_claim(field_key, value, "holder")
        }
    }

    fn new(lock: String, changes: impl IntoIterator<Item = String>) -> Self {
        Self {
            lock,
            changes: changes.into_iter().collect(),
            backend: watch::Sender::default(),
            released: Notify::new(),
        }
    }

    /// Holds the lock until [`release`](Self::release), and commits the changes.
    pub async fn hold(&self, server: &TestServer) {
        server.services.db.write(self).await.expect("the changes are committed");
    }

    /// Begins `second` when `first` waits for the lock, and releases it when `second` waits for `first`, or has ended.
    pub async fn between<A, B>(
        &self,
        server: &TestServer,
        first: impl Future<Output = A>,
        second: impl Future<Output = B>,
    ) -> (A, B) {
        let second = async {
            self.is_waited_for(server).await;
            let mut second = std::pin::pin!(second);
            tokio::select! {
                ended = &mut second => {
                    self.release();
                    ended
                }
                () = self.is_waited_for_by(2, server) => {
                    self.release();
                    second.await
                }
            }
        };
        let both = async {
            self.is_held().await;
            tokio::join!(first, second)
        };
        tokio::join!(self.hold(server), both).1
    }

    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Returns when the lock is held.
    pub async fn is_held(&self) {
        let mut backend = self.backend.subscribe();
        backend.wait_for(Option::is_some).await.expect("the lock is held");
    }

    /// Returns when a statement waits for this transaction.
    pub async fn is_waited_for(&self, server: &TestServer) {
        self.is_waited_for_by(1, server).await;
    }

    /// Returns when this number of statements wait for this transaction, one after the other.
    pub async fn is_waited_for_by(&self, count: i64, server: &TestServer) {
        let backend = self.backend.borrow().expect("the lock is held");
        let sql = format!(
            "WITH RECURSIVE waiting(pid) AS (SELECT {backend} UNION SELECT a.pid FROM pg_stat_activity a \
             JOIN waiting w ON w.pid = ANY(pg_blocking_pids(a.pid))) SELECT count(*) - 1 FROM waiting"
        );
        loop {
            let row = server
                .services
                .db
                .read()
                .one(sql.as_str(), [])
                .await
                .expect("an answer");
            let waiting: i64 = row.expect("a row").try_get_by_index(0).expect("a number");
            if waiting >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Work for HeldLock {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let row = transaction.one(self.lock.as_str(), []).await?.expect("a lock");
        self.backend.send_replace(Some(row.try_get_by_index(0)?));
        self.released.notified().await;
        for change in &self.changes {
            transaction.run(change.as_str(), []).await?;
        }
        Ok(Step::Commit(()))
    }
}
