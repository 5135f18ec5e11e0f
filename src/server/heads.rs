//! HTTP/1 read along with the parser, which is more lenient than is safe: behind a proxy, a head that two programs may read in
//! two ways lets a caller smuggle a request past one of them (RFC 9112 §11.2). Not sound is a head with lines that don't end
//! in CR LF, with a CR elsewhere, or with two lengths: Content-Length beside chunks, which the parser drops without a word.
//!
//! Every byte passes here before the parser sees it, whenever it reads. What can't be followed is lost, and not sound.

use std::collections::VecDeque;

use axum::http::header;

/// The first line of the preface of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// What is kept of a line: a name, and a number. Nothing else matters here.
const START: usize = 64;

/// Where in the requests of a connection its bytes have got to.
#[derive(Debug, Default)]
pub struct Heads {
    at: At,
    line: Line,
    head: Head,
    /// For each head that is complete and hasn't become a request yet, whether it is sound.
    complete: VecDeque<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailers,
    /// The parser will refuse what comes, or we will.
    Lost,
    /// HTTP/2 begins here.
    Preface,
}

#[derive(Debug, Default)]
struct Line {
    start: Vec<u8>,
    last: Option<u8>,
    has_bare_cr: bool,
}

#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    is_ambiguous: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Heads {
    /// Reads on. What is returned belongs to HTTP/2, whose preface has begun: none of it is a head.
    pub fn read<'b>(&mut self, mut bytes: &'b [u8]) -> Option<&'b [u8]> {
        while !bytes.is_empty() && self.at != At::Lost {
            match self.at {
                At::Body(left) => self.at = skip(&mut bytes, left).map_or(At::Head, At::Body),
                At::Chunk(left) => self.at = skip(&mut bytes, left).map_or(At::ChunkSize, At::Chunk),
                At::Preface => return Some(bytes),
                _ => {
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.line.read(line);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        self.end_of(&line);
                        self.line = line.emptied();
                    }
                }
            }
        }
        (self.at == At::Preface).then_some(bytes)
    }

    /// Whether a head has begun and isn't complete.
    pub fn are_within_one(&self) -> bool {
        self.at == At::Head && (self.head.has_begun || !self.line.is_empty()) || self.at == At::Lost
    }

    /// The parser has made a request of the next head: whether that was sound.
    pub fn parsed(&mut self) -> bool {
        self.complete.pop_front().unwrap_or(false)
    }

    fn end_of(&mut self, line: &Line) {
        let text = line.text();
        match self.at {
            At::ChunkSize => self.at = if line.is_sound() { chunk(text) } else { At::Lost },
            At::Trailers if !line.is_sound() => self.at = At::Lost,
            At::Trailers if text.is_empty() => self.at = At::Head,
            At::Head => {
                self.head.is_ambiguous |= !line.is_sound();
                match (self.head.has_begun, text) {
                    // The parser skips empty lines before a request, as RFC 9112 §2.2 wishes.
                    (false, b"") => {}
                    (false, PREFACE) => self.at = At::Preface,
                    (false, _) => self.head.has_begun = true,
                    (true, b"") => self.end_of_head(),
                    (true, field) => self.field(field),
                }
            }
            _ => {}
        }
    }

    fn field(&mut self, field: &[u8]) {
        let mut parts = field.splitn(2, |&byte| byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is = |known: header::HeaderName| name.trim_ascii().eq_ignore_ascii_case(known.as_str().as_bytes());
        if is(header::TRANSFER_ENCODING) {
            self.head.is_chunked = true;
        } else if is(header::CONTENT_LENGTH) {
            let length = std::str::from_utf8(value.trim_ascii()).ok();
            let length = length.and_then(|text| text.parse().ok());
            let differs = self.head.length.is_some() && self.head.length != length;
            self.head.is_ambiguous |= differs || length.is_none();
            self.head.length = length;
        }
    }

    fn end_of_head(&mut self) {
        let Head {
            has_begun: _,
            is_ambiguous,
            length,
            is_chunked,
        } = std::mem::take(&mut self.head);
        let is_sound = !(is_ambiguous || is_chunked && length.is_some());
        self.complete.push_back(is_sound);
        self.at = match (is_sound, is_chunked, length) {
            // Where the next one would begin is anybody's guess.
            (false, ..) => At::Lost,
            (true, true, _) => At::ChunkSize,
            (true, false, None | Some(0)) => At::Head,
            (true, false, Some(length)) => At::Body(length),
        };
    }
}

