//! Decides what follows from the outcome of an attempt: the message is sent, failed, or retried later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::message;
use rand::{Rng, RngExt};

use super::{
    NotificationSettings,
    channel::{Failure, Outcome},
};
use clientele_domain::enums::{MessageState, Provider, Reason};

/// The message with its state after an attempt at a provider, still under the lease of its claim.
pub fn after_attempt(
    message: message::Model,
    provider: Provider,
    outcome: Outcome,
    now: DateTime<Utc>,
    settings: &NotificationSettings,
    random: &mut impl Rng,
) -> message::Model {
    match outcome {
        Outcome::Sent { provider_id } => message::Model {
            state: MessageState::Sent.as_str().to_owned(),
            attempts: message.attempts.saturating_add(1),
            due_at: None,
            sent_at: Some(now),
            failed_at: None,
            provider: Some(provider.as_str().to_owned()),
            provider_id,
            reason: None,
            detail: None,
            ..message
        },
        Outcome::Refused(failure) => fail(message, failure, now),
        Outcome::Deferred { failure, after, .. } => {
            let attempts = message.attempts.saturating_add(1).unsigned_abs();
            let base = Duration::from_secs(settings.backoff_base_seconds);
            let longest = Duration::from_secs(settings.backoff_longest_seconds);
            let next = now + pause(attempts, base, longest, random).max(after.unwrap_or_default());
            // Time in the queue for other reasons doesn't count.
            let first_attempt_at = message.first_attempt_at.unwrap_or(now);
            let max_age = Duration::from_secs(u64::from(settings.max_age_hours) * 3600);
            if attempts >= settings.attempts || next > first_attempt_at + max_age {
                return fail(message, failure, now);
            }
            message::Model {
                attempts: message.attempts.saturating_add(1),
                first_attempt_at: Some(first_attempt_at),
                ..again(message, failure, next)
            }
        }
        // The channel must pause, which the circuit breaker enforces.
        Outcome::Unusable(failure) => again(message, failure, now),
    }
}

/// The message to a recipient on the suppression list, which is not sent.
pub fn suppress(message: message::Model) -> message::Model {
    message::Model {
        state: MessageState::Suppressed.as_str().to_owned(),
        due_at: None,
        reason: Some(Reason::SuppressionList.as_str().to_owned()),
        detail: None,
        ..message
    }
}

/// The message with its state before the claim.
pub fn release(message: message::Model, now: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Queued.as_str().to_owned(),
        due_at: Some(now),
        ..message
    }
}

fn again(message: message::Model, failure: Failure, next: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Queued.as_str().to_owned(),
        due_at: Some(next),
        reason: Some(failure.reason.as_str().to_owned()),
        detail: failure.detail,
        ..message
    }
}

fn fail(message: message::Model, failure: Failure, now: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Failed.as_str().to_owned(),
        attempts: message.attempts.saturating_add(1),
        due_at: None,
        failed_at: Some(now),
        reason: Some(failure.reason.as_str().to_owned()),
        detail: failure.detail,
        ..message
    }
}

/// The pause after `attempts` attempts (1 or more): random between zero and `base` doubled for each attempt after the
/// first, at most `longest`. Random, so that messages that failed together are not retried together.
fn pause(attempts: u32, base: Duration, longest: Duration, random: &mut impl Rng) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let bound = base.saturating_mul(1 << doublings).min(longest);
    random.random_range(Duration::ZERO..=bound)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{SeedableRng, rngs::StdRng};

    use super::pause;

    #[test]
    fn the_bound_doubles_and_is_reached_but_never_passed() {
        let mut chance = StdRng::seed_from_u64(1);
        for (attempts, bound) in [
            (1, 10),
            (2, 20),
            (5, 160),
            (9, 2_560),
            (10, 3_600),
            (4_000_000_000, 3_600),
        ] {
            let mut draw = || {
                pause(
                    attempts,
                    Duration::from_secs(10),
                    Duration::from_secs(3_600),
                    &mut chance,
                )
            };
            let pauses: Vec<Duration> = (0..1_000).map(|_| draw()).collect();
            let bound = Duration::from_secs(bound);
            assert!(pauses.iter().all(|pause| *pause <= bound), "{attempts}");
            assert!(pauses.iter().any(|pause| *pause > bound.mul_f64(0.95)), "{attempts}");
            assert!(pauses.iter().any(|pause| *pause < bound.mul_f64(0.05)), "{attempts}");
        }
    }
}
