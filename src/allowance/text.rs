//! JSON while it is written, as far as the request may have it.

use std::io;

use super::Allowance;
use crate::error::{Error, Result};

/// Room is asked for in such pieces, and the clock is looked at as often.
const PIECE: usize = 64 << 10;
/// What most objects fit into.
const FIRST: usize = 1024;

/// Text that grows by the [`Allowance`] of its task; without bounds outside of a request. Once there is no room, it takes nothing
/// any more, and [`finish`](Self::finish) says why.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    /// How long it may become before more room has to be asked for.
    room: usize,
    refusal: Option<Error>,
    allowance: Option<Allowance>,
}

impl Text {
    pub fn begin() -> Self {
        let allowance = Allowance::current();
        let mut text = Self {
            bytes: Vec::new(),
            room: allowance.as_ref().map_or(usize::MAX, |_| 0),
            refusal: None,
            allowance,
        };
        if text.has_room(0) {
            text.bytes.reserve(FIRST);
        }
        text
    }

    pub fn push(&mut self, text: &str) {
        self.take(text.as_bytes());
    }

    /// Whether there was no room for something.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// # Errors
    /// As [`Allowance::hold`].
    pub fn finish(mut self) -> Result<Vec<u8>> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => {
                if let Some(allowance) = self.allowance.take() {
                    allowance.give_back(self.room - self.bytes.len());
                }
                Ok(std::mem::take(&mut self.bytes))
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        let fits = self.bytes.len() + bytes.len() <= self.room || self.has_room(bytes.len());
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    #[cold]
    fn has_room(&mut self, bytes: usize) -> bool {
        let Some(allowance) = &self.allowance else {
            return self.refusal.is_none();
        };
        let missing = (self.bytes.len() + bytes).saturating_sub(self.room);
        match allowance.hold_more(missing, PIECE) {
            Ok(more) => {
                self.room += more;
                true
            }
            Err(refusal) => {
                self.refusal.get_or_insert(refusal);
                // What has been written is thrown away: others may need the memory.
                self.bytes = Vec::new();
                if let Some(allowance) = self.allowance.take() {
                    allowance.give_back(self.room);
                }
                self.room = 0;
                false
            }
        }
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.take(bytes) {
            true => Ok(()),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.give_back(self.room);
        }
    }
}
