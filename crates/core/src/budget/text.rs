//! JSON while it is written, as far as the request may have it.

use serde::Serialize;

use super::Allowance;
use crate::error::{Error, Result};

/// Room is asked for in such pieces, and the clock is looked at as often.
const PIECE: usize = 64 << 10;
/// What most objects fit into.
const FIRST: usize = 1024;

/// Text that grows by the [`Allowance`] of its task; without bounds outside of a request. Once there is no room, it
/// takes nothing any more, and [`finish`](Self::finish) says why.
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
        if self.bytes.len() + text.len() <= self.room || self.has_room(text.len()) {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    /// Writes a value as JSON. Room is asked for when it has been written: what it is written from is in memory anyway,
    /// and it isn't many times as large. One that is no JSON is a defect, and refused as such.
    pub fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        if self.is_refused() {
            return;
        }
        if let Err(error) = serde_json::to_writer(&mut self.bytes, value) {
            self.refuse(Error::internal(error));
        } else if self.bytes.len() > self.room {
            self.has_room(0);
        }
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
                self.refuse(refusal);
                false
            }
        }
    }

    fn refuse(&mut self, refusal: Error) {
        self.refusal.get_or_insert(refusal);
        // What has been written is thrown away: others may need the memory.
        self.bytes = Vec::new();
        if let Some(allowance) = self.allowance.take() {
            allowance.give_back(self.room);
        }
        self.room = 0;
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.give_back(self.room);
        }
    }
}
