//! The order of turns, told by one turn at a time.

use std::{net::IpAddr, pin::Pin, sync::Arc};

use futures_util::FutureExt;

use super::{
    Asker::{self, Inside, Known, Stranger},
    Full, MOST, MOST_OF_ONE, Turn, Turns,
};

/// The address with this number. Each is a network of its own.
fn network(number: usize) -> IpAddr {
    IpAddr::from(u32::try_from(number).expect("a small number").to_be_bytes())
}

type Turning = Pin<Box<dyn Future<Output = Result<Turn, Full>>>>;

/// Those who wait for the only turn, by what the test calls them.
struct Waiters {
    turns: Arc<Turns>,
    turn: Option<Turn>,
    all: Vec<(String, Turning)>,
}

impl Waiters {
    fn new() -> Self {
        let turns = Turns::new(1);
        let turn = turns
            .ask(Stranger(network(0)))
            .expect("nobody waits")
            .turn()
            .now_or_never();
        Self {
            turn: Some(turn.expect("at once").expect("granted")),
            turns,
            all: Vec::new(),
        }
    }

    fn join(&mut self, name: impl Into<String>, asker: Asker) -> Result<(), Full> {
        let waiting = self.turns.ask(asker)?;
        self.all.push((name.into(), Box::pin(waiting.turn())));
        Ok(())
    }

    /// Who has heard something, and what.
    fn heard(&mut self) -> Vec<(String, Result<Turn, Full>)> {
        let mut heard = Vec::new();
        self.all
            .retain_mut(|(name, turning)| match turning.as_mut().now_or_never() {
                Some(answer) => {
                    heard.push((name.clone(), answer));
                    false
                }
                None => true,
            });
        heard
    }

    /// Ends the turn that is, and says whose is the next.
    fn next(&mut self) -> Option<String> {
        self.turn = None;
        let mut heard = self.heard();
        assert!(heard.len() < 2, "there is one turn at a time");
        let (name, turn) = heard.pop()?;
        self.turn = Some(turn.expect("a turn"));
        Some(name)
    }

    fn order(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn networks_have_turns_and_each_serves_who_came_first() {
    let mut waiters = Waiters::new();
    for (name, number) in [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("b2", 2), ("c1", 3)] {
        waiters.join(name, Stranger(network(number))).expect("a place");
    }
    assert_eq!(waiters.order(), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    // All have gone: the turn is free, and nobody has to wait for it.
    waiters.join("d", Stranger(network(4))).expect("a place");
    assert_eq!(waiters.next().as_deref(), Some("d"));
}

#[test]
fn known_networks_and_who_is_inside_come_before_all_strangers() {
    let mut waiters = Waiters::new();
    for (name, asker) in [
        ("stranger", Stranger(network(1))),
        ("inside 1", Inside),
        ("inside 2", Inside),
        ("known", Known(network(2))),
    ] {
        waiters.join(name, asker).expect("a place");
    }
    assert_eq!(waiters.next().as_deref(), Some("inside 1"));
    waiters.join("known, too", Known(network(3))).expect("a place");
    assert_eq!(waiters.order(), ["known", "inside 2", "known, too", "stranger"]);
}

#[test]
fn a_network_has_a_few_places_however_many_addresses_it_has() {
    let mut waiters = Waiters::new();
    let addresses = ["2001:db8::1", "2001:db8:0:1::2", "2001:db8::3", "2001:db8:0:ff::4"];
    assert_eq!(addresses.len(), MOST_OF_ONE);
    for address in addresses {
        let address: IpAddr = address.parse().expect("an address");
        waiters.join(address.to_string(), Stranger(address)).expect("a place");
    }
    let one_more = Stranger("2001:db8:0:2::5".parse().expect("an address"));
    assert_eq!(waiters.join("one more", one_more), Err(Full));
    waiters.next();
    waiters.join("one more", one_more).expect("one has had its turn");
    for number in 0..=MOST_OF_ONE {
        waiters
            .join(format!("{number}"), Inside)
            .expect("who is inside is no crowd");
    }
}

#[test]
fn a_newcomer_gets_a_place_of_the_largest_crowd_and_is_served_in_the_first_round() {
    let mut waiters = Waiters::new();
    let crowds = MOST / MOST_OF_ONE;
    for number in 0..MOST {
        let name = format!("{}", number % crowds);
        waiters
            .join(name, Stranger(network(1 + number % crowds)))
            .expect("a place");
    }
    waiters
        .join("new", Stranger(network(1_000)))
        .expect("a place of another");
    let pushed_out = waiters.heard();
    assert!(matches!(pushed_out[..], [(_, Err(Full))]), "{pushed_out:?}");
    let order: Vec<_> = (0..=crowds).filter_map(|_| waiters.next()).collect();
    assert_eq!(order.last().map(String::as_str), Some("new"), "after one of each");
    // Who comes first is kept out by no stranger.
    waiters.join("known", Known(network(1_001))).expect("a place");
    assert_eq!(waiters.next().as_deref(), Some("known"));
}

#[test]
fn where_nobody_has_more_than_another_who_comes_too_late_is_refused() {
    let mut waiters = Waiters::new();
    for number in 1..=MOST {
        waiters.join("one of many", Stranger(network(number))).expect("a place");
    }
    assert_eq!(waiters.join("late", Stranger(network(MOST + 1))), Err(Full));
    assert_eq!(waiters.join("a second one", Stranger(network(1))), Err(Full));
    assert_eq!(waiters.heard().len(), 0, "nobody is pushed out for it");
    waiters.next();
    waiters.join("late", Stranger(network(MOST + 1))).expect("a place");
}

#[test]
fn who_gives_up_leaves_neither_a_place_nor_a_turn_behind() {
    let mut waiters = Waiters::new();
    let waiting = |waiters: &Waiters| waiters.turns.ask(Stranger(network(1)));
    let mut mine: Vec<_> = (0..MOST_OF_ONE).map(|_| waiting(&waiters).expect("a place")).collect();
    assert_eq!(waiting(&waiters).err(), Some(Full));
    drop(mine.pop());
    mine.push(waiting(&waiters).expect("the place that was given up"));
    waiters.join("other", Stranger(network(2))).expect("a place");
    // The turn is granted to one who gives up without having heard of it.
    assert_eq!(waiters.next(), None);
    drop(mine);
    assert_eq!(waiters.next().as_deref(), Some("other"));
    drop(waiters.turn.take());
    // And one that nobody had to wait for.
    drop(waiting(&waiters).expect("a turn at once"));
    waiters.join("last", Stranger(network(3))).expect("a turn at once");
    assert_eq!(waiters.next().as_deref(), Some("last"));
}
