//! Checks the framing of HTTP/1 requests before hyper reads them.
//!
//! hyper accepts framing that another HTTP program may read differently: lines that end in a bare LF, Content-Length
//! together with chunks, several transfer codings, chunk sizes of any length. Behind a proxy, such a request can
//! smuggle another one past it (RFC 9112 §11.2). This module accepts less than hyper does, and follows where each
//! request ends: `httparse`, which hyper uses too, parses the heads, and chunks have a stricter grammar than hyper's.
//!
//! hyper still parses an unsound head, because it answers it, but [`Http1Framing::accept`] then refuses the request and
//! all later ones. Unsound bytes of a body never reach hyper.

use std::collections::VecDeque;

use axum::http::header;

/// The first line of the HTTP/2 preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// A chunk size of more digits does not fit into 64 bits, or starts with needless zeros.
const MOST_DIGITS: u8 = 16;
/// Memory for the head of the next request; a larger head gives its memory back.
const KEPT_CAPACITY: usize = 1024;

/// The position of one connection's bytes in its requests.
#[derive(Debug, Default)]
pub struct Http1Framing {
    state: State,
    /// The bytes of the current head. hyper stops reading when a head exceeds its limit, which bounds this.
    head: Vec<u8>,
    /// The position in `head` at which its current line starts.
    line: usize,
    /// The bodies of complete heads that hyper has not turned into requests yet.
    complete: VecDeque<Body>,
    /// True after the first line of the connection.
    has_begun: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    /// The bytes left of a body with a Content-Length.
    Length(u64),
    Chunked(Chunked),
    /// A head was unsound: hyper reads on, and no request is accepted.
    UnsoundHead,
    /// A body was unsound: hyper reads nothing more.
    UnsoundBody,
    Http2,
}

/// The body that a head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
}

impl Http1Framing {
    /// Reads the next bytes of the connection and returns the number of those that hyper may read as HTTP/1. The rest
    /// is HTTP/2, see [`is_http2`](Self::is_http2), or is unsound.
    pub fn read(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match &mut self.state {
                State::Head => self.read_head(rest),
                State::Length(left) => {
                    let here = take(rest, left);
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    here
                }
                State::Chunked(chunked) => match chunked.read(rest) {
                    Ok(here) => {
                        if chunked.is_complete() {
                            self.state = State::Head;
                        }
                        here
                    }
                    Err(here) => {
                        self.state = State::UnsoundBody;
                        return at + here;
                    }
                },
                State::UnsoundHead => rest.len(),
                State::UnsoundBody | State::Http2 => return at,
            };
        }
        at
    }

    /// Returns true once the connection has begun to speak HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.state, State::Http2)
    }

    /// Returns true while a head is incomplete, and after unsound bytes.
    pub fn is_waiting(&self) -> bool {
        match self.state {
            State::Head => !self.head.is_empty(),
            State::UnsoundHead | State::UnsoundBody => true,
            State::Length(_) | State::Chunked(_) | State::Http2 => false,
        }
    }

    /// Returns true when the next request that hyper has parsed is sound and hyper reads its body as this module does.
    /// `length` is the length of the body in hyper's view, none for chunks.
    pub fn accept(&mut self, length: Option<u64>) -> bool {
        let body = length.map_or(Body::Chunked, Body::Length);
        let is_sound = self.complete.pop_front() == Some(body);
        if !is_sound {
            self.complete.clear();
            self.state = State::UnsoundHead;
        }
        is_sound
    }

    /// Returns true between two requests and within a head.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn is_at_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// The bodies of complete heads.
    #[cfg(any(test, feature = "fuzzing"))]
    pub const fn complete(&self) -> &VecDeque<Body> {
        &self.complete
    }

    /// Reads at most one line.
    fn read_head(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let here = end.map_or(bytes.len(), |end| end + 1);
        self.head.extend_from_slice(&bytes[..here]);
        if end.is_some()
            && let Some(next) = self.end_line()
        {
            self.state = next;
            self.head.clear();
            self.head.shrink_to(KEPT_CAPACITY);
            self.line = 0;
        }
        here
    }

    /// The state after the head that a line ends; none when the head goes on.
    fn end_line(&mut self) -> Option<State> {
        let line = &self.head[self.line..];
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        // The only CR is before the LF.
        if line.iter().position(|&byte| byte == b'\r').map(|cr| cr + 2) != Some(line.len()) {
            return Some(State::UnsoundHead);
        }
        if is_first && line == PREFACE {
            return Some(State::Http2);
        }
        if line.len() > 2 {
            self.line = self.head.len();
            return None;
        }
        if self.line == 0 {
            // An empty line before a request is ignored (RFC 9112 §2.2).
            return Some(State::Head);
        }
        let Some(body) = parse(&self.head) else {
            return Some(State::UnsoundHead);
        };
        self.complete.push_back(body);
        Some(match body {
            Body::Length(0) => State::Head,
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunked(Chunked::default()),
        })
    }
}

