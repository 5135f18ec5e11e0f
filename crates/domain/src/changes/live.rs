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
use clientele_core::{error::Result, log_throttle::LogThrottle};

/// The time between two reads without a commit of this process.
const INTERVAL: Duration = Duration::from_millis(100);
/// The shortest time between two reads that find all changes.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(2);
/// The pause after a failed read.
const PAUSE: Duration = Duration::from_secs(1);
/// The length of a subscription's queue. A subscription with more new changes must read the feed.
const LONGEST_QUEUE: usize = 1_000;
/// A subscription whose queue is full and that has received nothing for this time is too slow.
const STALLED: Duration = Duration::from_secs(10);

/// The reason why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionEnd {
    #[error(transparent)]
    Refused(#[from] ChangesRefused),
    #[error("The subscription can't keep up with the changes. Subscribe again after the last position that you have.")]
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

/// The subscriptions that receive new changes.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last change that was read. None while there is no reader.
    position: Option<Position>,
    subscribers: HashMap<u64, Subscriber>,
    by_topic: HashMap<Topic, HashSet<u64>>,
    /// The number of the latest subscription.
    last: u64,
}

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<Arc<LiveChange>>,
    shared: Arc<Shared>,
    topics: HashSet<Topic>,
}

#[derive(Debug)]
struct Shared {
    /// The time at which the subscription last received changes, or had none to receive.
    last_received: Mutex<Instant>,
    end: OnceLock<QueueEnd>,
}

/// The reason why a queue has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueEnd {
    /// It was full. The feed has the changes.
    Overtaken,
    Subscription(SubscriptionEnd),
}

/// The new changes with the topics of one subscription. Dropping it ends the delivery.
#[derive(Debug)]
pub(super) struct LiveQueue {
    live: Arc<Live>,
    number: u64,
    queue: mpsc::Receiver<Arc<LiveChange>>,
    shared: Arc<Shared>,
}

/// A property of changes. A subscription receives the changes with at least one of its topics.
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
        // Each subscription that receives an unreadable record reports it.
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
    /// Opens a queue. It gets all changes after the position of the reader at that time, which isn't after the present
    /// end of the feed.
    pub async fn receive(
        self: &Arc<Self>,
        feed: &ChangeFeed,
        filter: &ChangeFilter,
        rights: &Rights,
    ) -> Result<LiveQueue> {
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
            // None if the reader has ended meanwhile.
            if let Some(queue) = self.open_queue(begin, start, Topic::of_subscription(filter, rights)) {
                return Ok(queue);
            }
        }
    }

    /// Opens a queue. Calls `start` unless the reader runs; it then begins at `begin`. None if that is missing.
    fn open_queue(
        self: &Arc<Self>,
        begin: Option<Position>,
        start: impl FnOnce(),
        topics: HashSet<Topic>,
    ) -> Option<LiveQueue> {
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
        let (sender, queue) = mpsc::channel(LONGEST_QUEUE);
        let shared = Arc::new(Shared {
            last_received: Mutex::new(Instant::now()),
            end: OnceLock::new(),
        });
        let subscriber = Subscriber {
            queue: sender,
            shared: shared.clone(),
            topics,
        };
        state.subscribers.insert(number, subscriber);
        Some(LiveQueue {
            live: self.clone(),
            number,
            queue,
            shared,
        })
    }

    fn is_read(&self) -> bool {
        self.state().position.is_some()
    }

    /// The position to read from. None without subscriptions: the reader must end.
    fn next_position(&self) -> Option<Position> {
        let mut state = self.state();
        if state.subscribers.is_empty() {
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
                if let Some(Err(end)) = state
                    .subscribers
                    .get(&number)
                    .map(|subscriber| subscriber.offer(&change))
                {
                    state.end(number, end);
                }
            }
        }
    }

    fn end_all(&self, end: SubscriptionEnd) {
        let mut state = self.state();
        let numbers: Vec<u64> = state.subscribers.keys().copied().collect();
        numbers
            .into_iter()
            .for_each(|number| state.end(number, QueueEnd::Subscription(end)));
        state.position = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, number: u64, end: QueueEnd) {
        let Some(subscriber) = self.subscribers.remove(&number) else {
            return;
        };
        // Set before the queue is closed: the subscription reads it then.
        let _ = subscriber.shared.end.set(end);
        for topic in subscriber.topics {
            if let Some(numbers) = self.by_topic.get_mut(&topic) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_topic.remove(&topic);
                }
            }
        }
    }
}

