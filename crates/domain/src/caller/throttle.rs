//! Limits failed sign-ins: from one address as one user, and from one address as any user. The same user can still sign
//! in from another address, and callers with cached credentials aren't throttled.
//!
//! Like governor, this keeps one time for each bucket (GCRA). But governor can neither refund a charge nor check for
//! room without charging, and a right password must cost nothing.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use ring::digest;

use clientele_core::network::Network;

/// Limit of the remembered accounts; beyond it the least recently used is dropped.
const MOST: u64 = 100_000;

/// The number of failures allowed at once, and again in the course of each `window`.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub failures: u32,
    pub window: Duration,
}

impl Allowance {
    /// The time until one more failure is forgiven, in nanoseconds.
    fn each(self) -> u64 {
        nanos(self.window) / u64::from(self.failures.max(1))
    }
}

/// Limit of look-ups of unknown tokens, shared by all addresses without failures left. This server may just not have
/// seen a valid token yet, and a flood of invented ones must not cost more.
const BEYOND: Allowance = Allowance {
    failures: 20,
    window: Duration::from_secs(1),
};

/// Counts failures. An attempt is charged when it begins, so that concurrent attempts count too, and refunded if it
/// succeeds.
#[derive(Debug)]
pub struct Throttle {
    begun: Instant,
    per_user: Allowance,
    per_address: Allowance,
    /// When everything charged so far will be forgiven, in nanoseconds since `begun`.
    accounts: Cache<[u8; 16], Arc<AtomicU64>>,
    beyond: AtomicU64,
}

/// The charges of one attempt.
#[derive(Debug, Default)]
pub struct Charge(Vec<(Arc<AtomicU64>, u64)>);

impl Charge {
    /// Refunds the charges: the attempt succeeded, or the check failed.
    pub fn refund(self) {
        for (account, each) in self.0 {
            let _ = account.fetch_update(Relaxed, Relaxed, |until| Some(until.saturating_sub(each)));
        }
    }
}

impl Throttle {
    pub fn new(per_user: Allowance, per_address: Allowance) -> Self {
        let accounts = Cache::builder()
            .max_capacity(MOST)
            .time_to_idle(per_user.window.max(per_address.window))
            .eviction_policy(EvictionPolicy::lru());
        Self {
            begun: Instant::now(),
            per_user,
            per_address,
            accounts: accounts.build(),
            beyond: AtomicU64::default(),
        }
    }

    /// Charges an attempt to sign in as `user`; none if only a token is shown.
    ///
    /// # Errors
    /// There were too many failures: the time until the next attempt is allowed.
    pub fn charge(&self, address: IpAddr, user: Option<&str>, now: Instant) -> Result<Charge, Duration> {
        let now = self.nanos(now);
        let mut charge = Charge::default();
        for (name, allowance) in self.concerned(address, user) {
            let account = self.accounts.get_with(name, Arc::default);
            if let Err(wait) = add(&account, allowance, now) {
                charge.refund();
                return Err(wait);
            }
            charge.0.push((account, allowance.each()));
        }
        Ok(charge)
    }

    /// Charges a token with an unknown key to a separate account of the network. While the issuer is unreachable, valid
    /// tokens are among them, and must not use up the failures of other sign-ins. A key is charged once in each window,
    /// so that a caller that repeats its valid token isn't blocked.
    ///
    /// # Errors
    /// Those of [`Self::charge`].
    pub fn charge_key(&self, address: IpAddr, key: &str, now: Instant) -> Result<Charge, Duration> {
        let (key, nanos_now) = (name(&network(address), Concern::Key(key)), self.nanos(now));
        let mut charge = Charge::default();
        // Concurrent requests with the same key wait for each other here, so that only one of them is charged.
        self.accounts.entry(key).and_try_compute_with(|charged| {
            if charged.is_some_and(|until| until.value().load(Relaxed) > nanos_now) {
                return Ok(Op::Nop);
            }
            charge = self.charge_unknown_key(address, now)?;
            let until = nanos_now.saturating_add(nanos(self.per_address.window));
            Ok::<_, Duration>(Op::Put(Arc::new(AtomicU64::new(until))))
        })?;
        Ok(charge)
    }