/// The body that a complete head announces; none when the head is malformed or its framing is ambiguous.
fn parse(head: &[u8]) -> Option<Body> {
    let lines = head.iter().filter(|&&byte| byte == b'\n').count();
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head) != Ok(httparse::Status::Complete(head.len())) {
        return None;
    }
    let (mut length, mut is_chunked) = (None, false);
    for httparse::Header { name, value } in &*request.headers {
        if name.eq_ignore_ascii_case(header::TRANSFER_ENCODING.as_str()) {
            if is_chunked || request.version != Some(1) || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str()) {
            let digits = value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
            if length.is_some_and(|other| other != number) {
                return None;
            }
            length = Some(number);
        }
    }
    match (is_chunked, length) {
        (true, Some(_)) => None,
        (true, None) => Some(Body::Chunked),
        (false, length) => Some(Body::Length(length.unwrap_or(0))),
    }
}

/// The position in a chunked body: `SIZE[;EXTENSION] CR LF DATA CR LF … 0 CR LF TRAILERS CR LF` (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chunked {
    at: ChunkPart,
    /// The size of the current chunk, then its remaining bytes.
    size: u64,
    digits: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkPart {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    /// Reads on, at most to the end of the body, and returns the number of bytes read.
    ///
    /// # Errors
    /// A byte that is not allowed, with the number of those before it.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let mut at = 0;
        while at < bytes.len() && !self.is_complete() {
            at += match self.at {
                ChunkPart::Data => {
                    let here = take(&bytes[at..], &mut self.size);
                    if self.size == 0 {
                        self.at = ChunkPart::DataCr;
                    }
                    here
                }
                _ => {
                    self.at = self.step(bytes[at]).ok_or(at)?;
                    1
                }
            };
        }
        Ok(at)
    }

    fn is_complete(&self) -> bool {
        self.at == ChunkPart::End
    }

    fn step(&mut self, byte: u8) -> Option<ChunkPart> {
        match (self.at, byte) {
            (ChunkPart::Size, _) if byte.is_ascii_hexdigit() && self.digits < MOST_DIGITS => {
                self.digits += 1;
                self.size = self.size * 16 + u64::from(char::from(byte).to_digit(16)?);
                Some(ChunkPart::Size)
            }
            (ChunkPart::Size, b';') if self.digits > 0 => Some(ChunkPart::Extension),
            (ChunkPart::Size, b'\r') if self.digits > 0 => Some(ChunkPart::SizeLf),
            (ChunkPart::Extension, b'\r') => Some(ChunkPart::SizeLf),
            (ChunkPart::Extension, b'\t') => Some(ChunkPart::Extension),
            (ChunkPart::Extension, _) if !byte.is_ascii_control() => Some(ChunkPart::Extension),
            (ChunkPart::SizeLf, b'\n') => {
                self.digits = 0;
                Some(if self.size == 0 {
                    ChunkPart::TrailerStart
                } else {
                    ChunkPart::Data
                })
            }
            (ChunkPart::DataCr, b'\r') => Some(ChunkPart::DataLf),
            (ChunkPart::DataLf, b'\n') => Some(ChunkPart::Size),
            (ChunkPart::TrailerStart, b'\r') => Some(ChunkPart::EndLf),
            (ChunkPart::Trailer, b'\r') => Some(ChunkPart::TrailerLf),
            (ChunkPart::TrailerStart | ChunkPart::Trailer, _) if byte != b'\n' => Some(ChunkPart::Trailer),
            (ChunkPart::TrailerLf, b'\n') => Some(ChunkPart::TrailerStart),
            (ChunkPart::EndLf, b'\n') => Some(ChunkPart::End),
            _ => None,
        }
    }
}

/// Takes up to `left` bytes and returns their number.
fn take(bytes: &[u8], left: &mut u64) -> usize {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= here as u64;
    here
}

#[cfg(test)]
mod tests;
