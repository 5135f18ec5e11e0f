//! Keeps a worker from hammering a provider that is down or that doesn't accept our credentials.
//!
//! Closed, everything passes. After some failures in a row it opens for a while; then one message may try, and its fate
//! closes it again or opens it for twice as long.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open at first.
    pub pause: Duration,
    /// How long it stays open at most.
    pub longest_pause: Duration,
}

/// How many messages may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Any,
    /// To see whether the provider is back.
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
            // A clock that was put back would keep it open for as long.
            Some(open) if now < open.until && now + open.pause >= open.until => Admission::NoneBefore(open.until),
            Some(_) => Admission::One,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The provider gave an answer about a message, be it good or bad.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    /// The provider failed. Says whether that opened the breaker.
    pub fn failed(&mut self, now: DateTime<Utc>) -> bool {
        self.failures = self.failures.saturating_add(1);
        (self.open.is_some() || self.failures >= self.patience.failures) && self.opens(now)
    }

    /// No message can pass before somebody changes something. Says whether that opened the breaker.
    pub fn refused(&mut self, now: DateTime<Utc>) -> bool {
        self.opens(now)
    }

    /// What was under way when it opened is heard of later, and doesn't lengthen the pause.
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
        // Others that were under way say the same: that is no news.
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
