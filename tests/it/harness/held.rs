//! Transactions that hold a lock on PostgreSQL until the test releases them.

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
        let backend = self.backend.borrow().expect("the lock is held");
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {backend} = ANY(pg_blocking_pids(pid))");
        loop {
            let row = server
                .services
                .db
                .read()
                .one(sql.as_str(), [])
                .await
                .expect("an answer");
            let waiting: i64 = row.expect("a row").try_get_by_index(0).expect("a number");
            if waiting > 0 {
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
