//! Passes new changes on to subscriptions. One task reads for all of them, as long as there is one.
//!
//! It reads when this process has committed, and ten times a second for the commits of others. A change is offered only
//! to subscriptions with one of its topics, so that its cost grows with those that it concerns.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    ChangeFeed, ChangeFilter, ChangeKind, ChangesRefused, LARGEST_PAGE, Position,
    change::{former, kind},
    read::{ChangeBatch, StoredChange},
};
use crate::{
    audit::Record,
    caller::{Limit, Rights},
    definitions::Definitions,
};
use clientele_core::error::Result;

/// The time between two reads without a commit of this process.
const INTERVAL: Duration = Duration::from_millis(100);
/// The time in which the commits of this process gather for one read.
const GATHERING: Duration = Duration::from_millis(2);
/// The pause after a failed read.
const PAUSE: Duration = Duration::from_secs(1);
/// The changes that wait for one subscription. With more, it must read the feed.
const WAITING: usize = 1_000;
/// A subscription with that many changes that has taken none for this time is too slow.
const STALLED: Duration = Duration::from_secs(10);

/// The reason why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionEnd {
    #[error(transparent)]
    Refused(#[from] ChangesRefused),
    #[error("You take changes more slowly than they come. Subscribe again after the last position that you have.")]
    TooSlow,
    #[error("New changes can't be read at the moment. Subscribe again after the last position that you have.")]
    Interrupted,
}

/// A change, with the definitions that its values are masked with.
#[derive(Debug)]
pub(super) struct LiveChange {
    pub stored: StoredChange,
    pub definitions: Arc<Definitions>,
}

/// The subscriptions that wait for new changes.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last change that was read. None while no task reads.
    position: Option<Position>,
    waiting: HashMap<u64, Waiting>,
    by_topic: HashMap<Topic, HashSet<u64>>,
    /// The number of the latest subscription.
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    queue: mpsc::Sender<Arc<LiveChange>>,
    shared: Arc<Shared>,
    topics: HashSet<Topic>,
}

#[derive(Debug)]
struct Shared {
    /// The last time at which the subscription had no change to take, or took some.
    taken: Mutex<Instant>,
    end: OnceLock<PlaceEnd>,
}

/// The reason why a place has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceEnd {
    /// More changes came than can wait. The feed has them.
    Overtaken,
    Subscription(SubscriptionEnd),
}

/// A place among the subscriptions that wait. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    live: Arc<Live>,
    number: u64,
    queue: mpsc::Receiver<Arc<LiveChange>>,
    shared: Arc<Shared>,
}

/// A property of changes. Each subscription waits for the changes with one of its topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Topic {
    Client(String),
    Branch(String),
    Centre(String),
    /// By the first step of its path.
    Member(String),
    Kind(ChangeKind),
    Any,
}

impl Topic {
    /// The topics of the changes that a caller can see and that pass the filter.
    fn of_subscription(filter: &ChangeFilter, rights: &Rights) -> HashSet<Self> {
        let keys = |limits: [&Limit; 2]| {
            limits.into_iter().find_map(|limit| match limit {
                Limit::None => None,
                Limit::To(keys) => Some(keys.clone()),
            })
        };
        if let Some(clients) = &filter.clients {
            clients.iter().cloned().map(Self::Client).collect()
        } else if let Some(branches) = keys([&filter.branches, &rights.branches]) {
            branches.into_iter().map(Self::Branch).collect()
        } else if let Some(centres) = keys([&filter.centres, &rights.centres]) {
            centres.into_iter().map(Self::Centre).collect()
        } else if let Some(kinds) = &filter.kinds {
            kinds.iter().copied().map(Self::Kind).collect()
        } else if let Some(members) = &filter.members {
            let removals = [ChangeKind::Deleted, ChangeKind::Erased].map(Self::Kind);
            members.iter().cloned().map(Self::Member).chain(removals).collect()
        } else {
            HashSet::from([Self::Any])
        }
    }

    fn of_change(stored: &StoredChange) -> HashSet<Self> {
        // One that can't be read is reported by those who get it.
        let record = Record::of(&stored.record, &Rights::all()).ok();
        let assignments = [stored.assignment.clone(), former(stored, record.as_ref())];
        let changes = record.iter().flat_map(|record| record.changes.iter().flatten());
        let members = changes.filter_map(|change| change.path.first().cloned());
        let mut topics: HashSet<Self> = members.map(Self::Member).collect();
        for assignment in assignments {
            topics.extend(assignment.branch.map(Self::Branch));
            topics.extend(assignment.centre.map(Self::Centre));
        }
        topics.insert(Self::Client(stored.record.chain.clone()));
        topics.insert(Self::Kind(kind(&stored.record.action, record.as_ref())));
        topics.insert(Self::Any);
        topics
    }
}

impl Live {
    /// Takes a place, which gets all changes after the position at which the task then is: one that isn't after the end
    /// of the feed now.
    pub async fn wait(self: &Arc<Self>, feed: &ChangeFeed, filter: &ChangeFilter, rights: &Rights) -> Result<Place> {
        loop {
            let begin = match self.is_read() {
                true => None,
                false => Some(super::end(feed.db.read()).await?),
            };
            let start = || {
                let reader = Reader {
                    feed: feed.clone(),
                    has_ended: false,
                };
                tokio::spawn(reader.run());
            };
            // None if the task has ended meanwhile.
            if let Some(place) = self.take_place(begin, start, Topic::of_subscription(filter, rights)) {
                return Ok(place);
            }
        }
    }