impl Subscriber {
    fn offer(&self, change: &Arc<LiveChange>) -> Result<(), QueueEnd> {
        if self.queue.capacity() == LONGEST_QUEUE {
            self.shared.set_last_received();
        }
        match self.queue.try_send(change.clone()) {
            Ok(()) => Ok(()),
            Err(_) if self.shared.last_received().elapsed() > STALLED => {
                Err(QueueEnd::Subscription(SubscriptionEnd::TooSlow))
            }
            Err(_) => Err(QueueEnd::Overtaken),
        }
    }
}

impl Shared {
    fn last_received(&self) -> Instant {
        *self.last_received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_last_received(&self) {
        *self.last_received.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl LiveQueue {
    /// Waits for changes, and appends them to `changes`.
    ///
    /// # Errors
    /// The queue has ended, and all changes in it have been received.
    pub async fn receive(&mut self, changes: &mut Vec<Arc<LiveChange>>, most: usize) -> Result<(), QueueEnd> {
        match self.queue.recv_many(changes, most).await {
            0 => {
                let interrupted = QueueEnd::Subscription(SubscriptionEnd::Interrupted);
                Err(self.shared.end.get().copied().unwrap_or(interrupted))
            }
            _ => {
                self.shared.set_last_received();
                Ok(())
            }
        }
    }
}

impl Drop for LiveQueue {
    fn drop(&mut self) {
        self.live.state().end(self.number, QueueEnd::Overtaken);
    }
}

/// The task that reads new changes.
struct Reader {
    feed: ChangeFeed,
    /// True once the queues are closed, or belong to another reader.
    has_ended: bool,
}

/// The result of a read.
enum Found {
    /// There may be more changes.
    Some,
    All,
    /// The position is no longer one of the feed.
    NoPosition,
}

impl Reader {
    async fn run(mut self) {
        let failures = LogThrottle::default();
        while let Some(position) = self.feed.live.next_position() {
            let next = Instant::now() + SHORTEST_INTERVAL;
            match self.read(&position).await {
                Ok(Found::Some) => continue,
                Ok(Found::All) => {}
                Ok(Found::NoPosition) => {
                    self.has_ended = true;
                    return self.feed.live.end_all(ChangesRefused::Unknown.into());
                }
                Err(error) => {
                    if !self.feed.db.logs_outage_of(&error)
                        && let Some(failures) = failures.add(1)
                    {
                        let error = error.kind();
                        tracing::warn!(error, failures, "new changes can't be read for subscriptions");
                    }
                    sleep(PAUSE).await;
                }
            }
            let _ = timeout(INTERVAL, self.feed.db.next_commit()).await;
            sleep_until(next).await;
        }
        self.has_ended = true;
    }

    async fn read(&self, position: &Position) -> Result<Found> {
        let feed = &self.feed;
        let batch = ChangeBatch::after(feed.db.read(), position, LARGEST_PAGE).await?;
        if !batch.has_position {
            return Ok(Found::NoPosition);
        }
        if batch.changes.is_empty() {
            return Ok(Found::All);
        }
        let has_more = batch.changes.len() < batch.found_count;
        // After the changes, so that values of a field that has moved to another set are hidden.
        let definitions = feed.definitions.current().await?;
        feed.live.offer(batch.changes, &definitions);
        Ok(if has_more { Found::Some } else { Found::All })
    }
}

impl Drop for Reader {
    /// Without a reader, no subscription may wait.
    fn drop(&mut self) {
        if !self.has_ended {
            self.feed.live.end_all(SubscriptionEnd::Interrupted);
        }
    }
}

#[cfg(test)]
mod tests;