/// How much is left after what is there of `left` bytes.
fn skip(bytes: &mut &[u8], left: u64) -> Option<u64> {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    *bytes = &bytes[here..];
    Some(left - here as u64).filter(|&left| left > 0)
}

/// What follows the line with a chunk's size.
fn chunk(line: &[u8]) -> At {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let size = std::str::from_utf8(&line[..digits]).ok();
    match size.and_then(|text| u64::from_str_radix(text, 16).ok()) {
        Some(0) => At::Trailers,
        // With the end of its line.
        Some(size) => size.checked_add(2).map_or(At::Lost, At::Chunk),
        None => At::Lost,
    }
}

impl Line {
    fn read(&mut self, bytes: &[u8]) {
        let Some((&last, before)) = bytes.split_last() else {
            return;
        };
        self.has_bare_cr |= self.last == Some(b'\r') || before.contains(&b'\r');
        self.last = Some(last);
        let kept = bytes.len().min(START - self.start.len());
        self.start.extend_from_slice(&bytes[..kept]);
    }

    /// Keeps the memory for the next one.
    fn emptied(mut self) -> Self {
        self.start.clear();
        Self {
            start: self.start,
            ..Self::default()
        }
    }

    const fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    fn is_sound(&self) -> bool {
        self.last == Some(b'\r') && !self.has_bare_cr
    }

    fn text(&self) -> &[u8] {
        self.start.strip_suffix(b"\r").unwrap_or(&self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::Heads;

    #[test]
    fn heads_that_two_may_read_in_two_ways_are_seen_wherever_they_stand() {
        let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let length = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab";
        let chunks = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nx: y\r\n\r\n";
        let both = "POST / HTTP/1.1\r\nContent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n";
        let turned = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length:4\r\n\r\n";
        let long = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(300), "b".repeat(300));
        for (bytes, sound) in [
            (get.to_owned(), &[true][..]),
            (format!("{get}{length}{chunks}{get}"), &[true; 4]),
            (format!("\r\n{length}\r\n{long}{get}"), &[true; 3]),
            (both.to_owned(), &[false]),
            (turned.to_owned(), &[false]),
            (format!("{length}{both}{get}"), &[true, false, false]),
            (format!("{chunks}{turned}"), &[true, false]),
            ("GET / HTTP/1.1\nhost: a\r\n\r\n".into(), &[false]),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n".into(), &[false]),
            ("GET / HTTP/1.1\r\nhost: a\r\n\n".into(), &[false]),
            (format!("\n{get}"), &[false]),
            ("GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n".into(), &[false]),
            ("GET / HTTP/1.1\r\nhost: a\r\r\n\r\n".into(), &[false]),
            (
                "POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nab".into(),
                &[false],
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab".into(),
                &[true],
            ),
            ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\nab".into(), &[false]),
            (
                format!("{}{get}", chunks.replace("3;x=y", "zz")),
                // It was sound up to there.
                &[true, false],
            ),
            (format!("{}{get}", chunks.replace("x: y\r\n", "x: y\n")), &[true, false]),
        ] {
            // However the bytes are cut.
            for size in [1, 2, 7, bytes.len()] {
                let mut heads = Heads::default();
                for bytes in bytes.as_bytes().chunks(size) {
                    assert_eq!(heads.read(bytes), None);
                }
                let seen: Vec<bool> = sound.iter().map(|_| heads.parsed()).collect();
                assert_eq!(seen, sound, "{bytes:?} in pieces of {size}");
                assert!(!heads.parsed(), "{bytes:?}: no more than these");
            }
        }
    }

    #[test]
    fn a_head_has_begun_with_its_first_byte_and_a_body_is_none() {
        let mut heads = Heads::default();
        for (bytes, within) in [
            ("", false),
            ("P", true),
            ("OST / HTTP/1.1\r\n", true),
            ("content-length: 2\r\n", true),
            ("\r\n", false),
            ("a", false),
            ("b", false),
            ("G", true),
        ] {
            assert_eq!(heads.read(bytes.as_bytes()), None);
            assert_eq!(heads.are_within_one(), within, "{bytes:?}");
        }
    }

    #[test]
    fn the_preface_of_http_2_ends_the_heads() {
        for size in [1, 5, 40] {
            let (mut heads, mut frames) = (Heads::default(), Vec::new());
            for bytes in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes".chunks(size) {
                frames.extend_from_slice(heads.read(bytes).unwrap_or_default());
            }
            assert_eq!(frames, b"\r\nSM\r\n\r\nframes");
            assert!(!heads.are_within_one());
        }
    }
}
