//! What happens on one connection, and when that has gone on for too long: a rest, a head, an answer that isn't taken.
//! Knows bytes and requests, but not what is in them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    frames::{Flood, Frames},
    http1_framing::Http1Framing,
    unsent::{Stall, Unsent},
};

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is under way, and a goodbye is in order.
    AtRest,
    /// A head hasn't come in time.
    SlowHead,
    /// An answer hasn't been taken in time.
    SlowTaker,
}

/// How long each may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub idle: Duration,
    pub head: Duration,
    /// For a part of an answer, see [`Unsent`].
    pub send: Duration,
}

/// What has happened on a connection so far.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    state: Mutex<State>,
    /// An answer has been taken, or given up.
    room: Notify,
    /// A proxy speaks for many callers.
    of_many: bool,
}

#[derive(Debug)]
struct State {
    /// Requests that are being answered, until their answers have been taken.
    running: usize,
    /// When the last of them ended.
    rested_since: Instant,
    /// When the first byte of a head came that isn't complete yet.
    head_since: Option<Instant>,
    wire: Wire,
    unsent: Unsent,
}

#[derive(Debug)]
enum Wire {
    /// Until the other end says something else.
    Http1(Http1Framing),
    Http2(Frames),
}

impl Activity {
    pub fn new(of_many: bool) -> Self {
        Self(Arc::new(Connection {
            state: Mutex::new(State {
                running: 0,
                rested_since: Instant::now(),
                head_since: None,
                wire: Wire::Http1(Http1Framing::default()),
                unsent: Unsent::default(),
            }),
            room: Notify::new(),
            of_many,
        }))
    }

    /// A request's head is complete, and announces a body of this length, none for chunks. None when its framing is
    /// unsound.
    pub fn request(&self, length: Option<u64>) -> Option<Running> {
        let is_sound = self.change(|state| {
            state.running += 1;
            match &mut state.wire {
                Wire::Http1(framing) => framing.accept(length),
                Wire::Http2(_) => true,
            }
        });
        let running = Running(self.clone());
        is_sound.then_some(running)
    }

    /// Waits until the answers that haven't been taken yet hold no more than `most` bytes. Callers of a proxy don't
    /// wait for one another.
    pub async fn room(&self, most: usize) {
        loop {
            let room = self.0.room.notified();
            if self.0.of_many || self.change(|state| state.unsent.bytes() <= most) {
                return;
            }
            room.await;
        }
    }

    /// Comes back when something has taken too long, and says what.
    pub async fn ended(&self, times: Times) -> Ended {
        let Times { idle, head, send } = times;
        loop {
            let now = Instant::now();
            let (rest, slow, stall) = self.change(|state| {
                let at_rest = state.running == 0;
                let rest = at_rest.then_some(state.rested_since + idle);
                // Before that, it was us who took the time.
                let slow = state.head_since.filter(|_| at_rest);
                let slow = slow.map(|since| since.max(state.rested_since) + head);
                (rest, slow, state.unsent.stalled(now, send))
            });
            let stall = match stall {
                Stall::Connection => return Ended::SlowTaker,
                Stall::None { not_before } => not_before,
            };
            if slow.is_some_and(|end| end <= now) {
                return Ended::SlowHead;
            }
            if rest.is_some_and(|end| end <= now) {
                return Ended::AtRest;
            }
            // Whatever happens meanwhile moves an end away, but for the first byte of a head and the first piece of an
            // answer.
            let ends = [rest, slow, stall, Some(now + idle.min(head).min(send))];
            tokio::time::sleep_until(ends.into_iter().flatten().min().unwrap_or(now)).await;
        }
    }

    /// Checks bytes that came in, and returns the number of those that the parser may read.
    ///
    /// # Errors
    /// More HTTP/2 frames than any caller has reason to send.
    pub fn received(&self, bytes: &[u8]) -> Result<usize, Flood> {
        self.change(|state| {
            let framing = match &mut state.wire {
                Wire::Http2(frames) => return frames.read(bytes).map(|()| bytes.len()),
                Wire::Http1(framing) => framing,
            };
            let sound = framing.read(bytes);
            let since = framing.is_waiting().then(Instant::now);
            state.head_since = since.map(|now| state.head_since.unwrap_or(now));
            if !framing.is_http2() {
                return Ok(sound);
            }
            let mut frames = Frames::new(self.0.of_many);
            let read = frames.read(&bytes[sound..]);
            state.wire = Wire::Http2(frames);
            read.map(|()| bytes.len())
        })
    }

    /// An answer's head is there.
    pub fn answered(&self) {
        self.change(|state| {
            if let Wire::Http2(frames) = &mut state.wire {
                frames.answered();
            }
        });
    }

    /// A piece of an answer has been taken.
    pub fn taken(&self) {
        self.change(|state| {
            if let Wire::Http2(frames) = &mut state.wire {
                frames.taken();
            }
        });
    }

    pub fn unsent<T>(&self, change: impl FnOnce(&mut Unsent) -> T) -> T {
        self.change(|state| change(&mut state.unsent))
    }

    pub fn has_room(&self) {
        self.0.room.notify_waiters();
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is being answered, or whose answer is being taken.
#[derive(Debug)]
pub struct Running(Activity);

impl Running {
    pub const fn activity(&self) -> &Activity {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.running -= 1;
            state.rested_since = Instant::now();
        });
    }
}
