//! The circuit breaker of a provider, shared by the attempts at it. It stops a worker from sending to a provider that
//! is down or refuses the server's credentials.

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
    enums::{Channel, Provider, Reason},
    notify::Metrics,
};

/// The maximum number of remembered messages.
const MOST_REFUSED: usize = 1_000;

pub(super) struct CircuitBreaker {
    metrics: Metrics,
    channel: Channel,
    provider: Provider,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    /// The number of attempts under way.
    running: usize,
    /// The messages with which the provider refused the channel. If one of them is refused again after others were
    /// accepted, that message itself is the cause.
    refused: HashSet<String>,
}

/// An attempt under way. Dropping it ends the attempt.
pub(super) struct Running(Arc<CircuitBreaker>);

impl Running {
    pub(super) fn provider(&self) -> Provider {
        self.0.provider()
    }

    /// See [`CircuitBreaker::note`].
    pub(super) fn note(&self, key: &str, outcome: Outcome, now: DateTime<Utc>) -> Outcome {
        self.0.note(key, outcome, now)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}

impl CircuitBreaker {
    pub(super) fn new(
        metrics: Metrics,
        channel: Channel,
        provider: Provider,
        settings: Arc<NotificationSettings>,
    ) -> Self {
        metrics.breaker(channel, provider, false);
        Self {
            metrics,
            channel,
            provider,
            state: Mutex::new(State {
                circuit: Circuit {
                    settings,
                    failures: 0,
                    open: None,
                },
                running: 0,
                refused: HashSet::new(),
            }),
        }
    }

    pub(super) fn provider(&self) -> Provider {
        self.provider
    }

    /// The number of messages that may be claimed for this provider.
    pub(super) fn admits(&self, now: DateTime<Utc>) -> Admission {
        self.state().admits(now)
    }

    /// Starts an attempt. None while the provider must not be used.
    pub(super) fn start(self: &Arc<Self>, now: DateTime<Utc>) -> Option<Running> {
        let mut state = self.state();
        if matches!(state.admits(now), Admission::NoneBefore(_)) {
            return None;
        }
        state.running += 1;
        Some(Running(self.clone()))
    }

    /// Records how the provider treated the message of this key, before another attempt can take the free permit.
    /// Returns the outcome for the message.
    fn note(&self, key: &str, outcome: Outcome, now: DateTime<Utc>) -> Outcome {
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
        let open = state.circuit.is_open();
        let (channel, provider) = (self.channel.as_str(), self.provider.as_str());
        if let Some(failure) = opened {
            let reason = failure.reason.as_str();
            tracing::warn!(
                channel,
                provider,
                reason,
                "the provider can't be used and is left out for a while"
            );
        } else if was_open && !open {
            tracing::info!(channel, provider, "the provider is back");
        }
        self.metrics.breaker(self.channel, self.provider, open);
        drop(state);
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&self, now: DateTime<Utc>) -> Admission {
        match self.circuit.admits(now) {
            // Only one at a time.
            Admission::One if self.running > 0 => Admission::NoneBefore(now),
            admission => admission,
        }
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
