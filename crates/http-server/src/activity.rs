//! The state of one connection, and its timeouts: idle time, an incomplete head, a response that the caller doesn't
//! read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::Notify, time::Instant};

use super::{
    http1_framing::Http1Framing, http2_flood::Http2FloodLimit, report::Reason, send_backlog::SendBacklog,
    settings::HttpSettings,
};

/// The state of a connection. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    state: Mutex<State>,
    /// Notified when a response is sent or aborted.
    room: Notify,
    /// A proxy forwards for many callers.
    is_proxy: bool,
}

#[derive(Debug)]
struct State {
    /// Requests whose responses are not sent completely.
    running: usize,
    /// The time at which the last of them ended.
    idle_since: Instant,
    /// The time at which the first byte of an incomplete head arrived.
    head_since: Option<Instant>,
    wire: Wire,
    backlog: SendBacklog,
}

#[derive(Debug)]
enum Wire {
    /// Until the caller sends the preface of HTTP/2.
    Http1(Http1Framing),
    Http2(Http2FloodLimit),
    /// The connection speaks another protocol, which the application reads.
    Upgraded,
}

impl Activity {
    pub fn new(is_proxy: bool) -> Self {
        Self(Arc::new(Connection {
            state: Mutex::new(State {
                running: 0,
                idle_since: Instant::now(),
                head_since: None,
                wire: Wire::Http1(Http1Framing::default()),
                backlog: SendBacklog::default(),
            }),
            room: Notify::new(),
            is_proxy,
        }))
    }

    /// Registers a request whose head is complete. `length` is that of its body, none for chunks. None when its framing
    /// is unsound.
    pub fn request(&self, length: Option<u64>) -> Option<Running> {
        let is_sound = self.change(|state| {
            state.running += 1;
            match &mut state.wire {
                Wire::Http1(framing) => framing.accept(length),
                Wire::Http2(_) | Wire::Upgraded => true,
            }
        });
        let running = Running(self.clone());
        is_sound.then_some(running)
    }

    /// Waits until the unsent responses hold at most `most` bytes. Callers of a proxy don't wait for one another.
    pub async fn room(&self, most: usize) {
        loop {
            let room = self.0.room.notified();
            if self.0.is_proxy || self.change(|state| state.backlog.bytes() <= most) {
                return;
            }
            room.await;
        }
    }

    /// Returns when a timeout has passed, with its reason. None for an idle connection, which can be closed gracefully.
    pub async fn ended(&self, settings: &HttpSettings) -> Option<Reason> {
        let (idle, head, send) = (settings.idle_timeout, settings.header_timeout, settings.send_timeout);
        loop {
            let now = Instant::now();
            let (idle_end, slow, stall) = self.change(|state| {
                let is_idle = state.running == 0;
                let idle_end = is_idle.then_some(state.idle_since + idle);
                // The server was busy with a request before that.
                let slow = state.head_since.filter(|_| is_idle);
                let slow = slow.map(|since| since.max(state.idle_since) + head);
                (idle_end, slow, state.backlog.stalled(now, send))
            });
            let stall = match stall {
                Ok(not_before) => not_before,
                Err(reason) => return Some(reason),
            };
            if slow.is_some_and(|end| end <= now) {
                return Some(Reason::HeaderTimeout);
            }
            if idle_end.is_some_and(|end| end <= now) {
                return None;
            }
            // Events in the meantime only postpone an end, except the first byte of a head and the first piece of a
            // response.
            let ends = [idle_end, slow, stall, Some(now + idle.min(head).min(send))];
            tokio::time::sleep_until(ends.into_iter().flatten().min().unwrap_or(now)).await;
        }
    }

    /// Checks received bytes and returns the number of those that the parser may read.
    ///
    /// # Errors
    /// More HTTP/2 frames than any caller has a reason to send.
    pub fn received(&self, bytes: &[u8]) -> Result<usize, Reason> {
        self.change(|state| {
            let framing = match &mut state.wire {
                Wire::Http2(limit) => return limit.read(bytes).map(|()| bytes.len()),
                Wire::Upgraded => return Ok(bytes.len()),
                Wire::Http1(framing) => framing,
            };
            let sound = framing.read(bytes);
            let since = framing.is_waiting().then(Instant::now);
            state.head_since = since.map(|now| state.head_since.unwrap_or(now));
            if !framing.is_http2() {
                return Ok(sound);
            }
            let mut limit = Http2FloodLimit::new(self.0.is_proxy);
            let read = limit.read(&bytes[sound..]);
            state.wire = Wire::Http2(limit);
            read.map(|()| bytes.len())
        })
    }

    /// The head of a response is ready.
    pub fn answered(&self) {
        self.change(|state| {
            if let Wire::Http2(limit) = &mut state.wire {
                limit.answered();
            }
        });
    }

    /// The connection is given to the application.
    pub fn upgraded(&self) {
        self.change(|state| state.wire = Wire::Upgraded);
    }

    /// A piece of a response was sent.
    pub fn sent(&self) {
        self.change(|state| {
            if let Wire::Http2(limit) = &mut state.wire {
                limit.sent();
            }
        });
    }

    pub fn backlog<T>(&self, change: impl FnOnce(&mut SendBacklog) -> T) -> T {
        self.change(|state| change(&mut state.backlog))
    }

    pub fn has_room(&self) {
        self.0.room.notify_waiters();
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request in progress, until its response is sent.
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
            state.idle_since = Instant::now();
        });
    }
}
