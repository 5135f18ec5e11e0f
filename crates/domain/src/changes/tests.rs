//! A model of the order of changes on PostgreSQL: transactions that take ids, wait for clients, commit in any order, and
//! crashes after which ids are used again. Every reading of the feed must get each change once, in the order of versions.
//!
//! Four simpler orders are the control: each must fail in the same model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::Position;

/// A step of one of several writers, or of the reader.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Begins a transaction if the writer has none. It gets its id here, before it locks anything.
    Begin(usize),
    /// Changes a client, unless another transaction has it locked.
    Change(usize, u8),
    Commit(usize),
    Abort(usize),
    /// Reads up to this number of events.
    Read(usize),
    /// Ends all transactions without a commit. Ids that no committed transaction has can be used again.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writer = 0..4_usize;
    let step = prop_oneof![
        3 => writer.clone().prop_map(Step::Begin),
        5 => (writer.clone(), 0..3_u8).prop_map(|(writer, client)| Step::Change(writer, client)),
        3 => writer.clone().prop_map(Step::Commit),
        1 => writer.prop_map(Step::Abort),
        4 => (1..4_usize).prop_map(Step::Read),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..120)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    ordinal: i64,
    /// From a sequence: in the order of writing.
    id: i64,
    /// The id of its transaction.
    transaction: i64,
    client: u8,
    version: i64,
    /// When its transaction wrote it, as a clock would say.
    at: i64,
}

impl Event {
    /// Stands for the HMAC of a record.
    fn hmac(&self) -> String {
        format!("{:03}-{:04}", self.client, self.version)
    }
}

/// The order in which a reader gets events, and its memory between two readings.
trait Order: Default {
    fn read(&mut self, database: &Database, most: usize) -> Vec<Event>;
}

#[derive(Default)]
struct Database {
    next_id: i64,
    sequence: i64,
    clock: i64,
    /// The running transactions: their writers, ids and events.
    running: BTreeMap<usize, (i64, Vec<Event>)>,
    committed: Vec<Event>,
}

impl Database {
    fn horizon(&self) -> i64 {
        self.running.values().map(|(id, _)| *id).min().unwrap_or(self.next_id)
    }

    fn last(&self, client: u8) -> Option<&Event> {
        let of_client = |event: &&Event| event.client == client;
        let running = self.running.values().flat_map(|(_, events)| events);
        self.committed
            .iter()
            .chain(running)
            .filter(of_client)
            .max_by_key(|event| event.version)
    }

    /// Returns the writer that has the client locked.
    fn lock(&self, client: u8) -> Option<usize> {
        let has = |events: &[Event]| events.iter().any(|event| event.client == client);
        self.running
            .iter()
            .find(|(_, (_, events))| has(events))
            .map(|(writer, _)| *writer)
    }

    fn apply(&mut self, step: Step) {
        self.clock += 1;
        match step {
            Step::Begin(writer) if !self.running.contains_key(&writer) => {
                self.running.insert(writer, (self.next_id, Vec::new()));
                self.next_id += 1;
            }
            Step::Change(writer, client) if self.lock(client).is_none_or(|owner| owner == writer) => {
                let (version, before) = self
                    .last(client)
                    .map_or((1, 0), |last| (last.version + 1, last.ordinal));
                let at = self.clock;
                if let Some((transaction, events)) = self.running.get_mut(&writer) {
                    self.sequence += 1;
                    events.push(Event {
                        ordinal: before.max(*transaction),
                        id: self.sequence,
                        transaction: *transaction,
                        client,
                        version,
                        at,
                    });
                }
            }
            Step::Commit(writer) => {
                let events = self.running.remove(&writer).map(|(_, events)| events);
                self.committed.extend(events.into_iter().flatten());
            }
            Step::Abort(writer) => drop(self.running.remove(&writer)),
            Step::Crash => {
                self.running.clear();
                let last = self.committed.iter().map(|event| event.ordinal).max();
                self.next_id = last.map_or(1, |last| last + 1);
            }
            Step::Begin(_) | Step::Change(..) | Step::Read(_) => {}
        }
    }
}

/// The order of the feed, as its statement reads it.
struct Feed(Position);

impl Default for Feed {
    fn default() -> Self {
        Self(Position::START)
    }
}

impl Order for Feed {
    fn read(&mut self, database: &Database, most: usize) -> Vec<Event> {
        let (last, horizon) = ((self.0.ordinal, self.0.id), database.horizon());
        let key = |event: &Event| (event.ordinal, event.id);
        if self.0 != Position::START {
            let event = database.committed.iter().find(|event| key(event) == last);
            let hmac = event.expect("the change of the position").hmac();
            assert_eq!(self.0, Position::after(last.0, last.1, "name", &hmac));
        }
        let within = |event: &&Event| key(event) > last && event.ordinal < horizon;
        let mut events: Vec<Event> = database.committed.iter().filter(within).copied().collect();
        events.sort_by_key(key);
        events.truncate(most);
        if let Some(last) = events.last() {
            self.0 = Position::after(last.ordinal, last.id, "name", &last.hmac());
        }
        events
    }
}

