//! Which credentials have been found right lately, so that a caller who sends his password with every request pays for its
//! hash once. Keeps no password: only keyed hashes, under a key that no other process has and that is written nowhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use rand::Rng;
use ring::hmac;
use tokio::sync::OnceCell;

use crate::error::Result;

const MOST: u64 = 50_000;
/// However often they are used, credentials are looked at again after this.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The keyed hash of credentials.
pub type Mark = [u8; 32];

/// Credentials that have been found right, by their marks.
pub struct Verified {
    key: hmac::Key,
    right: Cache<Mark, ()>,
    /// What is being looked at right now: callers with the same credentials wait for one answer.
    asking: Mutex<HashMap<Mark, Arc<OnceCell<bool>>>>,
}

impl Default for Verified {
    fn default() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Cache::builder().max_capacity(MOST).time_to_live(LONGEST).build(),
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

    pub fn contains(&self, mark: &Mark) -> bool {
        self.right.contains_key(mark)
    }

    /// Whether the credentials are right, as `ask` finds out. Who comes while somebody else asks gets the same answer.
    ///
    /// # Errors
    /// Those of `ask`; then the next one asks anew.
    pub async fn find_out<F: Future<Output = Result<bool>>>(
        &self,
        mark: Mark,
        ask: impl FnOnce() -> F,
    ) -> Result<bool> {
        // However this ends, also when nobody waits for it any more.
        let _asked = Asked(self, mark);
        let cell = self.lock().entry(mark).or_default().clone();
        let answer = cell.get_or_try_init(ask).await.copied();
        if let Ok(true) = answer {
            self.right.insert(mark, ());
        }
        answer
    }

    /// Whether somebody is finding it out right now.
    pub fn is_asked(&self, mark: &Mark) -> bool {
        self.lock().contains_key(mark)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Mark, Arc<OnceCell<bool>>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the asking.
struct Asked<'a>(&'a Verified, Mark);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
