//! Checks the strength of passwords and hashes them. Stores none.

use std::{
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use rand::Rng;
use tokio::{task::spawn_blocking, time::timeout};

use super::hash_queue::{HashPermit, HashQueue, Waiter};
use crate::caller::Caller;
use clientele_core::{
    error::{Cause, Error, Result},
    fair_queue::QueueFull,
    flow::Flow,
    problem::ProblemCode,
    secret::Secret,
};

/// In characters.
const SHORTEST: usize = 12;
/// In bytes: hashing takes longer with every one.
pub const LONGEST: usize = 1_000;
/// Limit of the wait for a permit to hash.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The hash to compare with if the user doesn't exist, so that it takes as long. No password is known for it.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCE/Pw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Returns the reason to refuse a password; none if it is acceptable.
pub fn fault(password: &str) -> Option<(ProblemCode, String)> {
    if password.len() > LONGEST {
        let message = format!("The password must have at most {LONGEST} bytes.");
        return Some((ProblemCode::TooLong, message));
    }
    if password.chars().count() < SHORTEST {
        let message = format!("The password must have at least {SHORTEST} characters: a few random words will do.");
        return Some((ProblemCode::Malformed, message));
    }
    None
}

/// A random password of 120 bits, made of unambiguous letters and digits.
pub fn random() -> Secret {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    rand::rng().fill_bytes(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    Secret::new(letters.iter().collect::<String>())
}

/// The permit of a request in progress, which the request releases while it waits for something else.
pub trait PausablePermit: Sync {
    fn leave(&self);

    /// Waits for a permit again; false if there is none.
    fn come_back(&self) -> impl Future<Output = bool> + Send;
}

/// A command of the operator needs no permit.
impl PausablePermit for () {
    fn leave(&self) {}

    async fn come_back(&self) -> bool {
        true
    }
}

/// Hashes and compares passwords off the runtime's threads. The number at a time is limited: each takes 19 MiB and a
/// core.
#[derive(Debug)]
pub struct Hasher {
    /// Grants the permits to hash.
    pub queue: HashQueue,
    done: AtomicU64,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new((cores / 2).max(1))
    }
}

impl Hasher {
    /// Creates a hasher that runs at most `at_once` hashes at a time.
    pub fn new(at_once: usize) -> Self {
        Self {
            queue: HashQueue::new(at_once),
            done: AtomicU64::new(0),
        }
    }

    /// The number of password comparisons so far.
    pub fn comparisons(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Returns the hash to store, with its parameters and salt. The caller's request releases its permit while it waits
    /// and hashes.
    ///
    /// # Errors
    /// The queue is full, the wait timed out, or the request gets no permit again.
    pub(super) async fn hash(&self, caller: &Caller, request: &impl PausablePermit, password: &str) -> Result<String> {
        let waiter = Waiter::Caller(caller.flow().unwrap_or(Flow::Internal));
        let ticket = self.queue.join(waiter).map_err(|QueueFull| BUSY)?;
        request.leave();
        let permit = timeout(PATIENCE, ticket.granted()).await;
        let hashed = match permit.ok().and_then(Result::ok) {
            Some(permit) => {
                let password = Secret::new(password);
                work(permit, move || hash(&password)).await
            }
            None => Ok(Err(BUSY)),
        };
        // Also after an error: the request may continue with something else.
        match request.come_back().await {
            true => hashed?,
            false => Err(BUSY),
        }
    }

    /// Returns true if the password has this hash. Without a hash (no such user) it takes as long.
    pub(super) async fn compare(&self, permit: HashPermit, password: Secret, stored: Option<Secret>) -> Result<bool> {
        self.done.fetch_add(1, Relaxed);
        work(permit, move || {
            let compared = stored.as_ref().map_or(DECOY, Secret::reveal);
            let compared =
                PasswordHash::new(compared).map_err(|_| Error::defect("a stored password hash can't be read"))?;
            let right = argon2()
                .verify_password(password.reveal().as_bytes(), &compared)
                .is_ok();
            Ok(right && stored.is_some())
        })
        .await?
    }
}

const BUSY: Error = Error::Unavailable(Cause::HashingQueue);

/// Holds the permit until the work ends, even if the caller has stopped waiting.
async fn work<T: Send + 'static>(permit: HashPermit, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let work = spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    work.await.map_err(Error::internal)
}

fn hash(password: &Secret) -> Result<String> {
    let hash = argon2().hash_password(password.reveal().as_bytes());
    let hash = hash.map_err(|_| Error::defect("a password could not be hashed"))?;
    Ok(hash.to_string())
}

/// Argon2id with 19 MiB, two passes and one lane: the OWASP minimum.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::{DECOY, Hasher, LONGEST, Waiter, fault, random};
    use crate::caller::Caller;
    use clientele_core::{flow::Flow, problem::ProblemCode, secret::Secret};

    #[test]
    fn a_password_has_twelve_characters_and_at_most_a_thousand_bytes() {
        for (password, code) in [
            ("elevenchars".to_owned(), Some(ProblemCode::Malformed)),
            ("twelve chars".to_owned(), None),
            ("ä".repeat(11), Some(ProblemCode::Malformed)),
            ("ä".repeat(12), None),
            ("a".repeat(LONGEST), None),
            ("a".repeat(LONGEST + 1), Some(ProblemCode::TooLong)),
            (random().reveal().to_owned(), None),
        ] {
            assert_eq!(fault(&password).map(|(code, _)| code), code, "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_says_how_it_was_made_and_fits_its_password_only() {
        let hasher = Hasher::default();
        let (right, wrong) = (random(), Secret::new("something else"));
        let stored = hasher
            .hash(&Caller::operator(), &(), right.reveal())
            .await
            .expect("hashed");
        // The decoy has the same parameters.
        for hash in [stored.as_str(), DECOY] {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            assert_eq!(hash.len(), stored.len());
        }
        for (password, stored, expected) in [
            (&right, Some(&*stored), true),
            (&wrong, Some(&*stored), false),
            (&right, None, false),
        ] {
            let ticket = hasher.queue.join(Waiter::Caller(Flow::Internal)).expect("room");
            let permit = ticket.granted().await.expect("a permit");
            let compared = hasher.compare(permit, password.clone(), stored.map(Secret::new)).await;
            assert_eq!(compared.expect("compared"), expected);
        }
        assert_eq!(hasher.comparisons(), 3);
    }
}
