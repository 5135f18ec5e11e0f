//! The properties that property tests and fuzz targets check.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, Request, Response,
        header::{CONNECTION, FORWARDED},
    },
};
use clientele_core::trace::TRACEPARENT;
use futures_util::{FutureExt, StreamExt};
use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    ForwardedHeader, HttpSettings,
    activity::Activity,
    connection::builder,
    http1_framing::{self, Http1Framing},
    proxy, request_span,
    watched::Watched,
};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// Far below the number of proxies that are followed.
const FEW: usize = 16;
/// A connection yields now and then: polling it this often takes it to the end of the input.
const POLLS: usize = 200;

/// A request whose body was read to its end, as hyper parses it.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    head: String,
    body: Vec<u8>,
}

/// Checks that hyper, reading behind [`Http1Framing`], parses the same requests as that, however the bytes are cut into
/// reads. Returns the number of complete requests that were accepted.
///
/// # Panics
/// When hyper parses another request.
pub fn framing(bytes: &[u8]) -> usize {
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

/// The number of bytes that hyper may read, and the bodies of complete heads, after reads of this size.
fn position(bytes: &[u8], size: usize) -> (usize, VecDeque<http1_framing::Body>) {
    let mut framing = Http1Framing::default();
    let sound = bytes.chunks(size).map(|bytes| framing.read(bytes)).sum();
    (sound, framing.complete().clone())
}

/// Serves a connection and returns the requests whose bodies could be read; `is_checked` is false for hyper alone.
fn serve(bytes: &[u8], size: usize, is_checked: bool) -> Vec<Parsed> {
    let activity = Activity::new(false);
    let seen: Arc<Mutex<Vec<Parsed>>> = Arc::default();
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
                seen.lock().expect("no other holder panics").push(Parsed { head, body });
                Ok(Response::new(Body::empty()))
            }
        }
    });
    let pieces = bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
    let input = Input(pieces);
    let builder = builder(&HttpSettings::default());
    if is_checked {
        let stream = Watched::new(input, activity, ());
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

/// Checks [`proxy::address`]: it is the address of the connection or one in the header; without trusted proxies the
/// header is ignored; entries left of an untrusted address change nothing, and neither does one more trusted proxy.
///
/// # Panics
/// When one of these rules is broken.
pub fn forwarded(bytes: &[u8]) {
    for (header, before, after) in [
        (ForwardedHeader::XForwardedFor, "203.0.113.77,", ",10.0.0.2"),
        (ForwardedHeader::Forwarded, "for=203.0.113.77,", ",for=10.0.0.2"),
    ] {
        let mut settings = HttpSettings {
            forwarded_header: header,
            ..HttpSettings::default()
        };
        let Some(found) = address(bytes, &settings) else { return };
        assert_eq!(found, PEER, "no proxy is trusted");
        let proxies = "10.0.0.0/8".parse().expect("a network");
        settings.trusted_proxies = vec![proxies];
        let Some(found) = address(bytes, &settings) else { return };
        assert!(found == PEER || is_in(bytes, found), "{found} isn't in the header");
        let more = [before.as_bytes(), bytes].concat();
        if !proxies.contains(found) {
            assert_eq!(address(&more, &settings), Some(found), "left of an untrusted address");
        }
        let more = [bytes, after.as_bytes()].concat();
        if found != PEER && bytes.split(|&byte| byte == b',').count() < FEW {
            assert_eq!(address(&more, &settings), Some(found), "one more proxy");
        }
    }
}

fn address(bytes: &[u8], settings: &HttpSettings) -> Option<IpAddr> {
    let name = match settings.forwarded_header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => FORWARDED.as_str(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(bytes).ok()?);
    Some(proxy::address(PEER, &headers, settings).0)
}

fn is_in(bytes: &[u8], address: IpAddr) -> bool {
    String::from_utf8_lossy(bytes)
        .split([',', ';', '=', '"'])
        .map(str::trim)
        .any(|text| {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let port = || text.parse::<SocketAddr>().map(|address| address.ip());
            bare.parse()
                .or_else(|_| port())
                .is_ok_and(|found: IpAddr| found.to_canonical() == address)
        })
}

/// Checks [`request_span::of_caller`]: a span that it finds is the one that the header names, and is written in a form
/// that it reads again.
///
/// # Panics
/// When one of these rules is broken.
pub fn traceparent(bytes: &[u8]) {
    let Ok(header) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, header);
    let Some(context) = request_span::of_caller(&headers) else {
        return;
    };
    let written = context.to_string();
    assert_eq!(&written.as_bytes()[2..53], &bytes[2..53]);
    headers.insert(TRACEPARENT, HeaderValue::from_str(&written).expect("a header value"));
    assert_eq!(request_span::of_caller(&headers), Some(context));
}