    /// Charges a token whose key the issuer doesn't have, every time.
    ///
    /// # Errors
    /// Those of [`Self::charge`].
    pub fn charge_unknown_key(&self, address: IpAddr, now: Instant) -> Result<Charge, Duration> {
        let account = name(&network(address), Concern::Keys);
        let account = self.accounts.get_with(account, Arc::default);
        add(&account, self.per_address, self.nanos(now))?;
        Ok(Charge(vec![(account, self.per_address.each())]))
    }

    /// Checks whether [`Self::charge`] would succeed now. Charges and remembers nothing.
    ///
    /// # Errors
    /// Those of [`Self::charge`].
    pub fn peek(&self, address: IpAddr, user: Option<&str>, now: Instant) -> Result<(), Duration> {
        let now = self.nanos(now);
        self.concerned(address, user).try_for_each(|(name, allowance)| {
            let until = self.accounts.get(&name).map_or(0, |account| account.load(Relaxed));
            room(until, allowance, now).map(|_| ())
        })
    }

    /// Takes one of the look-ups shared by all addresses without failures left.
    ///
    /// # Errors
    /// None is left: the time until there is one.
    pub fn go_beyond(&self, now: Instant) -> Result<(), Duration> {
        add(&self.beyond, BEYOND, self.nanos(now))
    }

    fn concerned(&self, address: IpAddr, user: Option<&str>) -> impl Iterator<Item = ([u8; 16], Allowance)> {
        let network = network(address);
        let user = user.map(|user| (name(&network, Concern::User(user)), self.per_user));
        [(name(&network, Concern::Network), self.per_address)]
            .into_iter()
            .chain(user)
    }

    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.begun))
    }
}

/// Adds one failure to an account if there is room for it.
fn add(account: &AtomicU64, allowance: Allowance, now: u64) -> Result<(), Duration> {
    let add = |until| room(until, allowance, now).ok();
    let added = account.fetch_update(Relaxed, Relaxed, add);
    added
        .map(|_| ())
        .or_else(|until| room(until, allowance, now).map(|_| ()))
}

/// Returns when everything will be forgiven after one more failure, or the time until there is room for one.
fn room(until: u64, allowance: Allowance, now: u64) -> Result<u64, Duration> {
    let (until, most) = (until.max(now) + allowance.each(), nanos(allowance.window));
    match until - now <= most {
        true => Ok(until),
        false => Err(Duration::from_nanos(until - now - most)),
    }
}

