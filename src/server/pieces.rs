//! The body of an answer, handed over in pieces that tell when they have been taken: a piece goes away when it has been
//! written to the socket, or when its stream or connection is given up. Knows nothing of how long that may take.

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
    unsent::{PIECE, Stream, Unsent},
};

/// A taker of HTTP/2 with the protocol's own windows takes this much without being asked. The end of a larger answer is
/// held back until the rest has been taken: with its end an answer leaves our hands, and could be given up with its
/// connection only.
const TAKEN_ANYWAY: usize = 65_535;

tokio::task_local! {
    static STREAM: Stream;
}

/// Runs each HTTP/2 request in a task that knows itself, so that it can be given up.
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

/// Without an answer it is empty.
#[derive(Debug, Default)]
pub struct Pieces {
    body: Body,
    /// What of the body's last piece is still to be handed over.
    rest: Bytes,
    /// None for an answer without a body.
    answer: Option<Arc<Answer>>,
    holds_its_end: bool,
}

/// Lives as long as anything of it hasn't been taken.
#[derive(Debug)]
struct Answer {
    id: u64,
    running: Running,
}

impl Pieces {
    /// To be called in the task of the request.
    pub fn new(body: Body, running: Running) -> Self {
        let stream = STREAM.try_with(Stream::clone).ok();
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let holds_its_end = stream.is_some() && bytes > TAKEN_ANYWAY;
        let answer = (!body.is_end_stream()).then(|| {
            let id = running
                .activity()
                .unsent(|unsent| unsent.add(Instant::now(), bytes, stream));
            Arc::new(Answer { id, running })
        });
        Self {
            body,
            rest: Bytes::new(),
            answer,
            holds_its_end,
        }
    }

    fn hand_over(&mut self, mut bytes: Bytes) -> Bytes {
        self.rest = bytes.split_off(bytes.len().min(PIECE));
        let Some(answer) = self.answer.clone() else {
            return bytes;
        };
        answer.change(|unsent, id| unsent.hand_over(Instant::now(), id, bytes.len()));
        Bytes::from_owner(Piece { bytes, answer })
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.hand_over(rest)))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            if let Some(answer) = &self.answer {
                answer.change(|unsent, id| unsent.rest(id));
            }
            return Poll::Pending;
        };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(bytes))) => Poll::Ready(Some(Ok(Frame::data(self.hand_over(bytes))))),
            Some(Ok(Err(other))) => Poll::Ready(Some(Ok(other))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                if let Some(answer) = self.answer.as_ref().filter(|_| self.holds_its_end) {
                    ready!(answer.change(|unsent, id| unsent.all_taken(id, cx.waker())));
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

impl Answer {
    fn change<T>(&self, change: impl FnOnce(&mut Unsent, u64) -> T) -> T {
        self.running.activity().unsent(|unsent| change(unsent, self.id))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.change(Unsent::end);
        self.running.activity().has_room();
    }
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let length = self.bytes.len();
        self.answer.change(|unsent, id| unsent.take(Instant::now(), id, length));
        self.answer.running.activity().taken();
    }
}
