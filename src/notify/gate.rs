//! Whether attempts may begin on a channel: the breaker, shared by all attempts under way, and the end of the worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{
    Channel, Reason,
    breaker::{Admission, Breaker, Patience},
    channel::{Failure, Outcome},
};
use crate::Clientele;

pub(super) struct Gate {
    clientele: Arc<Clientele>,
    channel: Channel,
    state: Mutex<State>,
}

struct State {
    breaker: Breaker,
    /// No attempt begins any more.
    shut: bool,
}

impl Gate {
    pub(super) fn new(clientele: Arc<Clientele>, channel: Channel, patience: Patience) -> Self {
        Self {
            clientele,
            channel,
            state: Mutex::new(State {
                breaker: Breaker::new(patience),
                shut: false,
            }),
        }
    }

    /// How many messages may be claimed; what is claimed now may begin.
    pub(super) fn admits(&self, now: DateTime<Utc>) -> Admission {
        self.state().breaker.admits(now)
    }

    /// Lets begin what is claimed from now on.
    pub(super) fn open(&self) {
        self.state().shut = false;
    }

    /// Lets nothing begin any more.
    pub(super) fn shut(&self) {
        self.state().shut = true;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.state().shut
    }

    /// Takes down how the provider does. Done before another attempt can take the place of the one that has ended.
    pub(super) fn note(&self, outcome: &Outcome, now: DateTime<Utc>) {
        let mut state = self.state();
        let was_open = state.breaker.is_open();
        let opened = match outcome {
            Outcome::Unusable(failure) => state.breaker.refused(now).then_some(failure),
            Outcome::Deferred {
                failure,
                provider_down: true,
                ..
            } => state.breaker.failed(now).then_some(failure),
            // The provider wasn't asked.
            Outcome::Refused(Failure {
                reason: Reason::InvalidRecipient | Reason::TooLong | Reason::Unrenderable | Reason::Internal,
                ..
            }) => return,
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
        self.clientele.metrics.breaker(self.channel, open);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