/// By the ids of transactions alone: what is committed later with a lesser id is never read.
#[derive(Default)]
struct ById((i64, i64));

impl Order for ById {
    fn read(&mut self, database: &Database, most: usize) -> Vec<Event> {
        let key = |event: &Event| (event.ordinal, event.id);
        let mut events: Vec<Event> = database
            .committed
            .iter()
            .filter(|event| key(event) > self.0)
            .copied()
            .collect();
        events.sort_by_key(key);
        events.truncate(most);
        self.0 = events.last().map_or(self.0, key);
        events
    }
}

/// Below the horizon, but without raising ordinals: a later version can come first.
#[derive(Default)]
struct Unraised((i64, i64));

impl Order for Unraised {
    fn read(&mut self, database: &Database, most: usize) -> Vec<Event> {
        let (key, horizon) = (|event: &Event| (event.transaction, event.id), database.horizon());
        let within = |event: &&Event| key(event) > self.0 && event.transaction < horizon;
        let mut events: Vec<Event> = database.committed.iter().filter(within).copied().collect();
        events.sort_by_key(key);
        events.truncate(most);
        self.0 = events.last().map_or(self.0, key);
        events
    }
}

/// Positions are horizons: changes under ids that are used again after a crash are never read.
#[derive(Default)]
struct ToHorizon(i64);

impl Order for ToHorizon {
    fn read(&mut self, database: &Database, _most: usize) -> Vec<Event> {
        let (from, horizon) = (self.0, database.horizon());
        let within = |event: &&Event| (from..horizon).contains(&event.ordinal);
        let mut events: Vec<Event> = database.committed.iter().filter(within).copied().collect();
        events.sort_by_key(|event| (event.ordinal, event.id));
        self.0 = horizon.max(from);
        events
    }
}

/// By the time of writing, as an incremental synchronisation by `updatedAt` reads.
#[derive(Default)]
struct ByTime(i64);

impl Order for ByTime {
    fn read(&mut self, database: &Database, most: usize) -> Vec<Event> {
        let mut events: Vec<Event> = database
            .committed
            .iter()
            .filter(|event| event.at > self.0)
            .copied()
            .collect();
        events.sort_by_key(|event| event.at);
        events.truncate(most);
        self.0 = events.last().map_or(self.0, |last| last.at);
        events
    }
}

/// Runs the steps, then reads to the end. Returns what is wrong with what was read.
fn fault<O: Order>(steps: &[Step]) -> Option<String> {
    let (mut database, mut order, mut read) = (
        Database {
            next_id: 1,
            ..Database::default()
        },
        O::default(),
        Vec::new(),
    );
    for step in steps {
        match step {
            Step::Read(most) => read.extend(order.read(&database, *most)),
            step => database.apply(*step),
        }
    }
    for writer in 0..4 {
        database.apply(Step::Commit(writer));
    }
    loop {
        match order.read(&database, 3) {
            events if events.is_empty() => break,
            events => read.extend(events),
        }
    }
    let keys = |events: &[Event]| {
        events
            .iter()
            .map(|event| (event.client, event.version))
            .collect::<BTreeSet<_>>()
    };
    if read.len() != keys(&read).len() {
        return Some(format!("read twice: {read:?}"));
    }
    if keys(&read) != keys(&database.committed) {
        return Some(format!("read {read:?} of {:?}", database.committed));
    }
    let mut versions = BTreeMap::new();
    let is_later = |event: &Event| versions.insert(event.client, event.version) < Some(event.version);
    (!read.iter().all(is_later)).then(|| format!("versions out of order: {read:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_is_read_once_in_the_order_of_versions(steps in steps()) {
        prop_assert_eq!(fault::<Feed>(&steps), None);
    }
}

#[test]
fn simpler_orders_fail() {
    use Step::{Abort, Begin, Change, Commit, Crash, Read};
    let late_commit = [
        Begin(0),
        Begin(1),
        Change(0, 0),
        Change(1, 1),
        Commit(1),
        Read(3),
        Commit(0),
    ];
    // An id that was taken before the client was locked.
    let early_id = [
        Begin(0),
        Begin(1),
        Change(1, 0),
        Commit(1),
        Change(0, 0),
        Commit(0),
        Read(3),
    ];
    // The ids of transactions that have written nothing are used again after a crash.
    let reused_id = [
        Begin(0),
        Change(0, 0),
        Commit(0),
        Begin(1),
        Abort(1),
        Begin(1),
        Abort(1),
        Read(3),
        Crash,
        Begin(2),
        Change(2, 1),
        Commit(2),
    ];
    for (steps, fault, beginning) in [
        (&late_commit[..], fault::<ById>(&late_commit), "read [Event {"),
        (&late_commit, fault::<ByTime>(&late_commit), "read [Event {"),
        (&early_id, fault::<Unraised>(&early_id), "versions out of order"),
        (&reused_id, fault::<ToHorizon>(&reused_id), "read [Event {"),
    ] {
        assert!(
            fault.as_ref().is_some_and(|fault| fault.starts_with(beginning)),
            "{fault:?}"
        );
        assert_eq!(self::fault::<Feed>(steps), None);
    }
}