    /// Takes a place. Calls `start` for the task to begin at `begin`, unless it runs. None without a beginning.
    fn take_place(
        self: &Arc<Self>,
        begin: Option<Position>,
        start: impl FnOnce(),
        topics: HashSet<Topic>,
    ) -> Option<Place> {
        let mut state = self.state();
        if state.position.is_none() {
            state.position = Some(begin?);
            start();
        }
        state.last += 1;
        let number = state.last;
        for topic in &topics {
            state.by_topic.entry(topic.clone()).or_default().insert(number);
        }
        let (sender, queue) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared {
            taken: Mutex::new(Instant::now()),
            end: OnceLock::new(),
        });
        let waiting = Waiting {
            queue: sender,
            shared: shared.clone(),
            topics,
        };
        state.waiting.insert(number, waiting);
        Some(Place {
            live: self.clone(),
            number,
            queue,
            shared,
        })
    }

    fn is_read(&self) -> bool {
        self.state().position.is_some()
    }

    /// The position from which the task reads on. None, once, if there is nobody to read for: the task ends.
    fn position(&self) -> Option<Position> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.position = None;
        }
        state.position.clone()
    }

    fn offer(&self, changes: Vec<StoredChange>, definitions: &Arc<Definitions>) {
        for stored in changes {
            let topics = Topic::of_change(&stored);
            let mut state = self.state();
            state.position = Some(stored.position.clone());
            let numbers = topics.iter().filter_map(|topic| state.by_topic.get(topic)).flatten();
            let numbers: HashSet<u64> = numbers.copied().collect();
            if numbers.is_empty() {
                continue;
            }
            let change = Arc::new(LiveChange {
                stored,
                definitions: definitions.clone(),
            });
            for number in numbers {
                if let Some(Err(end)) = state.waiting.get(&number).map(|waiting| waiting.offer(&change)) {
                    state.end(number, end);
                }
            }
        }
    }

    fn end_all(&self, end: SubscriptionEnd) {
        let mut state = self.state();
        let numbers: Vec<u64> = state.waiting.keys().copied().collect();
        numbers
            .into_iter()
            .for_each(|number| state.end(number, PlaceEnd::Subscription(end)));
        state.position = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, number: u64, end: PlaceEnd) {
        let Some(waiting) = self.waiting.remove(&number) else {
            return;
        };
        // Before its queue is closed, when the reason is read.
        let _ = waiting.shared.end.set(end);
        for topic in waiting.topics {
            if let Some(numbers) = self.by_topic.get_mut(&topic) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_topic.remove(&topic);
                }
            }
        }
    }
}

impl Waiting {
    fn offer(&self, change: &Arc<LiveChange>) -> Result<(), PlaceEnd> {
        if self.queue.capacity() == WAITING {
            self.shared.set_taken();
        }
        match self.queue.try_send(change.clone()) {
            Ok(()) => Ok(()),
            Err(_) if self.shared.taken().elapsed() > STALLED => Err(PlaceEnd::Subscription(SubscriptionEnd::TooSlow)),
            Err(_) => Err(PlaceEnd::Overtaken),
        }
    }
}

impl Shared {
    fn taken(&self) -> Instant {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_taken(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Place {
    /// Waits for changes, and adds them to `changes`. If none is added, the place has ended.
    pub async fn receive(&mut self, changes: &mut Vec<Arc<LiveChange>>, most: usize) -> Result<(), PlaceEnd> {
        match self.queue.recv_many(changes, most).await {
            0 => {
                let interrupted = PlaceEnd::Subscription(SubscriptionEnd::Interrupted);
                Err(self.shared.end.get().copied().unwrap_or(interrupted))
            }
            _ => {
                self.shared.set_taken();
                Ok(())
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.state().end(self.number, PlaceEnd::Overtaken);
    }
}

/// The task that reads new changes.
struct Reader {
    feed: ChangeFeed,
    has_ended: bool,
}

impl Reader {
    async fn run(mut self) {
        while let Some(position) = self.feed.live.position() {
            let next = Instant::now() + GATHERING;
            match self.read(&position).await {
                // There may be more already.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    if !self.feed.db.logs_outage_of(&error) {
                        tracing::warn!(error = error.kind(), "new changes can't be read for subscriptions");
                    }
                    sleep(PAUSE).await;
                }
            }
            let _ = timeout(INTERVAL, self.feed.db.next_commit()).await;
            sleep_until(next).await;
        }
        self.has_ended = true;
    }

    /// Reads changes after a position. Returns true if there are more.
    async fn read(&self, position: &Position) -> Result<bool> {
        let feed = &self.feed;
        let batch = ChangeBatch::after(feed.db.read(), position, LARGEST_PAGE).await?;
        if !batch.has_position {
            feed.live.end_all(ChangesRefused::Unknown.into());
            return Ok(false);
        }
        if batch.changes.is_empty() {
            return Ok(false);
        }
        let has_more = batch.changes.len() < batch.found_count;
        // After the changes, so that values of a field that has moved to another set are hidden.
        let definitions = feed.definitions.current().await?;
        feed.live.offer(batch.changes, &definitions);
        Ok(has_more)
    }
}

impl Drop for Reader {
    /// If the task panics or is dropped, nobody must wait for it.
    fn drop(&mut self) {
        if !self.has_ended {
            self.feed.live.end_all(SubscriptionEnd::Interrupted);
        }
    }
}

#[cfg(test)]
mod tests;
