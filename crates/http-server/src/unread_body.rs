//! The body of a request. What an answer over HTTP/2 leaves of it unread is read and discarded, if it is small.
//!
//! h2 would reset the stream after the answer, as RFC 9113 allows. Some clients, such as curl 7.88, report that reset
//! in place of the answer.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Bytes, HttpBody},
    http::Version,
};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{runtime::Handle, time::timeout};

/// The limit of a body that is read in vain, in bytes.
const MOST: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(1);

/// A body whose rest is read when it is dropped.
#[derive(Debug)]
pub struct UnreadBody {
    body: Option<Incoming>,
    version: Version,
}

impl UnreadBody {
    pub fn new(body: Incoming, version: Version) -> Self {
        Self {
            body: Some(body),
            version,
        }
    }
}

impl HttpBody for UnreadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for UnreadBody {
    fn drop(&mut self) {
        let is_small =
            |body: &Incoming| !body.is_end_stream() && body.size_hint().upper().is_some_and(|left| left <= MOST);
        let body = self.body.take().filter(is_small);
        let Some(mut body) = body.filter(|_| self.version == Version::HTTP_2) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            let rest = async move { while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {} };
            runtime.spawn(timeout(PATIENCE, rest));
        }
    }
}
