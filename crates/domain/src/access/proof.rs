//! The password that a caller has signed in with, as a keyed hash, and the throttle that counts wrong ones.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Accounts,
    throttle::{Charge, Throttle},
    verified::Mark,
};

/// Proof that the caller knows its password: with it no other password has to be hashed to be found wrong.
#[derive(Clone)]
pub struct PasswordProof {
    mark: Mark,
    name: Arc<str>,
    from: IpAddr,
    throttle: Arc<Throttle>,
}

impl PasswordProof {
    /// The proof of a caller who has signed in with this name and password, from this address.
    pub fn new(accounts: &Accounts, name: &str, password: &str, from: IpAddr, throttle: Arc<Throttle>) -> Self {
        Self {
            mark: accounts.verified.password_mark(password),
            name: name.into(),
            from,
            throttle,
        }
    }

    pub(super) fn is_of(&self, accounts: &Accounts, password: &str) -> bool {
        accounts.verified.password_mark(password) == self.mark
    }

    /// Counts a wrong password as one more failure to sign in.
    ///
    /// # Errors
    /// There were too many: the time until the next one is looked at.
    pub(super) fn charge(&self) -> Result<Charge, Duration> {
        self.throttle.charge(self.from, Some(&self.name), Instant::now())
    }
}

impl fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordProof(***)")
    }
}
