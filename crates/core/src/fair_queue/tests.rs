//! The order of permits, observed one permit at a time.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use futures_util::FutureExt;
use tokio::time::advance;

use super::{FairQueue, Limits, Patience, Permit, QueueFull, Ticket};

type Granting = Pin<Box<dyn Future<Output = Result<Permit<char>, QueueFull>>>>;

/// Tickets that wait, by name. The key is the first letter.
struct Waiters {
    queue: FairQueue<char>,
    all: Vec<(&'static str, Granting)>,
}

impl Waiters {
    fn new(permits: usize) -> Self {
        Self::limited(Limits {
            permits,
            waiting: 100,
            waiting_per_key: 100,
        })
    }

    fn limited(limits: Limits) -> Self {
        Self {
            queue: FairQueue::new(limits),
            all: Vec::new(),
        }
    }

    fn ticket(&self, name: &str) -> Result<Ticket<char>, QueueFull> {
        self.queue.join(key(name))
    }

    fn join(&mut self, names: &[&'static str]) {
        for name in names {
            let ticket = self.ticket(name).expect("room");
            self.all.push((name, Box::pin(ticket.granted())));
        }
    }

    /// The tickets granted or evicted since the last call.
    fn ended(&mut self) -> Vec<(&'static str, Result<Permit<char>, QueueFull>)> {
        let mut ended = Vec::new();
        self.all.retain_mut(|(name, granting)| match granting.now_or_never() {
            Some(outcome) => {
                ended.push((*name, outcome));
                false
            }
            None => true,
        });
        ended
    }

    fn granted(&mut self) -> (Vec<&'static str>, Vec<Permit<char>>) {
        let granted = self.ended().into_iter();
        granted.map(|(name, permit)| (name, permit.expect("granted"))).unzip()
    }

    /// The names of all tickets in the order in which the only permit is granted.
    fn order(&mut self, permit: Permit<char>) -> Vec<&'static str> {
        let (mut order, mut held) = (Vec::new(), vec![permit]);
        while !held.is_empty() {
            assert_eq!(held.len(), 1, "one permit at a time");
            let names;
            drop(held);
            (names, held) = self.granted();
            order.extend(names);
        }
        order
    }
}

fn key(name: &str) -> char {
    name.chars().next().expect("a letter")
}

fn take(queue: &FairQueue<char>, key: char) -> Permit<char> {
    let ticket = queue.join(key).expect("room");
    assert!(ticket.is_granted());
    ticket.granted().now_or_never().expect("at once").expect("granted")
}

#[test]
fn keys_are_served_in_turns_and_tickets_of_a_key_in_order() {
    let mut waiters = Waiters::new(1);
    let permit = take(&waiters.queue, 'z');
    waiters.join(&["a1", "a2", "a3", "b1", "b2", "c1"]);
    assert_eq!(waiters.order(permit), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    assert_eq!(waiters.queue.in_use(), (0, 0));
    drop(take(&waiters.queue, 'd'));
}

#[test]
fn one_key_gets_three_quarters_and_new_keys_get_the_rest() {
    for (permits, expected) in [(1, 1), (2, 1), (3, 2), (4, 3), (16, 12), (64, 48)] {
        let queue = FairQueue::unbounded(permits);
        let tickets: Vec<_> = (0..permits + 5).map(|_| queue.join('a').expect("room")).collect();
        let granted = tickets.iter().filter(|ticket| ticket.is_granted()).count();
        assert_eq!(granted, expected, "of {permits}");
        let ticket = queue.join('b').expect("room");
        assert_eq!(ticket.is_granted(), permits > 1, "of {permits}");
    }
}

#[test]
fn permits_of_busy_keys_go_to_the_key_that_holds_fewest() {
    let mut waiters = Waiters::new(16);
    let mut busy: Vec<_> = (0..12).map(|_| take(&waiters.queue, 'a')).collect();
    busy.extend((0..3).map(|_| take(&waiters.queue, 'b')));
    let last = take(&waiters.queue, 'c');
    waiters.join(&["a1", "b1", "c1", "d1", "d2"]);
    // The last permit is reserved for keys that hold none.
    for expected in [&["d1"][..], &[], &["c1"], &["d2"]] {
        drop(busy.remove(0));
        let (names, permits) = waiters.granted();
        assert_eq!(names, expected);
        busy.extend(permits);
    }
    drop(last);
}

#[test]
fn a_permit_is_charged_to_another_key_within_its_share() {
    let queue = FairQueue::unbounded(4);
    let own = take(&queue, 'a').charged_to(&'b').expect("b holds nothing");
    let more = [take(&queue, 'b'), take(&queue, 'b')];
    let refused = take(&queue, 'a').charged_to(&'b');
    assert!(refused.is_none(), "b has its share");
    assert_eq!(queue.in_use(), (3, 0), "the permit was given back");
    assert!(own.charged_to(&'b').is_some(), "nothing changes");
    drop(more);
    assert_eq!(queue.in_use(), (0, 0));
}

#[test]
fn charging_a_permit_serves_the_key_that_it_was_charged_to_before() {
    let mut waiters = Waiters::new(2);
    let permit = take(&waiters.queue, 'a');
    waiters.join(&["a1"]);
    assert_eq!(waiters.granted().0, Vec::<&str>::new());
    let moved = permit.charged_to(&'b').expect("b holds nothing");
    assert_eq!(waiters.granted().0, ["a1"]);
    drop(moved);
}

#[test]
fn returning_tickets_are_served_first_and_never_refused() {
    let mut waiters = Waiters::limited(Limits {
        permits: 1,
        waiting: 2,
        waiting_per_key: 1,
    });
    let permit = take(&waiters.queue, 'z');
    waiters.join(&["a1", "b1"]);
    assert_eq!(waiters.ticket("a2").err(), Some(QueueFull));
    for name in ["returned first", "returned second"] {
        let returned = waiters.queue.rejoin('a');
        waiters.all.push((name, Box::pin(returned.granted())));
    }
    assert_eq!(waiters.order(permit), ["returned first", "b1", "returned second", "a1"]);
}

#[test]
fn full_queue_takes_the_newest_ticket_of_the_key_with_most() {
    let mut waiters = Waiters::limited(Limits {
        permits: 1,
        waiting: 4,
        waiting_per_key: 3,
    });
    let permit = take(&waiters.queue, 'z');
    waiters.join(&["a1", "a2", "a3"]);
    assert!(waiters.queue.refuses(&'a'));
    assert!(waiters.ticket("a4").is_err(), "a key has its limit");
    assert!(!waiters.queue.refuses(&'b'));
    waiters.join(&["b1", "c1"]);
    let evicted = waiters.ended();
    assert!(matches!(evicted[..], [("a3", Err(QueueFull))]), "{evicted:?}");
    assert!(waiters.queue.refuses(&'b'), "no other key would keep more than b");
    waiters.join(&["d1"]);
    let evicted = waiters.ended();
    assert!(matches!(evicted[..], [("a2", Err(QueueFull))]), "{evicted:?}");
    assert!(waiters.ticket("e1").is_err(), "all keys have as many");
    assert_eq!(waiters.order(permit), ["a1", "b1", "c1", "d1"]);
}

#[test]
fn dropped_tickets_and_permits_leave_nothing_behind() {
    let mut waiters = Waiters::new(1);
    let permit = take(&waiters.queue, 'z');
    let (waiting, granted) = (waiters.ticket("a").expect("room"), waiters.ticket("a").expect("room"));
    waiters.join(&["b1"]);
    drop(waiting);
    assert_eq!(waiters.queue.in_use(), (1, 2));
    // The permit was granted and is dropped unseen.
    drop(permit);
    assert_eq!(waiters.granted().0, Vec::<&str>::new());
    drop(granted);
    let (names, permits) = waiters.granted();
    assert_eq!(names, ["b1"]);
    drop(permits);
    drop(waiters.ticket("c").expect("room"));
    assert_eq!(waiters.queue.in_use(), (0, 0));
    assert!(waiters.queue.lock().keys.is_empty(), "keys are forgotten");
    assert!(waiters.queue.lock().by_held.is_empty() && waiters.queue.lock().by_waiting.is_empty());
}

#[tokio::test]
async fn ticket_waits_as_long_as_its_patience_lasts() {
    let queue = FairQueue::unbounded(1);
    let permit = take(&queue, 'z');
    let patience = Patience {
        draining: Duration::from_millis(1),
        standing: Duration::from_millis(1),
    };
    let waiting = queue.join('a').expect("room").granted_within(patience);
    assert_eq!(waiting.await.err(), Some(QueueFull));
    assert_eq!(queue.in_use(), (1, 0));
    drop(permit);
    let waiting = queue.join('a').expect("room").granted_within(patience);
    assert!(waiting.await.is_ok());
}

/// As the one writer of a SQLite file that 16 callers write without a pause.
#[tokio::test(start_paused = true)]
async fn queue_without_limits_never_refuses_a_ticket() {
    let queue = FairQueue::unbounded(1);
    let join = || queue.join('a').expect("there is no limit");
    let mut waiting: VecDeque<_> = (0..16).map(|_| join()).collect();
    for _ in 0..3_000 {
        let permit = waiting.pop_front().expect("16 wait").granted().await;
        advance(Duration::from_millis(20)).await;
        drop(permit);
        waiting.push_back(join());
    }
}
