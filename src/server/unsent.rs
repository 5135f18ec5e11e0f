//! The answers of one connection that its other end hasn't taken yet: what they hold, and which of them is given up.
//!
//! An answer may wait as long as it likes for its own bytes, but only so long for its taker. A part of it must be taken
//! in that time, a small one as a whole: a 32nd, so that none lasts longer than 32 times as long, however slowly it is
//! taken.

use std::{
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

/// What is handed over at once. The parser holds no more than a few of these.
pub const PIECE: usize = 32 * 1024;
const PARTS: usize = 32;

/// The task of one HTTP/2 request, once it is known.
pub type Stream = Arc<OnceLock<AbortHandle>>;

#[derive(Debug, Default)]
pub struct Unsent {
    answers: Vec<Answer>,
    next: u64,
    bytes: usize,
    taken_at: Option<Instant>,
}

#[derive(Debug)]
struct Answer {
    id: u64,
    bytes: usize,
    /// Bytes that have been handed over and not taken.
    out: usize,
    /// Bytes that have been taken since then.
    taken: usize,
    since: Instant,
    /// It waits for its own bytes.
    rests: bool,
    /// Over HTTP/2. Over HTTP/1.1 an answer ends with its connection.
    stream: Option<Stream>,
    is_given_up: bool,
    /// Who wants to know when everything has been taken.
    asking: Option<Waker>,
}

/// What has waited too long for the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// The connection: nothing else of it is taken either, or giving up a stream has not helped.
    Connection,
    /// Nothing yet.
    None { not_before: Option<Instant> },
}

impl Unsent {
    /// What they hold, counted as a whole until the last byte of each has been taken.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// An answer of so many bytes begins. Its name is for the other functions.
    pub fn add(&mut self, now: Instant, bytes: usize, stream: Option<Stream>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.answers.push(Answer {
            id,
            bytes,
            out: 0,
            taken: 0,
            since: now,
            rests: false,
            stream,
            is_given_up: false,
            asking: None,
        });
        id
    }

    /// A piece is handed over.
    pub fn hand_over(&mut self, now: Instant, id: u64, bytes: usize) {
        let Some(answer) = self.answer(id) else { return };
        answer.out += bytes;
        if answer.rests {
            (answer.rests, answer.taken, answer.since) = (false, 0, now);
        }
    }

    /// The answer has nothing to hand over.
    pub fn rest(&mut self, id: u64) {
        if let Some(answer) = self.answer(id) {
            answer.rests = true;
        }
    }

    /// A piece has been taken, or given up.
    pub fn take(&mut self, now: Instant, id: u64, bytes: usize) {
        let Some(answer) = self.answer(id) else { return };
        answer.out -= bytes;
        answer.taken += bytes;
        if answer.taken >= PIECE.max(answer.bytes / PARTS) {
            (answer.taken, answer.since) = (0, now);
        }
        if answer.out == 0
            && let Some(asking) = answer.asking.take()
        {
            asking.wake();
        }
        if !answer.is_given_up {
            self.taken_at = Some(now);
        }
    }

    /// Ready when everything that was handed over has been taken.
    pub fn all_taken(&mut self, id: u64, waker: &Waker) -> Poll<()> {
        match self.answer(id) {
            Some(answer) if answer.out > 0 => {
                answer.asking = Some(waker.clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    pub fn end(&mut self, id: u64) {
        if let Some(index) = self.answers.iter().position(|answer| answer.id == id) {
            self.bytes -= self.answers.swap_remove(index).bytes;
        }
    }

    /// Gives up the streams whose answers have waited for `patience`, if others of the connection are taken meanwhile.
    pub fn stalled(&mut self, now: Instant, patience: Duration) -> Stall {
        let mut not_before = None;
        for answer in self.answers.iter_mut().filter(|answer| !answer.rests) {
            if answer.since + patience <= now {
                let others_move = self.taken_at.is_some_and(|taken| taken > answer.since);
                match &answer.stream {
                    Some(stream) if others_move && !answer.is_given_up => stream.get().map(AbortHandle::abort),
                    _ => return Stall::Connection,
                };
                (answer.is_given_up, answer.since) = (true, now);
            }
            let end = answer.since + patience;
            not_before = Some(not_before.map_or(end, |earlier: Instant| earlier.min(end)));
        }
        Stall::None { not_before }
    }

    fn answer(&mut self, id: u64) -> Option<&mut Answer> {
        self.answers.iter_mut().find(|answer| answer.id == id)
    }
}

#[cfg(test)]
mod tests;
