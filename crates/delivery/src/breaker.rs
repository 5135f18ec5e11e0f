//! A circuit breaker that stops a worker from sending to a provider that is down or refuses the server's credentials.
//!
//! A closed breaker admits everything. After several failures in a row it opens for a while. Then one message may try,
//! and its outcome closes the breaker or opens it for twice as long.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The limits at which a breaker opens, and its pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The first pause.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

/// The number of messages that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Any,
    /// A probe of the provider.
    One,
    NoneBefore(DateTime<Utc>),
}

#[derive(Debug)]
pub struct Breaker {
    patience: Patience,
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: DateTime<Utc>,
    pause: Duration,
}

impl Breaker {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            failures: 0,
            open: None,
        }
    }

    pub fn admits(&self, now: DateTime<Utc>) -> Admission {
        match self.open {
            None => Admission::Any,
            // A clock that was set back would otherwise extend the pause.
            Some(open) if now < open.until && now + open.pause >= open.until => Admission::NoneBefore(open.until),
            Some(_) => Admission::One,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The provider answered about a message, with success or failure.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    /// The provider failed. Returns true when that opened the breaker.
    pub fn failed(&mut self, now: DateTime<Utc>) -> bool {
        self.failures = self.failures.saturating_add(1);
        (self.open.is_some() || self.failures >= self.patience.failures) && self.opens(now)
    }

    /// The provider refuses every message until an operator changes the settings. Returns true when that opened the
    /// breaker.
    pub fn refused(&mut self, now: DateTime<Utc>) -> bool {
        self.opens(now)
    }

    /// Outcomes of attempts that were under way when the breaker opened don't extend the pause.
    fn opens(&mut self, now: DateTime<Utc>) -> bool {
        let pause = match self.open {
            None => self.patience.pause,
            Some(open) if now >= open.until => open.pause.saturating_mul(2).min(self.patience.longest_pause),
            Some(_) => return false,
        };
        self.open = Some(Open {
            until: now + pause,
            pause,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Admission, Breaker, Patience};

    const PATIENCE: Patience = Patience {
        failures: 3,
        pause: Duration::from_secs(30),
        longest_pause: Duration::from_secs(100),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = Breaker::new(PATIENCE);
        assert!(!breaker.failed(at(0)));
        assert!(!breaker.failed(at(0)));
        breaker.answered();
        assert!(!breaker.failed(at(0)));
        assert!(!breaker.failed(at(0)));
        assert_eq!(breaker.admits(at(0)), Admission::Any);
        assert!(breaker.failed(at(0)));
        assert_eq!(breaker.admits(at(29)), Admission::NoneBefore(at(30)));
    }

    #[test]
    fn the_one_that_tries_closes_it_or_doubles_the_pause_up_to_a_bound() {
        let mut breaker = Breaker::new(PATIENCE);
        assert!(breaker.refused(at(0)));
        // Attempts that were under way report the same failure and don't count again.
        assert!(!breaker.refused(at(1)));
        assert!(!breaker.failed(at(2)));
        for (now, until) in [(30, 90), (90, 190), (190, 290)] {
            assert_eq!(breaker.admits(at(now)), Admission::One);
            assert!(breaker.failed(at(now)));
            assert_eq!(breaker.admits(at(now)), Admission::NoneBefore(at(until)));
        }
        breaker.answered();
        assert_eq!(breaker.admits(at(290)), Admission::Any);
        assert!(!breaker.is_open());
    }
}
