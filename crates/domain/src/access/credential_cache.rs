//! A cache of verified credentials and of their networks. A caller who sends the password with every request pays for
//! one hash.
//!
//! Keeps no password and no name, only keyed hashes under a random key of this process.

use std::{net::IpAddr, sync::Arc, time::Duration};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{Account, coalescing_cache::Read, hash_queue::Waiter};
use crate::caller::{CredentialHasher, CredentialKey, throttle::network};

const MOST: u64 = 50_000;
/// Unused credentials expire after this time. Credentials in use don't expire: they are valid only while the stored
/// hash is. Verifying them again would subject their owner to the throttle for failures at a shared address.
const LONGEST_IDLE: Duration = Duration::from_secs(60 * 60);
/// Limit of the remembered networks, which don't expire: beyond it the least recently used is dropped.
const MOST_NETWORKS: u64 = 100_000;

/// Verified credentials by their keys.
pub(super) struct CredentialCache {
    hasher: CredentialHasher,
    /// With the last read of the account.
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

impl CredentialCache {
    /// Returns the key of a name and password from the network of this address. Other networks have other keys:
    /// otherwise this cache would let an attacker there guess past the throttle.
    pub fn key(&self, name: &str, password: &str, from: IpAddr) -> CredentialKey {
        self.hasher.key(&[name.as_bytes(), password.as_bytes(), &network(from)])
    }

    /// Returns the last read of the account with these credentials, and resets their idle time.
    pub fn get(&self, key: &CredentialKey) -> Option<Arc<Read<Account>>> {
        self.right.get(key)
    }

    /// Adds verified credentials of this account.
    pub fn keep(&self, key: CredentialKey, read: Arc<Read<Account>>) {
        self.right.insert(key, read);
    }

    pub fn forget(&self, key: &CredentialKey) {
        self.right.invalidate(key);
    }

    /// Adds the network of a successful sign-in.
    pub fn keep_network(&self, from: IpAddr) {
        self.networks.insert(self.hasher.key(&[&network(from)]), ());
    }

    /// Returns the waiter for a sign-in from this address. Only the network decides its lane. By name, the wait would
    /// reveal who signs in from there; by password, it would reveal a right guess before the throttle is charged.
    pub fn waiter(&self, from: IpAddr) -> Waiter {
        let is_known = self.networks.get(&self.hasher.key(&[&network(from)])).is_some();
        Waiter::network(from, is_known)
    }

    pub fn hasher(&self) -> &CredentialHasher {
        &self.hasher
    }
}
