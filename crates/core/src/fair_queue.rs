//! A queue for permits that are shared fairly by key, for instance by caller or by network.
//!
//! A free permit goes to the waiting key that holds the fewest permits. Equal keys take turns; within a key, the oldest
//! ticket comes first. A key may hold at most three times what it leaves free (a *dynamic threshold*, as in the buffers
//! of network switches): a single key gets three quarters of all permits, several keys less each, and a new key always
//! finds one soon.
//!
//! Tickets and permits can be dropped at any time: what they hold goes to the next in the queue.

mod load;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use self::load::{Load, WINDOW};

/// A key may hold this many times the permits it leaves free. The last permit is reserved for keys that hold none.
const SHARE: usize = 3;

/// Identifies a party that shares permits.
pub trait Key: Clone + Debug + Eq + Hash {}

impl<K: Clone + Debug + Eq + Hash> Key for K {}

/// The size of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub permits: usize,
    /// The maximum number of waiting tickets. When it is reached, the key with the most tickets loses its newest to a
    /// key with fewer.
    pub waiting: usize,
    /// The maximum number of waiting tickets of one key.
    pub waiting_per_key: usize,
}

/// Limits of a ticket's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Applies while the queue of the key drains, as after a burst.
    pub draining: Duration,
    /// Applies while more requests arrive than can be served.
    pub standing: Duration,
}

/// The queue has no room for a ticket, or the ticket waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// The permits and the tickets that wait for one. Clones share them.
#[derive(Clone, Debug)]
pub struct FairQueue<K: Key>(Arc<Mutex<State<K>>>);

impl<K: Key> FairQueue<K> {
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(State {
            limits,
            free: limits.permits,
            waiting: 0,
            keys: HashMap::new(),
            by_held: BTreeMap::new(),
            by_waiting: BTreeMap::new(),
            last_number: 0,
        })))
    }

    /// Creates a queue without a limit on waiting tickets, for use where the caller limits them.
    pub fn unbounded(permits: usize) -> Self {
        Self::new(Limits {
            permits,
            waiting: usize::MAX,
            waiting_per_key: usize::MAX,
        })
    }

    /// Joins the queue. An available permit is granted at once.
    ///
    /// # Errors
    /// [`QueueFull`] when the queue has no room.
    pub fn join(&self, key: K) -> Result<Ticket<K>, QueueFull> {
        let mut state = self.lock();
        let phase = match state.can_run(&key) {
            true => state.hold(&key),
            false => {
                state.make_room(&key)?;
                state.wait(&key, Position::Back)
            }
        };
        drop(state);
        Ok(self.ticket(key, phase))
    }

    /// Joins the queue ahead of this key's tickets that weren't served before, even when it is full. For a ticket that
    /// was served before.
    pub fn rejoin(&self, key: K) -> Ticket<K> {
        let mut state = self.lock();
        let phase = match state.can_run(&key) {
            true => state.hold(&key),
            false => state.wait(&key, Position::Front),
        };
        drop(state);
        self.ticket(key, phase)
    }

    /// Waits for a permit without a time limit.
    ///
    /// # Errors
    /// [`QueueFull`] when the queue has no room.
    pub async fn acquire(&self, key: K) -> Result<Permit<K>, QueueFull> {
        self.join(key)?.granted().await
    }

    /// Returns true if [`join`](Self::join) would refuse a request of this key, and counts that request as refused.
    pub fn refuses(&self, key: &K) -> bool {
        let mut state = self.lock();
        if state.can_run(key) || state.has_room(key) {
            return false;
        }
        state.count_refusal(key);
        true
    }

    /// The number of permits in use, and the number of waiting tickets.
    pub fn in_use(&self) -> (usize, usize) {
        let state = self.lock();
        (state.limits.permits - state.free, state.waiting)
    }

    fn ticket(&self, key: K, phase: Phase) -> Ticket<K> {
        Ticket {
            queue: self.clone(),
            key,
            phase,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Front,
    Back,
}

/// A position in the queue.
#[derive(Debug)]
pub struct Ticket<K: Key> {
    queue: FairQueue<K>,
    key: K,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        number: u64,
        granted: oneshot::Receiver<()>,
    },
    Granted,
    Ended,
}

impl<K: Key> Ticket<K> {
    /// Returns true when the permit is available without waiting.
    pub fn is_granted(&self) -> bool {
        matches!(self.phase, Phase::Granted)
    }

