//! The text of an answer, in pieces, so that large parts which were written elsewhere aren't copied.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body as HttpBody, HttpBody as Streamed},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// From this size on, another piece is cheaper than a copy.
const LARGE: usize = 32 << 10;

/// Text that grows at its end.
#[derive(Debug, Default)]
pub struct Body {
    done: Vec<Bytes>,
    open: Vec<u8>,
}

/// A place in a [`Body`].
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    done: usize,
    open: usize,
}

impl Body {
    pub(super) fn of(pieces: Vec<Bytes>) -> Self {
        Self {
            done: pieces,
            open: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.open.extend_from_slice(text.as_bytes());
    }

    /// Takes the last byte away, which must have been pushed.
    pub(super) fn pop(&mut self) {
        self.open.pop();
    }

    /// Adds text that was written elsewhere.
    pub(super) fn attach(&mut self, text: &Bytes) {
        if text.len() < LARGE {
            return self.open.extend_from_slice(text);
        }
        self.close();
        self.done.push(text.clone());
    }

    pub(super) fn end(&self) -> End {
        End {
            done: self.done.len(),
            open: self.open.len(),
        }
    }

    /// Removes everything after this place.
    pub(super) fn back_to(&mut self, end: End) {
        if self.done.len() > end.done {
            // The text that was open then is the first of the later pieces, unless it was empty.
            let first = self.done.drain(end.done..).next().filter(|_| end.open > 0);
            self.open = first.map_or_else(Vec::new, |first| first[..end.open].to_vec());
        }
        self.open.truncate(end.open);
    }

    pub(super) fn pieces(mut self) -> Vec<Bytes> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open).into());
        }
    }

    /// All of it, copied.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let done = self.done.iter().flatten();
        done.chain(&self.open).copied().collect()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        let mut body = Self::default();
        body.push(text);
        body
    }
}

/// Bodies are equal when their texts are.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

impl io::Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        let mut pieces = VecDeque::from(self.pieces());
        let body = match (pieces.pop_front(), pieces.is_empty()) {
            (None, _) => HttpBody::empty(),
            (Some(only), true) => HttpBody::from(only),
            (Some(first), false) => {
                pieces.push_front(first);
                HttpBody::new(Pieces(pieces))
            }
        };
        Response::new(body)
    }
}

/// Pieces whose length as a whole is known.
struct Pieces(VecDeque<Bytes>);

impl Streamed for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let length: usize = self.0.iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
