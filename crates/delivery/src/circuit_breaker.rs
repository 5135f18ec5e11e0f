//! The circuit breaker of a channel, shared by its attempts. It stops a worker from sending to a provider that is down
//! or refuses the server's credentials, and stops attempts when the worker shuts down.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    NotificationSettings,
    channel::{Failure, Outcome},
};
use clientele_domain::{
    enums::{Channel, Reason},
    notify::Metrics,
};

/// The maximum number of remembered messages.
const MOST_REFUSED: usize = 1_000;

pub(super) struct CircuitBreaker {
    metrics: Metrics,
    channel: Channel,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    /// No further attempts may begin.
    shut: bool,
    /// The messages with which the provider refused the channel. If one of them is refused again after others were
    /// accepted, that message itself is the cause.
    refused: HashSet<String>,
}

impl CircuitBreaker {
    pub(super) fn new(metrics: Metrics, channel: Channel, settings: Arc<NotificationSettings>) -> Self {
        Self {
            metrics,
            channel,
            state: Mutex::new(State {
                circuit: Circuit {
                    settings,
                    failures: 0,
                    open: None,
                },
                shut: false,
                refused: HashSet::new(),
            }),
        }
    }

    /// The number of messages that may be claimed while `running` are under way. Claimed messages may be sent.
    pub(super) fn admits(&self, now: DateTime<Utc>, running: usize) -> Admission {
        let mut state = self.state();
        let admission = match state.circuit.admits(now) {
            // Only one at a time.
            Admission::One if running > 0 => Admission::NoneBefore(now),
            admission => admission,
        };
        state.shut = matches!(admission, Admission::NoneBefore(_));
        admission
    }

    /// Stops further attempts.
    pub(super) fn shut(&self) {
        self.state().shut = true;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.state().shut
    }

    /// Records how the provider treated the message of this key, before another attempt can take the free permit.
    /// Returns the outcome for the message.
    pub(super) fn note(&self, key: &str, outcome: Outcome, now: DateTime<Utc>) -> Outcome {
        let mut state = self.state();
        let was_open = state.circuit.is_open();
        let outcome = match outcome {
            Outcome::Unusable(failure) if !was_open && state.refused.contains(key) => failure.deferred(false),
            outcome => outcome,
        };
        let opened = match &outcome {
            Outcome::Unusable(failure) => {
                if state.refused.len() == MOST_REFUSED {
                    state.refused.clear();
                }
                state.refused.insert(key.to_owned());
                // The provider refuses every message until an operator changes the settings.
                state.circuit.trip(now).then_some(failure)
            }
            Outcome::Deferred {
                failure,
                provider_down: true,
                ..
            } => state.circuit.failed(now).then_some(failure),
            // The provider wasn't contacted.
            Outcome::Refused(Failure {
                reason: Reason::InvalidRecipient | Reason::TooLong | Reason::Unrenderable | Reason::Internal,
                ..
            }) => return outcome,
            Outcome::Sent { .. } | Outcome::Deferred { .. } | Outcome::Refused(_) => {
                state.circuit.answered();
                None
            }
        };
        let (channel, open) = (self.channel.as_str(), state.circuit.is_open());
        state.shut |= open;
        if let Some(failure) = opened {
            let reason = failure.reason.as_str();
            tracing::warn!(channel, reason, "the channel pauses: its provider can't be used");
        } else if was_open && !open {
            tracing::info!(channel, "the provider is back");
        }
        self.metrics.breaker(self.channel, open);
        drop(state);
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of messages that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Any,
    /// A probe of the provider.
    One,
    NoneBefore(DateTime<Utc>),
}

/// A closed circuit admits everything. After several failures in a row it opens for a while. Then one message may try,
/// and its outcome closes the circuit or opens it for twice as long.
struct Circuit {
    settings: Arc<NotificationSettings>,
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy)]
struct Open {
    until: DateTime<Utc>,
    pause: Duration,
}

impl Circuit {
    fn admits(&self, now: DateTime<Utc>) -> Admission {
        match self.open {
            None => Admission::Any,
            // A clock that was set back would otherwise extend the pause.
            Some(open) if now < open.until && now + open.pause >= open.until => Admission::NoneBefore(open.until),
            Some(_) => Admission::One,
        }
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The provider answered about a message, with success or failure.
    fn answered(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    /// The provider failed. Returns true when that opened the circuit.
    fn failed(&mut self, now: DateTime<Utc>) -> bool {
        self.failures = self.failures.saturating_add(1);
        (self.open.is_some() || self.failures >= self.settings.breaker_failures) && self.trip(now)
    }

    /// Opens the circuit, or extends its pause if that is over. Returns true when it did. Outcomes of attempts that
    /// were under way when the circuit opened change nothing.
    fn trip(&mut self, now: DateTime<Utc>) -> bool {
        let pause = match self.open {
            None => Duration::from_secs(self.settings.breaker_pause_seconds),
            Some(open) if now >= open.until => {
                let longest = Duration::from_secs(self.settings.breaker_longest_pause_seconds);
                open.pause.saturating_mul(2).min(longest)
            }
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
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Admission, Circuit, NotificationSettings};

    fn circuit() -> Circuit {
        let settings = NotificationSettings {
            breaker_failures: 3,
            breaker_pause_seconds: 30,
            breaker_longest_pause_seconds: 100,
            ..NotificationSettings::default()
        };
        Circuit {
            settings: settings.into(),
            failures: 0,
            open: None,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut circuit = circuit();
        assert!(!circuit.failed(at(0)));
        assert!(!circuit.failed(at(0)));
        circuit.answered();
        assert!(!circuit.failed(at(0)));
        assert!(!circuit.failed(at(0)));
        assert_eq!(circuit.admits(at(0)), Admission::Any);
        assert!(circuit.failed(at(0)));
        assert_eq!(circuit.admits(at(29)), Admission::NoneBefore(at(30)));
    }

    #[test]
    fn the_one_that_tries_closes_it_or_doubles_the_pause_up_to_a_bound() {
        let mut circuit = circuit();
        assert!(circuit.trip(at(0)));
        // Attempts that were under way report the same failure and don't count again.
        assert!(!circuit.trip(at(1)));
        assert!(!circuit.failed(at(2)));
        for (now, until) in [(30, 90), (90, 190), (190, 290)] {
            assert_eq!(circuit.admits(at(now)), Admission::One);
            assert!(circuit.failed(at(now)));
            assert_eq!(circuit.admits(at(now)), Admission::NoneBefore(at(until)));
        }
        circuit.answered();
        assert_eq!(circuit.admits(at(290)), Admission::Any);
        assert!(!circuit.is_open());
    }
}
