//! What happens on one connection, and when it has rested for too long. Knows bytes and requests, but not what is in them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

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
}

impl Activity {
    pub fn new(multiplexed: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            running: 0,
            rested_since: Instant::now(),
            head_since: None,
            multiplexed,
        })))
    }

    /// A request's head is complete; its answer is, when what is returned goes away.
    pub fn request(&self, multiplexed: bool) -> Running {
        self.change(|state| {
            state.running += 1;
            state.head_since = None;
            state.multiplexed |= multiplexed;
        });
        Running(self.clone())
    }

    /// Comes back when the connection has rested for `idle`, or has been at one head for `head`.
    pub async fn ended(&self, idle: Duration, head: Duration) {
        loop {
            let end = self.change(|state| {
                let rest = state.rested_since + idle;
                let head = state.head_since.map(|since| since + head);
                (state.running == 0).then(|| head.map_or(rest, |head| head.min(rest)))
            });
            let now = Instant::now();
            match end {
                Some(end) if end <= now => return,
                // Whatever happens meanwhile moves the end away, but for the first byte of a head.
                Some(end) => tokio::time::sleep_until(end.min(now + head)).await,
                None => tokio::time::sleep(idle.min(head)).await,
            }
        }
    }

    fn received(&self) {
        self.change(|state| {
            if state.running == 0 && !state.multiplexed && state.head_since.is_none() {
                state.head_since = Some(Instant::now());
            }
        });
    }

    fn sent(&self) {
        self.change(|state| state.rested_since = Instant::now());
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
            self.activity.received();
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
