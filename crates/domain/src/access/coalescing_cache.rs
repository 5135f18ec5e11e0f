//! A cache that coalesces reads: one request at a time reads a key, and those that waited when the read began share its
//! result.
//!
//! moka's own coalescing (`future::Cache::try_get_with`) doesn't fit: each request decides how old a value may be, a
//! request that must see a change can't share a read that began before it, and an outdated value must remain available
//! while the database is unreachable.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use tokio::sync::Mutex;

use clientele_core::error::{Cause, Error, Result};

const MOST: u64 = 20_000;

/// A monotonic clock. Cloning shares it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Instant::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The result of a read, the time when it began, and the number of local changes before it.
pub(super) struct Read<T> {
    pub found: Option<Arc<T>>,
    at: Instant,
    changes: u64,
}

/// Locked while a request reads. Holds the time when the last failed read began.
type ReadLock = Arc<Mutex<Option<Instant>>>;

/// The latest read of each key.
pub(super) struct CoalescingCache<K, T> {
    values: Cache<K, Arc<Read<T>>>,
    /// Apart from the values: failed reads of invented keys must not evict values during an outage. Evicting a lock
    /// only costs a second read.
    locks: Cache<K, ReadLock>,
    changes: AtomicU64,
    clock: Clock,
}

impl<K: Clone + Hash + Eq + Send + Sync + 'static, T: Send + Sync + 'static> CoalescingCache<K, T> {
    pub fn new(clock: Clock) -> Self {
        Self {
            values: lru_cache(),
            locks: lru_cache(),
            changes: AtomicU64::new(0),
            clock,
        }
    }

    /// Invalidates all earlier reads.
    pub fn forget(&self) {
        self.changes.fetch_add(1, SeqCst);
    }

    /// Sets that the key has no value any more and never will. A read that began before can't replace this.
    pub fn end(&self, key: K) {
        let (at, changes) = (self.clock.now(), self.changes.load(SeqCst));
        let found = None;
        self.insert(key, Arc::new(Read { found, at, changes }));
    }

    /// Returns the latest read of the key, however old.
    pub fn last(&self, key: &K) -> Option<Arc<Read<T>>> {
        self.values.get(key)
    }

    /// Returns true if a read is at most `freshness` old and nothing has changed since.
    pub fn is_fresh(&self, read: &Read<T>, freshness: Duration) -> bool {
        self.is_unchanged(read) && self.clock.now().saturating_duration_since(read.at) < freshness
    }

