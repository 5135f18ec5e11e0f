//! Decides whether attempts may begin on a channel: the circuit breaker shared by its attempts, and the worker's
//! shutdown.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::{
    breaker::{Admission, Breaker, Patience},
    channel::{Failure, Outcome},
};
use clientele_domain::{
    enums::{Channel, Reason},
    notify::Metrics,
};

/// The maximum number of remembered messages.
const MOST_REFUSED: usize = 1_000;

pub(super) struct Gate {
    metrics: Metrics,
    channel: Channel,
    state: Mutex<State>,
}

struct State {
    breaker: Breaker,
    /// No further attempts may begin.
    shut: bool,
    /// The messages with which the provider refused the channel. If one of them is refused again after others were
    /// accepted, that message itself is the cause.
    refused: HashSet<String>,
}

impl Gate {
    pub(super) fn new(metrics: Metrics, channel: Channel, patience: Patience) -> Self {
        Self {
            metrics,
            channel,
            state: Mutex::new(State {
                breaker: Breaker::new(patience),
                shut: false,
                refused: HashSet::new(),
            }),
        }
    }

    /// The number of messages that may be claimed while `in_hand` are under way. Claimed messages may be sent.
    pub(super) fn admits(&self, now: DateTime<Utc>, in_hand: usize) -> Admission {
        let mut state = self.state();
        let admission = match state.breaker.admits(now) {
            // Only one at a time.
            Admission::One if in_hand > 0 => Admission::NoneBefore(now),
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

    /// Records how the provider treated the message of this key, before another attempt can take the free slot. Returns
    /// the outcome for the message.
    pub(super) fn note(&self, key: &str, outcome: Outcome, now: DateTime<Utc>) -> Outcome {
        let mut state = self.state();
        let was_open = state.breaker.is_open();
        let outcome = match outcome {
            Outcome::Unusable(failure) if !was_open && state.refused.contains(key) => Outcome::Deferred {
                failure,
                after: None,
                provider_down: false,
            },
            outcome => outcome,
        };
        let opened = match &outcome {
            Outcome::Unusable(failure) => {
                if state.refused.len() == MOST_REFUSED {
                    state.refused.clear();
                }
                state.refused.insert(key.to_owned());
                state.breaker.refused(now).then_some(failure)
            }
            Outcome::Deferred {
                failure,
                provider_down: true,
                ..
            } => state.breaker.failed(now).then_some(failure),
            // The provider wasn't contacted.
            Outcome::Refused(Failure {
                reason: Reason::InvalidRecipient | Reason::TooLong | Reason::Unrenderable | Reason::Internal,
                ..
            }) => return outcome,
            Outcome::Sent { .. } | Outcome::Deferred { .. } | Outcome::Refused(_) => {
                state.breaker.answered();
                None
            }
        };
        let (channel, open) = (self.channel.as_str(), state.breaker.is_open());
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
