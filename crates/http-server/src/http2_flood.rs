//! Limits HTTP/2 frames that cost the server work and their sender nothing: frames that request nothing, and requests
//! that are reset before they are answered. It reads the frame heads before the parser does. Callers send some of both;
//! a flood ends the connection. hyper and h2 limit some kinds of frames only.

use tokio::time::Instant;

use super::report::Reason;

/// `\r\nSM\r\n\r\n`: the preface after its first line.
const REST_OF_PREFACE: u64 = 8;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Frames other than requests, at once and per second: SETTINGS, PING, WINDOW_UPDATE, CONTINUATION, PRIORITY, empty
/// DATA and unknown ones.
const FRAMES: (u32, u32) = (2_000, 200);
/// A caller that reads a response sends up to two WINDOW_UPDATE per DATA frame, and PING to measure the connection.
const FRAMES_PER_PIECE: u32 = 64;
/// Requests reset by their caller, at once and per second.
const RESETS: (u32, u32) = (500, 20);

/// The frames and resets that a connection may still send.
#[derive(Debug)]
pub struct Http2FloodLimit {
    frames: Bucket,
    /// None for a proxy, whose callers must not end the connection for each other.
    resets: Option<Bucket>,
    head: [u8; 9],
    /// The number of bytes of the next frame's head that have arrived.
    known: usize,
    /// Bytes before the next frame's head.
    skip: u64,
}

impl Http2FloodLimit {
    pub fn new(is_proxy: bool) -> Self {
        let now = Instant::now();
        Self {
            frames: Bucket::new(FRAMES, now),
            resets: (!is_proxy).then(|| Bucket::new(RESETS, now)),
            head: [0; 9],
            known: 0,
            skip: REST_OF_PREFACE,
        }
    }

    /// Reads the next bytes of the connection.
    ///
    /// # Errors
    /// [`Reason::Flood`] for more frames than any caller has a reason to send.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
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

    fn frame(&mut self) -> Result<(), Reason> {
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

    /// A piece of a response was sent.
    pub fn sent(&mut self) {
        self.frames.add(FRAMES_PER_PIECE);
    }

    /// A request was answered before its caller reset it.
    pub fn answered(&mut self) {
        if let Some(resets) = &mut self.resets {
            resets.add(1);
        }
    }
}

/// A token bucket. Those of governor can't be given tokens back.
#[derive(Debug)]
struct Bucket {
    most: u32,
    per_second: u32,
    left: u32,
    since: Instant,
}

impl Bucket {
    const fn new((most, per_second): (u32, u32), now: Instant) -> Self {
        Self {
            most,
            per_second,
            left: most,
            since: now,
        }
    }

    fn add(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }

    fn take(&mut self) -> Result<(), Reason> {
        if self.left == 0 {
            // Refilled only here: most connections never use up their tokens.
            let seconds = self.since.elapsed().as_secs();
            self.since = Instant::now();
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.add(seconds.saturating_mul(self.per_second));
        }
        self.left = self.left.checked_sub(1).ok_or(Reason::Flood)?;
        Ok(())
    }
}
