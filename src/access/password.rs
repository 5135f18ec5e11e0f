//! Passwords: which are good enough, and how they are hashed. Keeps none.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use rand::Rng;
use tokio::{task::spawn_blocking, time::timeout};

use super::turns::{Asker, Turn, Turns};
use crate::{
    error::{Cause, Error, Result},
    problem::ProblemCode,
    secret::Secret,
};

/// In characters.
const SHORTEST: usize = 12;
/// In bytes: hashing takes longer with every one.
pub const LONGEST: usize = 1_000;
/// Whoever has waited longer for a turn to hash is told to come back.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// What the password of a user that doesn't exist is compared with, so that it takes as long. No password is known for it.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCE/Pw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password isn't taken; none when it is.
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

/// A random password of 120 bits, made of letters and digits that can't be mistaken for one another.
pub fn random() -> Secret {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    rand::rng().fill_bytes(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    Secret::new(letters.iter().collect::<String>())
}

/// Hashes and compares passwords, off the runtime's threads and only so many at once: each takes 19 MiB and a core.
#[derive(Debug)]
pub struct Hasher {
    /// Whoever wants to hash needs one of them.
    pub turns: Arc<Turns>,
    done: AtomicU64,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new((cores / 2).max(1))
    }
}

impl Hasher {
    /// One that hashes so many passwords at once.
    pub fn new(at_once: usize) -> Self {
        Self {
            turns: Turns::new(at_once),
            done: AtomicU64::new(0),
        }
    }

    /// How often a password has been compared so far.
    pub fn comparisons(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// The hash to store, with its parameters and salt, for somebody who is in already.
    pub async fn hash(&self, password: &Secret) -> Result<String> {
        let password = password.clone();
        work(self.turn().await?, move || hash(&password)).await?
    }

    /// Whether it is the password with this hash, for somebody who is in already. None: there is no such user, which takes
    /// as long to find out.
    pub async fn matches(&self, password: &Secret, stored: Option<&str>) -> Result<bool> {
        let turn = self.turn().await?;
        self.compare(turn, password.clone(), stored.map(Secret::new)).await
    }

    /// The same for whoever has a turn.
    pub(super) async fn compare(&self, turn: Turn, password: Secret, stored: Option<Secret>) -> Result<bool> {
        self.done.fetch_add(1, Relaxed);
        work(turn, move || {
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

    async fn turn(&self) -> Result<Turn> {
        let waiting = self
            .turns
            .ask(Asker::Inside)
            .map_err(|_| Error::Unavailable(Cause::HashingQueue))?;
        let turn = timeout(PATIENCE, waiting.turn()).await;
        turn.ok()
            .and_then(Result::ok)
            .ok_or(Error::Unavailable(Cause::HashingQueue))
    }
}

/// The turn ends with the work, even if nobody waits for it any more.
async fn work<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let work = spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    work.await.map_err(Error::internal)
}

fn hash(password: &Secret) -> Result<String> {
    let hash = argon2().hash_password(password.reveal().as_bytes());
    let hash = hash.map_err(|_| Error::defect("a password could not be hashed"))?;
    Ok(hash.to_string())
}

/// Argon2id with 19 MiB, two passes and one lane: what OWASP recommends at least.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::{DECOY, Hasher, LONGEST, fault, random};
    use crate::{problem::ProblemCode, secret::Secret};

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
        let stored = hasher.hash(&right).await.expect("hashed");
        // What takes the place of a hash that isn't there is made in the same way.
        for hash in [stored.as_str(), DECOY] {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            assert_eq!(hash.len(), stored.len());
        }
        assert!(hasher.matches(&right, Some(&stored)).await.expect("compared"));
        assert!(!hasher.matches(&wrong, Some(&stored)).await.expect("compared"));
        assert!(!hasher.matches(&right, None).await.expect("compared"));
        assert_eq!(hasher.comparisons(), 3);
    }
}
