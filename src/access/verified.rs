//! Which credentials have been found right lately, so that a caller who sends his password with every request pays for its
//! hash once. Keeps no password: only keyed hashes, under a key that no other process has and that is written nowhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use rand::Rng;
use ring::hmac;
use tokio::sync::watch;

use crate::error::{Error, Result};

const MOST: u64 = 50_000;
/// Credentials that nobody has used for so long are looked at again. Those in use need no end: a mark holds only as long as
/// the stored hash does, and looking again would put their owner at the mercy of whoever fails beside him.
const LONGEST_IDLE: Duration = Duration::from_secs(60 * 60);

/// The keyed hash of credentials.
pub type Mark = [u8; 32];

/// What will have been found out.
type Answer = watch::Receiver<Option<Result<bool>>>;

/// Credentials that have been found right, by their marks.
pub struct Verified {
    key: hmac::Key,
    right: Cache<Mark, ()>,
    /// What is being looked at right now: callers with the same credentials wait for one answer.
    asking: Mutex<HashMap<Mark, Answer>>,
}

impl Default for Verified {
    fn default() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Cache::builder().max_capacity(MOST).time_to_idle(LONGEST_IDLE).build(),
            asking: Mutex::default(),
        }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified")
    }
}

impl Verified {
    /// The mark of these parts, whose order and borders count.
    pub fn mark(&self, parts: &[&[u8]]) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// Also puts off that they are forgotten.
    pub fn contains(&self, mark: &Mark) -> bool {
        self.right.get(mark).is_some()
    }

    /// Whether the credentials are right, as the future that `ask` begins finds out, whoever still waits for it. Who comes
    /// before it has ended gets the same answer and begins nothing.
    ///
    /// # Errors
    /// Those of `ask`: it wasn't begun, and the next one asks anew.
    pub async fn find_out<F, R>(
        self: &Arc<Self>,
        mark: Mark,
        ask: impl FnOnce() -> Result<F, R>,
    ) -> Result<Result<bool>, R>
    where
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        let mut answer = {
            let mut asking = self.lock();
            if self.contains(&mark) {
                return Ok(Ok(true));
            }
            match asking.get(&mark) {
                Some(answer) => answer.clone(),
                None => {
                    let asked = ask()?;
                    let (found, answer) = watch::channel(None);
                    asking.insert(mark, answer.clone());
                    tokio::spawn(Asked(self.clone(), mark).answer(asked, found));
                    answer
                }
            }
        };
        let found = answer.wait_for(Option::is_some).await;
        let found = found.map(|found| found.clone()).ok().flatten();
        Ok(found.unwrap_or_else(|| Err(Error::defect("looking at a password was given up"))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Mark, Answer>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the asking, however that ends.
struct Asked(Arc<Verified>, Mark);

impl Asked {
    async fn answer(self, asked: impl Future<Output = Result<bool>>, found: watch::Sender<Option<Result<bool>>>) {
        let right = asked.await;
        // Before the asking ends: no moment in between lets anybody begin it again.
        if let Ok(true) = right {
            self.0.right.insert(self.1, ());
        }
        drop(self);
        found.send_replace(Some(right));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
