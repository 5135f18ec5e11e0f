//! Passwords: which are good enough, and how they are hashed. Keeps none.

use std::{
    num::NonZero,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use rand::Rng;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{
    error::{Error, Result},
    problem::ProblemCode,
    secret::Secret,
};

/// In characters.
const SHORTEST: usize = 12;
/// In bytes: hashing takes longer with every one.
pub const LONGEST: usize = 1_000;
/// Whoever has waited longer for the hasher is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

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
    turns: Arc<Semaphore>,
    /// What the password of a user that doesn't exist is compared with, so that it takes as long.
    decoy: OnceLock<String>,
    done: AtomicU64,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            turns: Arc::new(Semaphore::new((cores / 2).max(1))),
            decoy: OnceLock::new(),
            done: AtomicU64::new(0),
        }
    }
}

impl Hasher {
    /// How often a password has been compared so far.
    pub fn comparisons(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// The hash to store, with its parameters and salt.
    pub async fn hash(&self, password: &Secret) -> Result<String> {
        let password = password.clone();
        self.work(move || hash(&password)).await?
    }

    /// Whether it is the password with this hash. None: there is no such user, which takes as long to find out.
    pub async fn matches(&self, password: &Secret, stored: Option<&str>) -> Result<bool> {
        self.done.fetch_add(1, Relaxed);
        let stored = match (stored, self.decoy.get()) {
            (Some(stored), _) => stored.to_owned(),
            (None, Some(decoy)) => decoy.clone(),
            (None, None) => {
                let decoy = self.hash(&random()).await?;
                self.decoy.get_or_init(|| decoy).clone()
            }
        };
        let password = password.clone();
        self.work(move || {
            let stored =
                PasswordHash::new(&stored).map_err(|_| Error::defect("a stored password hash can't be read"))?;
            Ok(argon2().verify_password(password.reveal().as_bytes(), &stored).is_ok())
        })
        .await?
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Unavailable)?.map_err(Error::internal)?;
        // The turn ends with the work, even if nobody waits for it any more.
        let work = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        work.await.map_err(Error::internal)
    }
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
    use super::{Hasher, LONGEST, fault, random};
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
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(hasher.matches(&right, Some(&stored)).await.expect("compared"));
        assert!(!hasher.matches(&wrong, Some(&stored)).await.expect("compared"));
        assert!(!hasher.matches(&right, None).await.expect("compared"));
        assert_eq!(hasher.comparisons(), 3);
    }
}
