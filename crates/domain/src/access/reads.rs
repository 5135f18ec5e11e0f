//! A coalescing cache: one request at a time reads a name, and requests that were waiting when the read began share its
//! result.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use moka::{policy::EvictionPolicy, sync::Cache};

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
#[derive(Debug)]
pub(super) struct Read<T> {
    pub found: Option<Arc<T>>,
    at: Instant,
    changes: u64,
}

/// The lock for reading one name. Keeps when the last failed read began.
type Turn = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// The key of a read.
pub(super) trait Name: Clone + Hash + Eq + Send + Sync + 'static {}

impl<N: Clone + Hash + Eq + Send + Sync + 'static> Name for N {}

/// The latest reads by name.
#[derive(Debug)]
pub(super) struct Reads<N: Name, T: Send + Sync + 'static> {
    kept: Cache<N, Arc<Read<T>>>,
    changes: AtomicU64,
    /// Each lock with the number of requests that hold or wait for it.
    turns: Mutex<HashMap<N, (Turn, usize)>>,
    clock: Clock,
}

impl<N: Name, T: Send + Sync + 'static> Default for Reads<N, T> {
    fn default() -> Self {
        Self::new(Clock::default())
    }
}

impl<N: Name, T: Send + Sync + 'static> Reads<N, T> {
    pub fn new(clock: Clock) -> Self {
        // A flood of invented names must not keep real names out.
        let kept = Cache::builder()
            .max_capacity(MOST)
            .eviction_policy(EvictionPolicy::lru());
        Self {
            kept: kept.build(),
            changes: AtomicU64::new(0),
            turns: Mutex::default(),
            clock,
        }
    }

    /// Invalidates all earlier reads.
    pub fn forget(&self) {
        self.changes.fetch_add(1, SeqCst);
    }

    /// Returns the latest read of the name, however old.
    pub fn last(&self, name: &N) -> Option<Arc<Read<T>>> {
        self.kept.get(name)
    }

    /// Returns true if a read is at most `freshness` old and nothing has changed since.
    pub fn is_fresh(&self, read: &Read<T>, freshness: Duration) -> bool {
        self.is_unchanged(read) && self.clock.now().saturating_duration_since(read.at) < freshness
    }

    /// Returns a read of the name that is at most `freshness` old.
    ///
    /// # Errors
    /// Those of `load`. Requests that waited for a failed read fail with it instead of reading in turn.
    pub async fn get(
        &self,
        name: &N,
        freshness: Duration,
        load: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Arc<Read<T>>> {
        let fresh = |read: &Arc<Read<T>>| self.is_fresh(read, freshness);
        if let Some(read) = self.last(name).filter(fresh) {
            return Ok(read);
        }
        let asked = self.clock.now();
        let waiting = Waiting::of(self, name);
        let mut failed = waiting.turn.lock().await;
        let begun_since = |read: &Arc<Read<T>>| self.is_unchanged(read) && read.at >= asked;
        if let Some(read) = self.last(name).filter(|read| fresh(read) || begun_since(read)) {
            return Ok(read);
        }
        if failed.is_some_and(|at| at >= asked) {
            return Err(Error::Unavailable(Cause::SharedRead));
        }
        // Both are set before the query: the data can change while it runs.
        let (at, changes) = (self.clock.now(), self.changes.load(SeqCst));
        let found = load().await.inspect_err(|_| *failed = Some(at))?.map(Arc::new);
        let read = Arc::new(Read { found, at, changes });
        self.kept.insert(name.clone(), read.clone());
        Ok(read)
    }

    fn is_unchanged(&self, read: &Read<T>) -> bool {
        read.changes == self.changes.load(SeqCst)
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<N, (Turn, usize)>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that reads or waits. The last one removes the lock.
struct Waiting<'a, N: Name, T: Send + Sync + 'static> {
    turn: Turn,
    reads: &'a Reads<N, T>,
    name: &'a N,
}

impl<'a, N: Name, T: Send + Sync + 'static> Waiting<'a, N, T> {
    fn of(reads: &'a Reads<N, T>, name: &'a N) -> Self {
        let mut turns = reads.turns();
        let (turn, waiting) = turns.entry(name.clone()).or_default();
        *waiting += 1;
        Self {
            turn: turn.clone(),
            reads,
            name,
        }
    }
}

impl<N: Name, T: Send + Sync + 'static> Drop for Waiting<'_, N, T> {
    fn drop(&mut self) {
        let mut turns = self.reads.turns();
        if let Some((_, waiting)) = turns.get_mut(self.name) {
            *waiting -= 1;
            if *waiting == 0 {
                turns.remove(self.name);
            }
        }
    }
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

    use super::{Clock, Reads};
    use clientele_core::error::{Cause, Error, Result};

    #[tokio::test]
    async fn a_name_is_read_once_for_all_who_asked_before_the_reading_began() {
        for freshness in [Duration::ZERO, Duration::from_secs(5)] {
            let (reads, count, begun) = (Reads::default(), AtomicU64::new(0), Notify::new());
            let goes_on = Notify::new();
            let first = reads.get(&"ana", freshness, async || {
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
                    reads.get(&"ana", freshness, load),
                    reads.get(&"ana", freshness, load),
                    reads.get(&"ana", freshness, load),
                    release
                );
                [one, two, three].map(|read| read.expect("read").found.as_deref().copied())
            };
            let (first, late) = join!(first, late);
            assert_eq!(first.expect("read").found.as_deref(), Some(&0));
            // The first read began before they asked: they share it while it is fresh.
            let shared = u64::from(freshness.is_zero());
            assert_eq!(late, [Some(shared); 3]);
            assert_eq!(reads.turns().len(), 0, "nobody waits any more");
        }
    }

    #[tokio::test]
    async fn a_reading_ages_from_when_it_began() {
        let (begin, passed, freshness) = (Instant::now(), Arc::new(AtomicU64::new(0)), Duration::from_nanos(10));
        let time = passed.clone();
        let reads = Reads::new(Clock::new(move || begin + Duration::from_nanos(time.load(SeqCst))));
        let first = reads.get(&"ana", freshness, async || {
            // The read takes that long.
            passed.store(4, SeqCst);
            Ok(Some(1))
        });
        assert_eq!(first.await.expect("read").found.as_deref(), Some(&1));
        for (since, found) in [(4, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
            passed.store(since, SeqCst);
            let next = reads.get(&"ana", freshness, async || Ok(Some(found))).await;
            assert_eq!(next.expect("read").found.as_deref(), Some(&found), "after {since} ns");
        }
    }

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_read_again() {
        let (reads, freshness) = (Reads::default(), Duration::from_secs(5));
        let first = reads.get(&"ana", freshness, async || {
            reads.forget();
            Ok(Some(1))
        });
        assert_eq!(first.await.expect("read").found.as_deref(), Some(&1));
        let again = reads.get(&"ana", freshness, async || Ok(Some(2))).await;
        let again = again.expect("read");
        assert_eq!(again.found.as_deref(), Some(&2));
        assert!(reads.is_fresh(&again, freshness));
        reads.forget();
        assert!(!reads.is_fresh(&again, freshness));
        assert_eq!(
            reads.last(&"ana").and_then(|read| read.found.clone()).as_deref(),
            Some(&2)
        );
    }

    #[tokio::test]
    async fn a_reading_that_fails_fails_for_all_who_waited_and_no_longer() {
        let (reads, failing) = (Reads::<&str, u64>::default(), AtomicU64::new(0));
        let load = async || -> Result<Option<u64>> {
            failing.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
            Err(Error::Unavailable(Cause::Lost))
        };
        let get = || reads.get(&"ana", Duration::ZERO, load);
        let (one, two, three) = join!(get(), get(), get());
        assert!(one.is_err() && two.is_err() && three.is_err());
        // The second request may come after the first read began.
        assert!(failing.load(SeqCst) <= 2, "{failing:?}");
        assert!(reads.get(&"ana", Duration::ZERO, async || Ok(None)).await.is_ok());
    }
}
