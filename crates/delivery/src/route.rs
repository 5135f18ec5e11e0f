//! Chooses the provider of each attempt on a channel.
//!
//! The attempts of a message alternate between the providers, and the first one is the first provider's. A provider
//! whose circuit is open is left out. So a message that one provider doesn't take gets to the other one with its next
//! attempt, and while a provider is down, no message waits for it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    NotificationSettings,
    channel::Outcome,
    circuit_breaker::{Admission, CircuitBreaker, Running},
};
use clientele_domain::{
    enums::{Channel, Provider},
    notify::Metrics,
};

pub(super) struct Route {
    primary: Arc<CircuitBreaker>,
    fallback: Option<Arc<CircuitBreaker>>,
}

impl Route {
    pub(super) fn new(
        metrics: &Metrics,
        channel: Channel,
        has_fallback: bool,
        settings: &Arc<NotificationSettings>,
    ) -> Self {
        let breaker = |provider| {
            let breaker = CircuitBreaker::new(metrics.clone(), channel, provider, settings.clone());
            Arc::new(breaker)
        };
        Self {
            primary: breaker(Provider::Primary),
            fallback: has_fallback.then(|| breaker(Provider::Fallback)),
        }
    }

    /// The number of messages that may be claimed.
    pub(super) fn admits(&self, now: DateTime<Utc>) -> Admission {
        let primary = self.primary.admits(now);
        match (primary, self.fallback.as_ref().map(|fallback| fallback.admits(now))) {
            (Admission::Any, _) | (_, None) => primary,
            (_, Some(Admission::Any)) => Admission::Any,
            (Admission::NoneBefore(one), Some(Admission::NoneBefore(other))) => Admission::NoneBefore(one.min(other)),
            (Admission::One, Some(_)) | (_, Some(Admission::One)) => Admission::One,
        }
    }

    /// Starts an attempt of a message after this number of attempts. None while no provider may be used.
    pub(super) fn start(&self, attempts: i32, now: DateTime<Utc>) -> Option<Running> {
        self.order(attempts).find_map(|breaker| breaker.start(now))
    }

    /// The outcome of an attempt after this number of attempts, without the wait that its provider asked for if the
    /// next attempt is the other provider's.
    pub(super) fn without_needless_wait(
        &self,
        attempts: i32,
        provider: Provider,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Outcome {
        let next = self.order(attempts.saturating_add(1)).next();
        let is_other = next.is_some_and(|next| next.provider() != provider && next.admits(now) == Admission::Any);
        match outcome {
            Outcome::Deferred {
                failure, provider_down, ..
            } if is_other => Outcome::Deferred {
                failure,
                after: None,
                provider_down,
            },
            outcome => outcome,
        }
    }

    /// The providers for the next attempt of a message after this number of attempts, the preferred one first.
    fn order(&self, attempts: i32) -> impl Iterator<Item = &Arc<CircuitBreaker>> {
        let (primary, fallback) = (Some(&self.primary), self.fallback.as_ref());
        let order = match attempts % 2 {
            0 => [primary, fallback],
            _ => [fallback, primary],
        };
        order.into_iter().flatten()
    }
}
