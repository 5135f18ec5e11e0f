//! A cache of credentials that were verified lately, so that a caller who sends the password with every request pays
//! for its hash once, and of the networks that they came from.
//!
//! Keeps no password and no name, only keyed hashes under a random key of this process.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{Account, hash_queue::Waiter, reads::Read};
use crate::caller::{CredentialHasher, CredentialKey, throttle::network};

const MOST: u64 = 50_000;
/// Credentials that nobody has used for so long are looked at again. Those in use need no end: they hold only as long
/// as the stored hash does, and looking again would put their owner at the mercy of whoever fails beside him.
const LONGEST_IDLE: Duration = Duration::from_secs(60 * 60);
/// Networks are remembered for as long as the process lives, but for the least recent beyond these.
const MOST_NETWORKS: u64 = 100_000;

/// Credentials that have been found right, by their marks.
pub struct CredentialCache {
    hasher: CredentialHasher,
    /// With the account as it was read last.
    right: Cache<CredentialKey, Arc<Read<Account>>>,
    networks: Cache<CredentialKey, ()>,
}

impl Default for CredentialCache {
    fn default() -> Self {
        let networks = Cache::builder()
            .max_capacity(MOST_NETWORKS)
            .eviction_policy(EvictionPolicy::lru());
        Self {
            hasher: CredentialHasher::random(),
            right: Cache::builder().max_capacity(MOST).time_to_idle(LONGEST_IDLE).build(),
            networks: networks.build(),
        }
    }
}

impl fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialCache")
    }
}

impl CredentialCache {
    /// The mark of a name and a password that come from the network of this address. From elsewhere they are found out
    /// anew: otherwise somebody could go on guessing there, past all throttles, until he is let in by what this
    /// remembers.
    pub fn mark(&self, name: &str, password: &str, from: IpAddr) -> CredentialKey {
        self.hasher.key(&[name.as_bytes(), password.as_bytes(), &network(from)])
    }

    /// What was read last of the account that these credentials are right for. Also puts off that they are forgotten.
    pub fn get(&self, mark: &CredentialKey) -> Option<Arc<Read<Account>>> {
        self.right.get(mark)
    }

    /// The credentials are right for this account.
    pub fn keep(&self, mark: CredentialKey, read: Arc<Read<Account>>) {
        self.right.insert(mark, read);
    }

    pub fn forget(&self, mark: &CredentialKey) {
        self.right.invalidate(mark);
    }

    /// Somebody has signed in from there.
    pub fn keep_network(&self, from: IpAddr) {
        self.networks.insert(self.hasher.key(&[&network(from)]), ());
    }

    /// The lane of a sign-in from this address. The network alone decides it: if the name did as well, the time of the
    /// wait would show who signs in there, and if the password did, whether a guess is right, before the throttle is
    /// asked.
    pub fn waiter(&self, from: IpAddr) -> Waiter {
        let is_known = self.networks.get(&self.hasher.key(&[&network(from)])).is_some();
        Waiter::network(from, is_known)
    }

    /// The hasher of this process.
    pub fn hasher(&self) -> &CredentialHasher {
        &self.hasher
    }
}
