//! The proof of the password that a caller signed in with: a keyed hash, and the throttle that counts wrong passwords.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng;
use ring::hmac;

use super::throttle::{Charge, Throttle};

/// A keyed hash of a credential: it identifies the credential without revealing it.
pub type CredentialKey = [u8; 32];

/// Hashes credentials under a random key of this process, which is never stored. Cloning shares the key.
#[derive(Clone)]
pub struct CredentialHasher(Arc<hmac::Key>);

impl CredentialHasher {
    pub fn random() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Returns the hash of the parts of a credential. Each is hashed with its length, so that no two lists of parts are
    /// the same.
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

/// Proves that the caller knows its password. A wrong password is then recognised without another password hash.
#[derive(Clone)]
pub struct PasswordProof {
    hasher: CredentialHasher,
    password: CredentialKey,
    name: Arc<str>,
    from: IpAddr,
    throttle: Arc<Throttle>,
}

impl PasswordProof {
    /// Creates the proof of a caller who signed in with this name and password from this address.
    pub fn new(hasher: &CredentialHasher, name: &str, password: &str, from: IpAddr, throttle: Arc<Throttle>) -> Self {
        Self {
            hasher: hasher.clone(),
            password: hasher.key(&[password.as_bytes()]),
            name: name.into(),
            from,
            throttle,
        }
    }

    /// Returns true for the password that the caller signed in with.
    pub fn is_of(&self, password: &str) -> bool {
        self.hasher.key(&[password.as_bytes()]) == self.password
    }

    /// Counts a wrong password as a failed sign-in.
    ///
    /// # Errors
    /// There were too many failures: the time until the next attempt is allowed.
    pub fn charge(&self) -> Result<Charge, Duration> {
        self.throttle.charge(self.from, Some(&self.name), Instant::now())
    }
}

impl fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordProof(***)")
    }
}
