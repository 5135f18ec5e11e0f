//! Limits how often a line is written to the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The minimum time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts events, for a line at most once a minute. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct LogThrottle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    logged: Option<Instant>,
    count: u64,
}

impl LogThrottle {
    /// Adds events. Returns the number of those since the last line when the next one is due.
    pub fn add(&self, count: u64) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += count;
        if state.count == 0 || state.logged.is_some_and(|logged| logged.elapsed() < INTERVAL) {
            return None;
        }
        state.logged = Some(Instant::now());
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::LogThrottle;

    #[test]
    fn first_event_is_logged_at_once_and_the_next_ones_are_counted() {
        let throttle = LogThrottle::default();
        assert_eq!(
            [0, 2, 3, 0].map(|count| throttle.add(count)),
            [None, Some(2), None, None]
        );
    }
}