    /// Waits for the permit without a time limit.
    ///
    /// # Errors
    /// The ticket was evicted in favor of a key with fewer tickets.
    pub async fn granted(mut self) -> Result<Permit<K>, QueueFull> {
        if let Phase::Waiting { granted, .. } = &mut self.phase {
            granted.await.map_err(|_| QueueFull)?;
        }
        Ok(self.into_permit())
    }

    /// Waits for the permit. The time limit is shorter once the queue of this key is a standing one.
    ///
    /// # Errors
    /// The wait took too long, or the ticket was evicted in favor of a key with fewer tickets.
    pub async fn granted_within(mut self, patience: Patience) -> Result<Permit<K>, QueueFull> {
        let begun = Instant::now();
        while let Phase::Waiting { granted, .. } = &mut self.phase {
            let longest = match self.queue.lock().is_standing(&self.key) {
                true => patience.standing,
                false => patience.draining,
            };
            let left = longest.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // The permit may have been granted a moment ago.
                if granted.try_recv().is_ok() {
                    self.phase = Phase::Granted;
                    break;
                }
                self.queue.lock().count_refusal(&self.key);
                return Err(QueueFull);
            }
            // The queue is evaluated again in every window.
            if let Ok(outcome) = timeout(left.min(WINDOW / 2), granted).await {
                outcome.map_err(|_| QueueFull)?;
                self.phase = Phase::Granted;
            }
        }
        Ok(self.into_permit())
    }

    fn into_permit(mut self) -> Permit<K> {
        self.phase = Phase::Ended;
        Permit {
            queue: self.queue.clone(),
            key: Some(self.key.clone()),
        }
    }
}

impl<K: Key> Drop for Ticket<K> {
    fn drop(&mut self) {
        let is_granted = match &mut self.phase {
            Phase::Granted => true,
            // The permit may have been granted unnoticed.
            Phase::Waiting { number, granted } => {
                !self.queue.lock().leave(&self.key, *number) && granted.try_recv().is_ok()
            }
            Phase::Ended => false,
        };
        if is_granted {
            self.queue.lock().give_back(&self.key);
        }
    }
}

/// A permit to work, charged to a key. Dropping it returns it to the queue.
#[derive(Debug)]
pub struct Permit<K: Key> {
    queue: FairQueue<K>,
    /// None once it has been returned.
    key: Option<K>,
}

impl<K: Key> Permit<K> {
    /// Charges the permit to another key. Returns the permit to the queue, and None, when that key has its share.
    pub fn charged_to(mut self, key: &K) -> Option<Self> {
        let mut state = self.queue.lock();
        let moved = match &self.key {
            Some(own) if own == key => true,
            Some(own) => state.charge(own, key),
            None => false,
        };
        drop(state);
        self.key = moved.then(|| key.clone());
        moved.then_some(self)
    }
}

impl<K: Key> Drop for Permit<K> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.queue.lock().give_back(key);
        }
    }
}

/// A permit goes to the first waiting key of `by_held` as soon as that key is below its share. While permits are free,
/// only keys at their share wait.
#[derive(Debug)]
struct State<K> {
    limits: Limits,
    free: usize,
    waiting: usize,
    /// The keys that hold permits or wait.
    keys: HashMap<K, KeyState>,
    /// The waiting keys, by the number of permits they hold and by turn.
    by_held: BTreeMap<(usize, u64), K>,
    /// The waiting keys, by the number of their waiting tickets and by turn.
    by_waiting: BTreeMap<(usize, u64), K>,
    /// Numbers tickets and turns.
    last_number: u64,
}

#[derive(Debug, Default)]
struct KeyState {
    held: usize,
    waiting: VecDeque<Entry>,
    /// The moment when the key began to wait or was last served.
    turn: u64,
    load: Load,
}

/// A waiting ticket.
#[derive(Debug)]
struct Entry {
    number: u64,
    /// False for a ticket that was served before: it is no new load.
    is_new: bool,
    grant: oneshot::Sender<()>,
}

impl<K: Key> State<K> {
    fn can_hold(&self, held: usize) -> bool {
        self.free > 0 && (held == 0 || held < SHARE * (self.free - 1))
    }

    fn can_run(&self, key: &K) -> bool {
        self.can_hold(self.keys.get(key).map_or(0, |key| key.held))
    }

    fn hold(&mut self, key: &K) -> Phase {
        self.free -= 1;
        self.change(key, |key| key.held += 1);
        Phase::Granted
    }

    fn make_room(&mut self, key: &K) -> Result<(), QueueFull> {
        if !self.has_room(key) {
            self.count_refusal(key);
            return Err(QueueFull);
        }
        if self.waiting >= self.limits.waiting {
            self.evict();
        }
        Ok(())
    }

