//! The budget of fields that the answer to one request may have.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most refused fields that one answer reports.
const MOST_REFUSALS: usize = 20;

/// The fields that the answer to one request may still have. Lists multiply selections by the number of stored rows, so
/// only counting while writing bounds them.
#[derive(Debug)]
pub struct Budget {
    pub(super) most: usize,
    left: AtomicUsize,
    /// The refused fields that may still be reported.
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

    /// Takes room for this many fields. Once there isn't enough, every later call returns false.
    pub(super) fn take(&self, fields: usize) -> bool {
        let rest = |left: usize| left.checked_sub(fields);
        if self.left.fetch_update(Relaxed, Relaxed, rest).is_ok() {
            return true;
        }
        self.left.store(0, Relaxed);
        false
    }

    /// Takes room for the report of one refused field.
    pub(super) fn take_refusal(&self) -> bool {
        let rest = |left: usize| left.checked_sub(1);
        self.refusals.fetch_update(Relaxed, Relaxed, rest).is_ok()
    }
}