    /// Returns a read of the key that is at most `freshness` old.
    ///
    /// # Errors
    /// Those of `load`. Requests that waited for a failed read fail with it instead of reading in turn.
    pub async fn get(
        &self,
        key: &K,
        freshness: Duration,
        load: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Arc<Read<T>>> {
        let fresh = |read: &Arc<Read<T>>| self.is_fresh(read, freshness);
        if let Some(read) = self.last(key).filter(fresh) {
            return Ok(read);
        }
        let requested = self.clock.now();
        let lock = self.locks.get_with_by_ref(key, ReadLock::default);
        let mut failed = lock.lock().await;
        let begun_since = |read: &Arc<Read<T>>| self.is_unchanged(read) && read.at >= requested;
        if let Some(read) = self.last(key).filter(|read| fresh(read) || begun_since(read)) {
            return Ok(read);
        }
        if failed.is_some_and(|at| at >= requested) {
            return Err(Error::Unavailable(Cause::SharedRead));
        }
        // Both are set before the query: the data can change while it runs.
        let (at, changes) = (self.clock.now(), self.changes.load(SeqCst));
        let found = load().await.inspect_err(|_| *failed = Some(at))?.map(Arc::new);
        let read = Arc::new(Read { found, at, changes });
        self.insert(key.clone(), read.clone());
        Ok(read)
    }

    /// Inserts a read, unless one that began later is there.
    fn insert(&self, key: K, read: Arc<Read<T>>) {
        self.values.entry(key).and_compute_with(|last| {
            let is_outdated = last.is_some_and(|last| last.value().at > read.at);
            if is_outdated { Op::Nop } else { Op::Put(read) }
        });
    }

    fn is_unchanged(&self, read: &Read<T>) -> bool {
        read.changes == self.changes.load(SeqCst)
    }
}

/// A flood of invented keys must not keep real keys out.
fn lru_cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
    let cache = Cache::builder().max_capacity(MOST);
    cache.eviction_policy(EvictionPolicy::lru()).build()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        time::{Duration, Instant},
    };

    use tokio::{join, sync::Notify};

    use super::{Clock, CoalescingCache, MOST};
    use clientele_core::error::{Cause, Error, Result};

    fn new() -> CoalescingCache<&'static str, u64> {
        CoalescingCache::new(Clock::default())
    }

    #[tokio::test]
    async fn read_that_began_before_the_end_of_its_key_is_not_kept() {
        let cache = new();
        let freshness = Duration::from_secs(5);
        let read = cache.get(&"ana", freshness, async || {
            cache.end("ana");
            Ok(Some(1))
        });
        assert_eq!(read.await.expect("read").found.as_deref(), Some(&1));
        let again = cache.get(&"ana", freshness, async || Ok(Some(2))).await;
        assert_eq!(again.expect("read").found, None);
    }

    #[tokio::test]
    async fn failed_reads_evict_no_value() {
        let cache = CoalescingCache::new(Clock::default());
        let read = cache.get(&0, Duration::ZERO, async || Ok(Some("ana"))).await;
        read.expect("read");
        for key in 1..=2 * MOST {
            let failed = cache.get(&key, Duration::ZERO, async || Err(Error::Busy)).await;
            assert!(failed.is_err());
        }
        cache.values.run_pending_tasks();
        assert!(cache.last(&0).is_some());
    }

    #[tokio::test]
    async fn a_key_is_read_once_for_all_requests_before_the_read_began() {
        for freshness in [Duration::ZERO, Duration::from_secs(5)] {
            let (cache, count, begun) = (new(), AtomicU64::new(0), Notify::new());
            let goes_on = Notify::new();
            let first = cache.get(&"ana", freshness, async || {
                begun.notify_one();
                goes_on.notified().await;
                Ok(Some(count.fetch_add(1, SeqCst)))
            });
            let load = async || Ok(Some(count.fetch_add(1, SeqCst)));
            let late = async {
                begun.notified().await;
                let release = async { goes_on.notify_one() };
                // All three wait before the first read continues.
                let (one, two, three, ()) = join!(
                    cache.get(&"ana", freshness, load),
                    cache.get(&"ana", freshness, load),
                    cache.get(&"ana", freshness, load),
                    release
                );
                [one, two, three].map(|read| read.expect("read").found.as_deref().copied())
            };
            let (first, late) = join!(first, late);
            assert_eq!(first.expect("read").found.as_deref(), Some(&0));
            // The first read began before they began to wait: they share it while it is fresh.
            let shared = u64::from(freshness.is_zero());
            assert_eq!(late, [Some(shared); 3]);
            let lock = cache.locks.get(&"ana").expect("a lock");
            assert!(lock.try_lock().is_ok(), "no request waits any more");
        }
    }

    #[tokio::test]
    async fn a_read_ages_from_when_it_began() {
        let (begin, passed, freshness) = (Instant::now(), Arc::new(AtomicU64::new(0)), Duration::from_nanos(10));
        let time = passed.clone();
        let cache = CoalescingCache::new(Clock::new(move || begin + Duration::from_nanos(time.load(SeqCst))));
        let first = cache.get(&"ana", freshness, async || {
            // The read takes that long.
            passed.store(4, SeqCst);
            Ok(Some(1))
        });
        assert_eq!(first.await.expect("read").found.as_deref(), Some(&1));
        for (since, found) in [(4, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
            passed.store(since, SeqCst);
            let next = cache.get(&"ana", freshness, async || Ok(Some(found))).await;
            assert_eq!(next.expect("read").found.as_deref(), Some(&found), "after {since} ns");
        }
    }

    #[tokio::test]
    async fn data_that_changes_during_a_read_is_read_again() {
        let (cache, freshness) = (new(), Duration::from_secs(5));
        let first = cache.get(&"ana", freshness, async || {
            cache.forget();
            Ok(Some(1))
        });
        assert_eq!(first.await.expect("read").found.as_deref(), Some(&1));
        let again = cache.get(&"ana", freshness, async || Ok(Some(2))).await;
        let again = again.expect("read");
        assert_eq!(again.found.as_deref(), Some(&2));
        assert!(cache.is_fresh(&again, freshness));
        cache.forget();
        assert!(!cache.is_fresh(&again, freshness));
        assert_eq!(
            cache.last(&"ana").and_then(|read| read.found.clone()).as_deref(),
            Some(&2)
        );
    }

    #[tokio::test]
    async fn a_failed_read_fails_only_for_those_who_waited() {
        let (cache, failing) = (new(), AtomicU64::new(0));
        let load = async || -> Result<Option<u64>> {
            failing.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
            Err(Error::Unavailable(Cause::Lost))
        };
        let get = || cache.get(&"ana", Duration::ZERO, load);
        let (one, two, three) = join!(get(), get(), get());
        assert!(one.is_err() && two.is_err() && three.is_err());
        // The second request may come after the first read began.
        assert!(failing.load(SeqCst) <= 2, "{failing:?}");
        assert!(cache.get(&"ana", Duration::ZERO, async || Ok(None)).await.is_ok());
    }
}
