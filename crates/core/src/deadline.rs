//! The deadline of a request's work.

use std::time::{Duration, Instant};

/// After this moment, no work starts and nothing is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    pub fn is_over(self) -> bool {
        self.0 <= Instant::now()
    }

    /// For timers.
    pub fn at(self) -> tokio::time::Instant {
        self.0.into()
    }
}
