//! The password that a caller has signed in with, as a keyed hash, and the throttle that counts wrong ones.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng;
use ring::hmac;

use super::throttle::{Charge, Throttle};

/// A credential as a keyed hash, by which it can be recognised and not read.
pub type CredentialKey = [u8; 32];

/// Hashes credentials under a random key, which no other process has and which is written nowhere.
#[derive(Clone)]
pub struct CredentialHasher(hmac::Key);

impl CredentialHasher {
    pub fn random() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The hash of these parts of a credential. Each is hashed with its length, so that no two lists of parts are the
    /// same.
    pub fn key(&self, parts: &[&[u8]]) -> CredentialKey {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }
}

/// Proof that the caller knows its password: with it no other password has to be hashed to be found wrong.
#[derive(Clone)]
pub struct PasswordProof {
    hasher: CredentialHasher,
    password: CredentialKey,
    name: Arc<str>,
    from: IpAddr,
    throttle: Arc<Throttle>,
}

impl PasswordProof {
    /// The proof of a caller who has signed in with this name and password, from this address.
    pub fn new(hasher: &CredentialHasher, name: &str, password: &str, from: IpAddr, throttle: Arc<Throttle>) -> Self {
        Self {
            hasher: hasher.clone(),
            password: hasher.key(&[password.as_bytes()]),
            name: name.into(),
            from,
            throttle,
        }
    }

    /// Returns true for the password that the caller has signed in with.
    pub fn is_of(&self, password: &str) -> bool {
        self.hasher.key(&[password.as_bytes()]) == self.password
    }

    /// Counts a wrong password as one more failure to sign in.
    ///
    /// # Errors
    /// There were too many: the time until the next one is looked at.
    pub fn charge(&self) -> Result<Charge, Duration> {
        self.throttle.charge(self.from, Some(&self.name), Instant::now())
    }
}

impl fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordProof(***)")
    }
}
