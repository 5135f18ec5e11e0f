//! The body of a response, split into pieces that report when they are sent: hyper drops a piece when it is written to
//! the socket, or when its stream or connection ends.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
};
use hyper::{
    body::{Frame, SizeHint},
    rt::Executor,
};

use tokio::time::Instant;

use super::{
    activity::Running,
    send_backlog::{PIECE, SendBacklog, Stream},
};

/// The initial window of HTTP/2. The end of a larger response is held back until the rest is sent: after its end a
/// response can't be aborted without its connection.
const INITIAL_WINDOW: usize = 65_535;

tokio::task_local! {
    static STREAM: Stream;
}

/// Runs each HTTP/2 request in a task that has its own handle, so that it can be aborted.
#[derive(Clone, Copy, Debug)]
pub struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let stream = Stream::new(OnceLock::new());
        let task = tokio::spawn(STREAM.scope(stream.clone(), future));
        let _ = stream.set(task.abort_handle());
    }
}

/// The default is an empty body.
#[derive(Debug, Default)]
pub struct TrackedBody {
    body: Body,
    /// The bytes of the body's last chunk that hyper has not got yet.
    rest: Bytes,
    /// None for a response without a body.
    response: Option<Arc<Response>>,
    holds_its_end: bool,
}

/// Exists until all pieces are sent.
#[derive(Debug)]
struct Response {
    id: u64,
    running: Running,
}

impl TrackedBody {
    /// Must be called in the task of the request.
    pub fn new(body: Body, running: Running) -> Self {
        let stream = STREAM.try_with(Stream::clone).ok();
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let holds_its_end = stream.is_some() && bytes > INITIAL_WINDOW;
        let response = (!body.is_end_stream()).then(|| {
            let id = running
                .activity()
                .backlog(|backlog| backlog.add(Instant::now(), bytes, stream));
            Arc::new(Response { id, running })
        });
        Self {
            body,
            rest: Bytes::new(),
            response,
            holds_its_end,
        }
    }

    fn next_piece(&mut self, mut bytes: Bytes) -> Bytes {
        self.rest = bytes.split_off(bytes.len().min(PIECE));
        let Some(response) = self.response.clone() else {
            return bytes;
        };
        response.change(|backlog, id| backlog.push(Instant::now(), id, bytes.len()));
        Bytes::from_owner(Piece { bytes, response })
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.next_piece(rest)))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            if let Some(response) = &self.response {
                response.change(|backlog, id| backlog.idle(id));
            }
            return Poll::Pending;
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(bytes))) => Poll::Ready(Some(Ok(Frame::data(self.next_piece(bytes))))),
            Some(Ok(Err(other))) => Poll::Ready(Some(Ok(other))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                if let Some(response) = self.response.as_ref().filter(|_| self.holds_its_end) {
                    ready!(response.change(|backlog, id| backlog.all_sent(id, cx.waker())));
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.holds_its_end && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (behind, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = behind.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(behind.lower() + rest);
        hint
    }
}

impl Response {
    fn change<T>(&self, change: impl FnOnce(&mut SendBacklog, u64) -> T) -> T {
        self.running.activity().backlog(|backlog| change(backlog, self.id))
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.change(SendBacklog::remove);
        self.running.activity().has_room();
    }
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    response: Arc<Response>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let length = self.bytes.len();
        self.response
            .change(|backlog, id| backlog.sent(Instant::now(), id, length));
        self.response.running.activity().sent();
    }
}