    fn wait(&mut self, key: &K, position: Position) -> Phase {
        let (grant, granted) = oneshot::channel();
        let number = self.next_number();
        self.waiting += 1;
        self.change(key, |key| {
            if key.waiting.is_empty() {
                key.turn = number;
            }
            let is_new = position == Position::Back;
            if is_new {
                key.load.arrived(key.waiting.is_empty(), Instant::now());
            }
            let entry = Entry { number, is_new, grant };
            match position {
                Position::Front => {
                    let returned = key.waiting.iter().take_while(|entry| !entry.is_new).count();
                    key.waiting.insert(returned, entry);
                }
                Position::Back => key.waiting.push_back(entry),
            }
        });
        Phase::Waiting { number, granted }
    }

    /// Returns true when a new ticket of this key can wait, perhaps by evicting another key's ticket.
    fn has_room(&self, key: &K) -> bool {
        // A standing queue is shortened only where there are limits: here, the user of the queue limits its tickets.
        if self.limits.waiting == usize::MAX {
            return true;
        }
        let of_key = self.keys.get(key);
        let waiting = of_key.map_or(0, |key| key.waiting.len());
        let most = of_key.and_then(|key| key.load.room(Instant::now()));
        if waiting
            >= most.map_or(self.limits.waiting_per_key, |most| {
                most.min(self.limits.waiting_per_key)
            })
        {
            return false;
        }
        let longest = self.by_waiting.last_key_value().map_or(0, |((waiting, _), _)| *waiting);
        self.waiting < self.limits.waiting || longest > waiting + 1
    }

    /// Removes the newest ticket of the key with the most tickets.
    fn evict(&mut self) {
        let Some(key) = self.by_waiting.last_key_value().map(|(_, key)| key.clone()) else {
            return;
        };
        self.waiting -= 1;
        self.change(&key, |key| {
            key.load.refused(Instant::now());
            key.waiting.pop_back()
        });
    }

    fn leave(&mut self, key: &K, number: u64) -> bool {
        let position = |key: &KeyState| key.waiting.iter().position(|entry| entry.number == number);
        let Some(position) = self.keys.get(key).and_then(position) else {
            return false;
        };
        self.waiting -= 1;
        self.change(key, |key| key.waiting.remove(position));
        true
    }

    fn give_back(&mut self, key: &K) {
        self.free += 1;
        self.change(key, |key| key.held -= 1);
        self.grant();
    }

    fn charge(&mut self, from: &K, to: &K) -> bool {
        self.free += 1;
        self.change(from, |key| key.held -= 1);
        let can_run = self.can_run(to);
        if can_run {
            self.hold(to);
        }
        self.grant();
        can_run
    }

    /// Grants free permits to waiting keys.
    fn grant(&mut self) {
        while let Some(((held, _), key)) = self.by_held.first_key_value() {
            if !self.can_hold(*held) {
                return;
            }
            let key = key.clone();
            let turn = self.next_number();
            self.waiting -= 1;
            let granted = self.change(&key, |key| {
                let entry = key.waiting.pop_front()?;
                key.turn = turn;
                if entry.is_new {
                    key.load.granted(key.waiting.is_empty(), Instant::now());
                }
                // A ticket leaves the queue before its receiver is dropped.
                entry.grant.send(()).ok()?;
                key.held += 1;
                Some(())
            });
            if granted.is_some() {
                self.free -= 1;
            }
        }
    }

    fn is_standing(&mut self, key: &K) -> bool {
        self.keys
            .get_mut(key)
            .is_some_and(|key| key.load.is_standing(Instant::now()))
    }

    fn count_refusal(&mut self, key: &K) {
        if let Some(key) = self.keys.get_mut(key) {
            key.load.refused(Instant::now());
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Changes the state of a key and updates the indexes.
    fn change<T>(&mut self, key: &K, change: impl FnOnce(&mut KeyState) -> T) -> T {
        let state = self.keys.entry(key.clone()).or_default();
        if !state.waiting.is_empty() {
            self.by_held.remove(&(state.held, state.turn));
            self.by_waiting.remove(&(state.waiting.len(), state.turn));
        }
        let changed = change(state);
        if !state.waiting.is_empty() {
            self.by_held.insert((state.held, state.turn), key.clone());
            self.by_waiting.insert((state.waiting.len(), state.turn), key.clone());
        } else if state.held == 0 {
            self.keys.remove(key);
        }
        changed
    }
}
