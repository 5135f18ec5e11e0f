//! Writes JSON within the memory limit of the request.

use serde::Serialize;

use super::RequestBudget;
use crate::error::{Error, Result};

/// The step in which memory is reserved and the deadline is checked.
const PIECE: usize = 64 << 10;
/// Fits most objects.
const FIRST: usize = 1024;

/// Text that grows within the [`RequestBudget`] of the current task. Unlimited outside a request. After a refused
/// reservation it ignores further writes, and [`finish`](Self::finish) returns the error.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    /// The length up to which memory is reserved.
    room: usize,
    refusal: Option<Error>,
    budget: Option<RequestBudget>,
}

impl Text {
    pub fn begin() -> Self {
        let budget = RequestBudget::current();
        let mut text = Self {
            bytes: Vec::new(),
            room: budget.as_ref().map_or(usize::MAX, |_| 0),
            refusal: None,
            budget,
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

    /// Writes a value as JSON. Memory is reserved after writing: the source is in memory already and has a similar
    /// size. A value that can't be serialized is a defect.
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

    /// Returns true after a refused reservation.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// # Errors
    /// As [`RequestBudget::hold`].
    pub fn finish(mut self) -> Result<Vec<u8>> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => {
                if let Some(budget) = self.budget.take() {
                    budget.give_back(self.room - self.bytes.len());
                }
                Ok(std::mem::take(&mut self.bytes))
            }
        }
    }

    #[cold]
    fn has_room(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else {
            return self.refusal.is_none();
        };
        let missing = (self.bytes.len() + bytes).saturating_sub(self.room);
        match budget.hold_more(missing, PIECE) {
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
        // Other requests may need the memory.
        self.bytes = Vec::new();
        if let Some(budget) = self.budget.take() {
            budget.give_back(self.room);
        }
        self.room = 0;
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.room);
        }
    }
}
