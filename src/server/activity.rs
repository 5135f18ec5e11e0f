//! What happens on one connection, and when it has rested for too long. Knows bytes and requests, but not what is in them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{Request, Version};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::smuggling::Heads;

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is under way, and a goodbye is in order.
    AtRest,
    /// A head that doesn't come to an end.
    AtHead,
}

/// What has happened on a connection so far.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests that are being answered.
    running: usize,
    /// When a request ended last, or bytes were taken by the other end.
    rested_since: Instant,
    /// When the first byte of a head came that isn't complete yet.
    head_since: Option<Instant>,
    /// On HTTP/2 bytes come between requests that are no request's.
    multiplexed: bool,
    heads: Heads,
}

impl Activity {
    pub fn new(multiplexed: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            running: 0,
            rested_since: Instant::now(),
            head_since: None,
            multiplexed,
            heads: Heads::default(),
        })))
    }

    /// A request's head is complete; its answer is, when what is returned goes away. None when the head says twice how
    /// long the body is.
    pub fn request<B>(&self, request: &Request<B>) -> Option<Running> {
        let smuggled = self.change(|state| {
            state.running += 1;
            state.head_since = None;
            state.multiplexed |= request.version() == Version::HTTP_2;
            state.heads.parsed(request.method(), request.headers()) && !state.multiplexed
        });
        let running = Running(self.clone());
        (!smuggled).then_some(running)
    }

    /// Comes back when the connection has rested for `idle`, or has been at one head for `head`, and says which.
    pub async fn ended(&self, idle: Duration, head: Duration) -> Ended {
        loop {
            let (rest, slow) = self.change(|state| {
                let at_rest = state.running == 0;
                let slow = state.head_since.filter(|_| at_rest).map(|since| since + head);
                (at_rest.then_some(state.rested_since + idle), slow)
            });
            let now = Instant::now();
            if slow.is_some_and(|end| end <= now) {
                return Ended::AtHead;
            }
            match rest.map(|rest| slow.map_or(rest, |slow| slow.min(rest))) {
                Some(end) if end <= now => return Ended::AtRest,
                // Whatever happens meanwhile moves the end away, but for the first byte of a head.
                Some(end) => tokio::time::sleep_until(end.min(now + head)).await,
                None => tokio::time::sleep(idle.min(head)).await,
            }
        }
    }

    fn received(&self, bytes: &[u8]) {
        self.change(|state| {
            if state.running == 0 && !state.multiplexed {
                state.head_since.get_or_insert_with(Instant::now);
                state.heads.read(bytes);
            }
        });
    }

    /// Over HTTP/2 something is sent whenever the other end likes, an answer to a PING for one: only requests count.
    fn sent(&self) {
        self.change(|state| {
            if !state.multiplexed {
                state.rested_since = Instant::now();
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.running -= 1;
            state.rested_since = Instant::now();
        });
    }
}

/// A stream that tells of its bytes.
#[derive(Debug)]
pub struct Watched<S> {
    pub stream: S,
    pub activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received(&buffer.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn tell(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.activity.sent();
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.tell(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.tell(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
