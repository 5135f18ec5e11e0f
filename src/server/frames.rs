//! HTTP/2 read along with the parser, to count what costs us work and its sender nothing: frames that ask for nothing,
//! and requests that are taken back before they are answered. Callers send some of both; a flood ends the connection.

use std::{fmt, io};

use tokio::time::Instant;

/// `\r\nSM\r\n\r\n`: what is left of the preface after its first line.
const REST_OF_PREFACE: u64 = 8;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Frames beside the requests: SETTINGS, PING, WINDOW_UPDATE, CONTINUATION, PRIORITY, empty DATA and unknown ones.
const FRAMES: Allowance = Allowance {
    most: 2_000,
    per_second: 200,
};
/// A caller that takes an answer tells of it, perhaps twice for each of its frames, and measures its line meanwhile.
const FRAMES_FOR_A_PIECE: u32 = 64;
/// Requests taken back.
const RESETS: Allowance = Allowance {
    most: 500,
    per_second: 20,
};

/// What a connection may still send.
#[derive(Debug)]
pub struct Frames {
    frames: Bucket,
    /// None when it is for many callers, and none of them may end it for the others.
    resets: Option<Bucket>,
    head: [u8; 9],
    /// Bytes of the next frame's head that are there.
    known: usize,
    /// Bytes before the next frame's head.
    skip: u64,
}

/// More than any caller has reason to send.
#[derive(Clone, Copy, Debug)]
pub struct Flood;

impl Frames {
    pub fn new(of_many: bool) -> Self {
        let now = Instant::now();
        Self {
            frames: Bucket::new(FRAMES, now),
            resets: (!of_many).then(|| Bucket::new(RESETS, now)),
            head: [0; 9],
            known: 0,
            skip: REST_OF_PREFACE,
        }
    }

    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            let here = bytes.len().min(self.head.len() - self.known);
            self.head[self.known..self.known + here].copy_from_slice(&bytes[..here]);
            self.known += here;
            bytes = &bytes[here..];
            if self.known == self.head.len() {
                self.known = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = length.into();
        match kind {
            HEADERS => Ok(()),
            DATA if length > 0 || flags & END_STREAM != 0 => Ok(()),
            RST_STREAM => self.resets.as_mut().map_or(Ok(()), Bucket::take),
            _ => self.frames.take(),
        }
    }

    /// A piece of an answer has been taken.
    pub fn taken(&mut self) {
        self.frames.add(FRAMES_FOR_A_PIECE);
    }

    /// A request has been answered, which its caller didn't take back.
    pub fn answered(&mut self) {
        if let Some(resets) = &mut self.resets {
            resets.add(1);
        }
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many frames that ask for nothing")
    }
}

impl std::error::Error for Flood {}

impl From<Flood> for io::Error {
    fn from(flood: Flood) -> Self {
        Self::other(flood)
    }
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    most: u32,
    per_second: u32,
}

#[derive(Debug)]
struct Bucket {
    allowance: Allowance,
    left: u32,
    since: Instant,
}

impl Bucket {
    const fn new(allowance: Allowance, now: Instant) -> Self {
        Self {
            allowance,
            left: allowance.most,
            since: now,
        }
    }

    fn add(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.allowance.most);
    }

    fn take(&mut self) -> Result<(), Flood> {
        if self.left == 0 {
            // Looked at only when it matters: most connections never send as much.
            let seconds = self.since.elapsed().as_secs();
            self.since = Instant::now();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.add(seconds.saturating_mul(self.allowance.per_second));
        }
        self.left = self.left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }
}
