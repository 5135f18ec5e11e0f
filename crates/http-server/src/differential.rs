//! Compares [`Http1Framing`] with hyper: the fuzz target and the property test call [`check`].

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, header::CONNECTION},
};
use futures_util::{FutureExt, StreamExt};
use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    HttpSettings,
    activity::Activity,
    connection::builder,
    http1_framing::{self, Http1Framing},
    watched::Watched,
};

/// A connection yields now and then: polling it this often takes it to the end of the input.
const POLLS: usize = 200;

/// A request whose body was read to its end, as hyper sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    head: String,
    body: Vec<u8>,
}

/// Checks that hyper, reading behind the framing check, sees the very requests that the check sees, however the bytes
/// are cut into reads. Returns the number of complete requests that were accepted.
///
/// # Panics
/// When hyper sees another request.
pub fn check(bytes: &[u8]) -> usize {
    let Some(requests) = requests(bytes) else { return 0 };
    let mut accepted = 0;
    for size in [bytes.len().max(1), 7, 1] {
        assert_eq!(position(bytes, size), position(bytes, 1), "reads of {size}");
        let seen = serve(bytes, size, true);
        for (index, seen) in seen.iter().enumerate() {
            let range = requests.get(index).cloned();
            let range = range.unwrap_or_else(|| panic!("request {index} was not complete: {seen:?}"));
            assert!(!has_bare_line_end(&bytes[range.clone()]), "request {index}: {seen:?}");
            let alone = serve(&bytes[range], usize::MAX, false);
            assert_eq!(
                alone.as_slice(),
                std::slice::from_ref(seen),
                "request {index}, reads of {size}"
            );
        }
        accepted = accepted.max(seen.len());
    }
    accepted
}

/// The complete requests that the check accepts; none when the connection speaks HTTP/2.
fn requests(bytes: &[u8]) -> Option<Vec<std::ops::Range<usize>>> {
    let mut framing = Http1Framing::default();
    let (mut requests, mut start) = (Vec::new(), 0);
    for (at, byte) in bytes.iter().enumerate() {
        if framing.read(std::slice::from_ref(byte)) == 0 {
            break;
        }
        if framing.is_at_head() && framing.complete().len() > requests.len() {
            requests.push(start..at + 1);
            start = at + 1;
        }
    }
    (!framing.is_http2()).then_some(requests)
}

/// Returns true when a CR or LF of the head stands alone.
fn has_bare_line_end(request: &[u8]) -> bool {
    let end = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(request.len(), |at| at + 4);
    let lines: Vec<&[u8]> = request[..end].split(|&byte| byte == b'\n').collect();
    let (last, lines) = lines.split_last().expect("there is one");
    let ends = |line: &&[u8]| line.iter().position(|&byte| byte == b'\r').map(|cr| cr + 1) == Some(line.len());
    !last.is_empty() || !lines.iter().all(ends)
}

/// What the check has seen after reads of this size: the bytes that hyper may read, and the bodies of complete heads.
fn position(bytes: &[u8], size: usize) -> (usize, VecDeque<http1_framing::Body>) {
    let mut framing = Http1Framing::default();
    let sound = bytes.chunks(size).map(|bytes| framing.read(bytes)).sum();
    (sound, framing.complete().clone())
}

/// Serves a connection and returns the requests whose bodies could be read; `is_checked` is false for hyper alone.
fn serve(bytes: &[u8], size: usize, is_checked: bool) -> Vec<Seen> {
    let activity = Activity::new(false);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let service = service_fn({
        let (activity, seen) = (activity.clone(), seen.clone());
        move |request: Request<Incoming>| {
            let (activity, seen) = (activity.clone(), seen.clone());
            async move {
                let length = request.body().size_hint().exact();
                let running = is_checked.then(|| activity.request(length));
                if matches!(running, Some(None)) {
                    let response = Response::builder().status(400).header(CONNECTION, "close");
                    return response.body(Body::empty());
                }
                let (parts, body) = request.into_parts();
                let head = format!("{} {} {:?}", parts.method, parts.uri, parts.headers);
                let (mut body, mut stream) = (Vec::new(), Body::new(body).into_data_stream());
                while let Some(chunk) = stream.next().await {
                    let Ok(chunk): Result<Bytes, _> = chunk else {
                        return Ok(Response::new(Body::empty()));
                    };
                    body.extend_from_slice(&chunk);
                }
                seen.lock().expect("no other holder panics").push(Seen { head, body });
                Ok(Response::new(Body::empty()))
            }
        }
    });
    let pieces = bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
    let input = Input(pieces);
    let builder = builder(&HttpSettings::default());
    if is_checked {
        let stream = Watched::new(input, activity);
        run(builder.serve_connection(TokioIo::new(stream), service));
    } else {
        run(builder.serve_connection(TokioIo::new(input), service));
    }
    std::mem::take(&mut *seen.lock().expect("no other holder panics"))
}

fn run<T>(connection: impl Future<Output = T>) {
    let mut connection = std::pin::pin!(connection);
    for _ in 0..POLLS {
        if connection.as_mut().now_or_never().is_some() {
            return;
        }
    }
}

/// A connection whose other end has sent these pieces and reads everything. It stays open, so that requests are
/// answered.
struct Input(VecDeque<Vec<u8>>);

impl AsyncRead for Input {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(piece) = self.0.front_mut() else {
            return Poll::Pending;
        };
        let here = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..here]);
        piece.drain(..here);
        if piece.is_empty() {
            self.0.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Input {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
