//! The responses of one connection that were not sent completely: their size, and the choice of those that are aborted.
//!
//! A response can wait for its own bytes without limit, but only for a bounded time for the caller to read it. In that
//! time a part of it must be sent: a small response as a whole, a large one by a 32nd, so that it takes at most 32
//! times as long.

use std::{
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

use super::report::Reason;

/// The bytes that are given to hyper at once. hyper holds only a few of these.
pub const PIECE: usize = 32 * 1024;
const PARTS: usize = 32;

/// The task of one HTTP/2 request, set once it is spawned.
pub type Stream = Arc<OnceLock<AbortHandle>>;

#[derive(Debug, Default)]
pub struct SendBacklog {
    responses: Vec<Response>,
    next: u64,
    bytes: usize,
    sent_at: Option<Instant>,
}

#[derive(Debug)]
struct Response {
    id: u64,
    bytes: usize,
    /// Bytes that hyper has and that are not sent.
    in_flight: usize,
    /// Bytes sent since `since`.
    sent: usize,
    since: Instant,
    /// True while the response waits for its own bytes.
    is_idle: bool,
    /// Over HTTP/2 only. Over HTTP/1.1 a response ends with its connection.
    stream: Option<Stream>,
    is_aborted: bool,
    /// Woken when everything is sent.
    waker: Option<Waker>,
}

impl SendBacklog {
    /// The bytes of all responses. Each counts as a whole until its last byte is sent.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a response of this size, and returns its id for the other functions.
    pub fn add(&mut self, now: Instant, bytes: usize, stream: Option<Stream>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.responses.push(Response {
            id,
            bytes,
            in_flight: 0,
            sent: 0,
            since: now,
            is_idle: false,
            stream,
            is_aborted: false,
            waker: None,
        });
        id
    }

    /// hyper gets a piece.
    pub fn push(&mut self, now: Instant, id: u64, bytes: usize) {
        let Some(response) = self.response(id) else { return };
        response.in_flight += bytes;
        if response.is_idle {
            (response.is_idle, response.sent, response.since) = (false, 0, now);
        }
    }

    /// The response has no bytes at present.
    pub fn idle(&mut self, id: u64) {
        if let Some(response) = self.response(id) {
            response.is_idle = true;
        }
    }

    /// A piece was sent, or dropped.
    pub fn sent(&mut self, now: Instant, id: u64, bytes: usize) {
        let Some(response) = self.response(id) else { return };
        response.in_flight -= bytes;
        response.sent += bytes;
        if response.sent >= PIECE.max(response.bytes / PARTS) {
            (response.sent, response.since) = (0, now);
        }
        if response.in_flight == 0
            && let Some(waker) = response.waker.take()
        {
            waker.wake();
        }
        if !response.is_aborted {
            self.sent_at = Some(now);
        }
    }

    /// Ready when everything that hyper got is sent.
    pub fn all_sent(&mut self, id: u64, waker: &Waker) -> Poll<()> {
        match self.response(id) {
            Some(response) if response.in_flight > 0 => {
                response.waker = Some(waker.clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    pub fn remove(&mut self, id: u64) {
        if let Some(index) = self.responses.iter().position(|response| response.id == id) {
            self.bytes -= self.responses.swap_remove(index).bytes;
        }
    }

    /// Aborts the streams whose responses have waited for `patience`, if others of the connection were sent meanwhile.
    /// Returns the time before which no other response waits too long; none if no response waits.
    ///
    /// # Errors
    /// The connection must end: no other response of it is sent either, or aborting a stream has not helped.
    pub fn stalled(&mut self, now: Instant, patience: Duration) -> Result<Option<Instant>, Reason> {
        let mut not_before = None;
        for response in self.responses.iter_mut().filter(|response| !response.is_idle) {
            if response.since + patience <= now {
                let others_move = self.sent_at.is_some_and(|sent| sent > response.since);
                match &response.stream {
                    Some(stream) if others_move && !response.is_aborted => stream.get().map(AbortHandle::abort),
                    _ => return Err(Reason::SendTimeout),
                };
                (response.is_aborted, response.since) = (true, now);
            }
            let end = response.since + patience;
            not_before = Some(not_before.map_or(end, |earlier: Instant| earlier.min(end)));
        }
        Ok(not_before)
    }

    fn response(&mut self, id: u64) -> Option<&mut Response> {
        self.responses.iter_mut().find(|response| response.id == id)
    }
}

#[cfg(test)]
mod tests;