/// The network of this address, as bytes.
pub fn network(address: IpAddr) -> [u8; 16] {
    match Network::of_one_caller(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The subject of an account of a network.
#[derive(Clone, Copy)]
enum Concern<'a> {
    Network,
    User(&'a str),
    /// All tokens with unknown keys.
    Keys,
    /// One unknown key.
    Key(&'a str),
}

fn name(network: &[u8; 16], concern: Concern<'_>) -> [u8; 16] {
    let (kind, text) = match concern {
        Concern::Network => (0, ""),
        Concern::User(user) => (1, user),
        Concern::Keys => (2, ""),
        Concern::Key(key) => (3, key),
    };
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(network);
    context.update(&[kind]);
    context.update(text.as_bytes());
    let mut name = [0; 16];
    name.copy_from_slice(&context.finish().as_ref()[..16]);
    name
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        sync::Barrier,
        time::{Duration, Instant},
    };

    use super::{Allowance, Throttle};

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle(per_user: u32, per_address: u32) -> Throttle {
        let allowance = |failures| Allowance {
            failures,
            window: 60 * SECOND,
        };
        Throttle::new(allowance(per_user), allowance(per_address))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn failures_of_one_user_from_one_address_hold_up_only_that_user() {
        let (throttle, now) = (throttle(3, 100), Instant::now());
        let here = address("192.0.2.1");
        for _ in 0..3 {
            throttle.charge(here, Some("ana"), now).expect("allowed");
        }
        let wait = throttle.charge(here, Some("ana"), now).expect_err("too many");
        assert!(wait <= 20 * SECOND && wait > 19 * SECOND, "{wait:?}");
        throttle.charge(here, Some("bo"), now).expect("another user");
        throttle
            .charge(address("192.0.2.2"), Some("ana"), now)
            .expect("another address");
        throttle.charge(here, Some("ana"), now + wait).expect("waited");
        throttle
            .charge(here, Some("ana"), now + wait)
            .expect_err("only one more");
    }

    #[test]
    fn an_address_has_an_allowance_for_all_its_users_and_a_network_counts_as_one() {
        let (throttle, now) = (throttle(100, 3), Instant::now());
        for (from, user) in [
            ("2001:db8::1", "ana"),
            ("2001:db8:0:1::1", "bo"),
            ("2001:db8:0:ff::1", "cy"),
        ] {
            throttle.charge(address(from), Some(user), now).expect("allowed");
        }
        throttle
            .charge(address("2001:db8:0:fe::4"), None, now)
            .expect_err("too many");
        throttle
            .charge(address("2001:db8:0:100::4"), None, now)
            .expect("another network");
    }

    #[test]
    fn what_was_right_costs_nothing_and_what_was_refused_neither() {
        let (throttle, now) = (throttle(2, 3), Instant::now());
        let here = address("::1");
        for _ in 0..10 {
            throttle.peek(here, Some("ana"), now).expect("allowed");
            throttle.charge(here, Some("ana"), now).expect("allowed").refund();
        }
        for _ in 0..2 {
            throttle.charge(here, Some("ana"), now).expect("allowed");
        }
        for _ in 0..10 {
            let wait = throttle.charge(here, Some("ana"), now).expect_err("too many");
            assert_eq!(throttle.peek(here, Some("ana"), now), Err(wait));
        }
        throttle
            .charge(here, Some("bo"), now)
            .expect("the address has one left");
    }

    #[test]
    fn unknown_keys_are_counted_once_each_and_apart_from_other_failures() {
        let (throttle, now) = (throttle(100, 3), Instant::now());
        let here = address("192.0.2.1");
        for _ in 0..10 {
            throttle.charge_key(here, "valid", now).expect("the same key");
        }
        throttle.charge_key(here, "made up 1", now).expect("allowed");
        throttle.charge_key(here, "made up 2", now).expect("allowed");
        let wait = throttle.charge_key(here, "made up 3", now).expect_err("too many");
        assert!(wait <= 20 * SECOND, "{wait:?}");
        throttle.charge_unknown_key(here, now).expect_err("too many");
        throttle.charge_key(here, "valid", now).expect("known");
        throttle.charge(here, Some("ana"), now).expect("another way to sign in");
        let there = address("192.0.2.2");
        throttle.charge_key(there, "made up 3", now).expect("another network");
        let later = now + 61 * SECOND;
        throttle.charge_key(here, "made up 3", later).expect("forgiven");
    }

    #[test]
    fn concurrent_requests_with_one_unknown_key_are_charged_once() {
        let here = address("192.0.2.1");
        for _ in 0..200 {
            let (throttle, now, start) = (throttle(100, 1), Instant::now(), Barrier::new(4));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        throttle.charge_key(here, "valid", now).expect("the same key");
                    });
                }
            });
        }
    }

    #[test]
    fn all_addresses_beyond_their_failures_have_twenty_looks_a_second() {
        let (throttle, now) = (throttle(1, 1), Instant::now());
        for _ in 0..20 {
            throttle.go_beyond(now).expect("allowed");
        }
        let wait = throttle.go_beyond(now).expect_err("too many");
        assert!(wait <= SECOND / 20, "{wait:?}");
        throttle.go_beyond(now + wait).expect("waited");
    }
}
