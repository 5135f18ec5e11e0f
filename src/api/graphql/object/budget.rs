//! How large the answer to one request may become.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So many refused fields are told: more of them say nothing new.
const MOST_REFUSALS: usize = 20;

/// How many fields the answer to one request may still have. Selections multiply by what is stored, so that only
/// counting while writing is a bound.
#[derive(Debug)]
pub struct Budget {
    pub(super) most: usize,
    left: AtomicUsize,
    /// How many refused fields may still be told.
    refusals: AtomicUsize,
}

impl Budget {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            left: AtomicUsize::new(most),
            refusals: AtomicUsize::new(MOST_REFUSALS),
        }
    }

    /// Whether there is room for so many more fields. Once there isn't, there never is again.
    pub(super) fn take(&self, fields: usize) -> bool {
        let rest = |left: usize| left.checked_sub(fields);
        if self.left.fetch_update(Relaxed, Relaxed, rest).is_ok() {
            return true;
        }
        self.left.store(0, Relaxed);
        false
    }

    /// Whether one more refused field may be told.
    pub(super) fn take_refusal(&self) -> bool {
        let rest = |left: usize| left.checked_sub(1);
        self.refusals.fetch_update(Relaxed, Relaxed, rest).is_ok()
    }
}
