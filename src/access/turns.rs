//! Whose turn it is to have a password hashed: a short queue, in which nobody's crowd keeps others out.
//!
//! Networks are served in turns, and each holds only a few places. Those that somebody has signed in from come before all
//! others, and when no place is left, whoever has fewer than another gets one of that other's. Knows no names and no passwords.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::network::Network;

/// How many wait at most, of those that come first and of the others.
pub const MOST: usize = 256;
/// How many of one network.
pub const MOST_OF_ONE: usize = 4;

/// Who asks for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody who is in already. Of these as many wait as requests are under way.
    Inside,
    /// Somebody in the network of this address, from which somebody has signed in before.
    Known(IpAddr),
    /// Somebody in another network.
    Stranger(IpAddr),
}

impl Asker {
    /// Who is served in turns with others.
    fn crowd(self) -> Option<IpAddr> {
        match self {
            Self::Inside => None,
            Self::Known(address) | Self::Stranger(address) => Some(Network::of_one_caller(address)),
        }
    }
}

/// There is no place left for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The turns that there are.
#[derive(Debug)]
pub struct Turns(Mutex<Queue>);

impl Turns {
    /// `at_once` turns can be had at the same time.
    pub fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue {
            free: at_once,
            ..Queue::default()
        })))
    }

    /// A place in the queue, which is given up by dropping it.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(self: &Arc<Self>, asker: Asker) -> Result<Waiting, Full> {
        let mut queue = self.lock();
        let (number, place) = match queue.free {
            0 => queue
                .join(asker)
                .map(|(number, granted)| (number, Place::Waits(granted)))?,
            _ => {
                queue.free -= 1;
                (0, Place::Granted)
            }
        };
        drop(queue);
        Ok(Waiting {
            turns: self.clone(),
            number,
            place,
        })
    }

    fn pass_on(&self) {
        self.lock().pass_on();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue.
#[derive(Debug)]
pub struct Waiting {
    turns: Arc<Turns>,
    number: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Granted,
    Waits(oneshot::Receiver<()>),
    /// It has become a turn.
    Left,
}

impl Waiting {
    /// The turn, when it has come.
    ///
    /// # Errors
    /// The place went to somebody whose network had fewer.
    pub async fn turn(mut self) -> Result<Turn, Full> {
        if let Place::Waits(granted) = &mut self.place {
            granted.await.map_err(|_| Full)?;
        }
        self.place = Place::Left;
        Ok(Turn(self.turns.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let granted = match &mut self.place {
            Place::Granted => true,
            // It may have been granted, and nobody has looked.
            Place::Waits(granted) => !self.turns.lock().leave(self.number) && granted.try_recv().is_ok(),
            Place::Left => false,
        };
        if granted {
            self.turns.pass_on();
        }
    }
}

/// Whoever has it may hash. It ends when it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// Nobody waits while there is one.
    free: usize,
    known: Lane,
    strangers: Lane,
    last_number: u64,
}

impl Queue {
    fn join(&mut self, asker: Asker) -> Result<(u64, oneshot::Receiver<()>), Full> {
        let (grant, granted) = oneshot::channel();
        self.last_number += 1;
        let (most, lane) = match asker {
            Asker::Inside => (MOST, &mut self.known),
            Asker::Known(_) => (MOST_OF_ONE, &mut self.known),
            Asker::Stranger(_) => (MOST_OF_ONE, &mut self.strangers),
        };
        lane.join(asker.crowd(), most, (self.last_number, grant))?;
        Ok((self.last_number, granted))
    }

    fn leave(&mut self, number: u64) -> bool {
        self.known.leave(number) || self.strangers.leave(number)
    }

    /// Gives a turn that has ended to the next in the queue.
    fn pass_on(&mut self) {
        while let Some((_, grant)) = self.known.next().or_else(|| self.strangers.next()) {
            // Whoever gives up his place takes it out of the queue first, so that this doesn't fail.
            if grant.send(()).is_ok() {
                return;
            }
        }
        self.free += 1;
    }
}

/// The number of a place, and how its holder hears that it has become a turn.
type Numbered = (u64, oneshot::Sender<()>);

/// Networks in the order of their turns. None is empty.
#[derive(Debug, Default)]
struct Lane {
    crowds: VecDeque<(Option<IpAddr>, VecDeque<Numbered>)>,
    waiting: usize,
}

impl Lane {
    fn join(&mut self, crowd: Option<IpAddr>, most: usize, place: Numbered) -> Result<(), Full> {
        let own = self.crowds.iter().position(|(other, _)| *other == crowd);
        let taken = own.map_or(0, |own| self.crowds[own].1.len());
        if taken >= most || self.waiting >= MOST && !self.make_room(taken) {
            return Err(Full);
        }
        self.waiting += 1;
        match own {
            Some(own) => self.crowds[own].1.push_back(place),
            None => self.crowds.push_back((crowd, VecDeque::from([place]))),
        }
        Ok(())
    }

    /// Takes the last place of the largest crowd away, if that stays as large as one of `taken` and another.
    fn make_room(&mut self, taken: usize) -> bool {
        let largest = self.crowds.iter_mut().max_by_key(|(_, places)| places.len());
        let Some((_, places)) = largest.filter(|(_, places)| places.len() > taken + 1) else {
            return false;
        };
        places.pop_back();
        self.waiting -= 1;
        true
    }

    fn next(&mut self) -> Option<Numbered> {
        let (crowd, mut places) = self.crowds.pop_front()?;
        let place = places.pop_front();
        if !places.is_empty() {
            self.crowds.push_back((crowd, places));
        }
        self.waiting -= 1;
        place
    }

    fn leave(&mut self, number: u64) -> bool {
        let before = self.waiting;
        for (_, places) in &mut self.crowds {
            let held = places.len();
            places.retain(|(other, _)| *other != number);
            self.waiting -= held - places.len();
        }
        self.crowds.retain(|(_, places)| !places.is_empty());
        self.waiting < before
    }
}

#[cfg(test)]
mod tests;
